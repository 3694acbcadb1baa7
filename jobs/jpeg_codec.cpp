// libjpeg reports errors through a function that must not return. It jumps back into attempt(), over frames of C and
// of lambdas that own nothing; only there is it turned into an exception.

#include "jobs/jpeg_codec.hpp"

#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include <jpeglib.h>  // wants <cstdio>

#include "common/error.hpp"

namespace regatta {

namespace {

/// Pillow's MULDIV255: a x b / 255, rounded.
std::uint8_t times_255th(unsigned a, unsigned b) {
  const unsigned product = a * b + 128;
  return static_cast<std::uint8_t>((product + (product >> 8)) >> 8);
}

/// Adobe's convention, in which all four inks are stored inverted, to RGB as Pillow converts it.
void inverted_cmyk_to_rgb(const std::uint8_t* cmyk, std::int64_t count, std::uint8_t* rgb) {
  for (std::int64_t i = 0; i < count; ++i, cmyk += 4, rgb += 3)
    for (int c = 0; c < 3; ++c) rgb[c] = static_cast<std::uint8_t>(cmyk[3] - times_255th(255U - cmyk[c], cmyk[3]));
}

/// A hostile file can name thousands of scans, each of which costs a pass over the image; real ones have about ten.
constexpr int kMostScans = 500;

}  // namespace

struct JpegCodec::State {
  jpeg_decompress_struct codec{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf jump;
  std::array<char, JMSG_LENGTH_MAX> message{};
  std::vector<std::uint8_t> cmyk_row;

  static State& of(j_common_ptr codec) { return *static_cast<State*>(codec->client_data); }
  [[noreturn]] static void fail(j_common_ptr codec) {
    State& state = of(codec);
    state.errors.format_message(codec, state.message.data());
    std::longjmp(state.jump, 1);
  }
  /// Level -1 is a warning: data that cannot be what was written. The others are traces.
  static void on_message(j_common_ptr codec, int level) {
    if (level < 0) fail(codec);
  }
  static void on_progress(j_common_ptr codec) {
    if (!codec->is_decompressor || reinterpret_cast<j_decompress_ptr>(codec)->input_scan_number <= kMostScans) return;
    State& state = of(codec);
    std::snprintf(state.message.data(), state.message.size(), "more than %d scans", kMostScans);
    std::longjmp(state.jump, 1);
  }

  /// `step` must own nothing that needs a destructor. False when libjpeg gave up.
  template <class Step>
  bool succeeds(Step step) noexcept {
    if (setjmp(jump) != 0) return false;
    step();
    return true;
  }
  template <class Step>
  void attempt(Step step) {
    if (succeeds(step)) return;
    jpeg_abort_decompress(&codec);  // ready for the next file
    throw DataError(std::string("expected a whole JPEG, found damage: ") + message.data());
  }
};

JpegCodec::JpegCodec() : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.codec.err = jpeg_std_error(&state.errors);
  state.errors.error_exit = &State::fail;
  state.errors.emit_message = &State::on_message;
  state.progress.progress_monitor = &State::on_progress;
  state.codec.client_data = &state;
  if (!state.succeeds([&state] { jpeg_create_decompress(&state.codec); })) throw std::bad_alloc();
  state.codec.client_data = &state;  // cleared by some versions while they create
  state.codec.progress = &state.progress;
}

JpegCodec::~JpegCodec() {
  jpeg_destroy_decompress(&state_->codec);
}

ImageSize JpegCodec::read_header(std::span<const std::uint8_t> file) {
  jpeg_decompress_struct& codec = state_->codec;
  jpeg_abort_decompress(&codec);  // a header that nobody decoded
  state_->attempt([&] {
    jpeg_mem_src(&codec, file.data(), static_cast<unsigned long>(file.size()));
    jpeg_read_header(&codec, TRUE);
  });
  return {.height = codec.image_height, .width = codec.image_width};
}

void JpegCodec::decode(std::uint8_t* pixels) {
  jpeg_decompress_struct& codec = state_->codec;
  const bool four = codec.jpeg_color_space == JCS_CMYK || codec.jpeg_color_space == JCS_YCCK;
  if (codec.jpeg_color_space == JCS_UNKNOWN)
    throw DataError("expected a JPEG in gray, colour or CMYK, found " + std::to_string(codec.num_components) +
                    " unknown components");
  codec.out_color_space = four ? JCS_CMYK : JCS_RGB;
  codec.dct_method = JDCT_ISLOW;
  codec.do_fancy_upsampling = TRUE;
  const std::size_t width = codec.image_width;
  if (four) state_->cmyk_row.resize(4 * width);
  std::uint8_t* const cmyk = state_->cmyk_row.data();
  state_->attempt([&codec, pixels, cmyk, width, four] {
    constexpr unsigned kRows = 16;  // as many as libjpeg makes at a time
    jpeg_start_decompress(&codec);
    while (codec.output_scanline < codec.output_height) {
      std::uint8_t* const to = pixels + codec.output_scanline * 3 * width;
      if (four) {
        JSAMPROW row = cmyk;
        jpeg_read_scanlines(&codec, &row, 1);
        inverted_cmyk_to_rgb(cmyk, static_cast<std::int64_t>(width), to);
      } else {
        JSAMPROW rows[kRows];
        const unsigned left = codec.output_height - codec.output_scanline, count = left < kRows ? left : kRows;
        for (unsigned i = 0; i < count; ++i) rows[i] = to + i * 3 * width;
        jpeg_read_scanlines(&codec, rows, count);
      }
    }
    jpeg_finish_decompress(&codec);
  });
}

}  // namespace regatta
