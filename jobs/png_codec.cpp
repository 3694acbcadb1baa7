// libpng reports errors through a function that must not return: it jumps back into decode_png(), over frames of C and
// of a function that owns nothing. Chunks that Pillow's convert("RGB") does not look at are skipped, damaged or not;
// what libpng warns about beyond them is an error.

#include "jobs/png_codec.hpp"

#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>

#include "common/error.hpp"

namespace regatta {

namespace {

constexpr std::array<std::uint8_t, 8> kPngSignature{137, 'P', 'N', 'G', '\r', '\n', 26, '\n'};
constexpr std::size_t kPngHeader = 8 + 8 + 8;  // signature, length and type of the first chunk, width and height

/// Names of chunks, five bytes each as libpng wants them.
constexpr char kIgnoredChunks[] =
    "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0tEXt\0tIME\0tRNS\0zTXt";
constexpr int kIgnoredCount = sizeof(kIgnoredChunks) / 5;

/// Everything that lives across a jump.
struct PngState {
  std::jmp_buf jump;
  std::array<char, 160> message{};
  const std::uint8_t* next = nullptr;
  std::size_t left = 0;
  png_structp png = nullptr;
  png_infop info = nullptr;

  PngState() = default;
  ~PngState() { png_destroy_read_struct(&png, &info, nullptr); }
  PngState(const PngState&) = delete;
  PngState& operator=(const PngState&) = delete;
};

[[noreturn]] void png_fail(png_structp png, png_const_charp message) {
  PngState& state = *static_cast<PngState*>(png_get_error_ptr(png));
  std::snprintf(state.message.data(), state.message.size(), "%s", message);
  std::longjmp(state.jump, 1);
}

void png_take(png_structp png, png_bytep to, std::size_t count) {
  PngState& state = *static_cast<PngState*>(png_get_io_ptr(png));
  if (count > state.left) png_fail(png, "the file ends too early");
  std::memcpy(to, state.next, count);
  state.next += count;
  state.left -= count;
}

std::uint32_t big_endian(const std::uint8_t* from) {
  return std::uint32_t{from[0]} << 24 | std::uint32_t{from[1]} << 16 | std::uint32_t{from[2]} << 8 | from[3];
}

/// Pillow does not scale 16 bits of gray, it clips them: what is above 255 is white. (The high byte would be the better
/// picture, but not the one that PyTorch trains on.) In place, from the end: two bytes a pixel become three.
void clip_gray_16(std::uint8_t* row, std::size_t width) {
  for (std::size_t x = width; x-- > 0;) {
    const std::uint8_t value = row[2 * x] != 0 ? 255 : row[2 * x + 1];
    row[3 * x] = row[3 * x + 1] = row[3 * x + 2] = value;
  }
}

/// False when libpng gave up. Nothing here needs a destructor.
bool read_png(PngState& state, std::uint8_t** rows, ImageSize size, std::uint8_t* pixels) noexcept {
  if (setjmp(state.jump) != 0) return false;
  state.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, &png_fail, &png_fail);
  if (state.png == nullptr) return false;
  png_structp png = state.png;
  png_infop info = state.info = png_create_info_struct(png);
  if (info == nullptr) png_fail(png, "no memory");
  png_set_read_fn(png, &state, &png_take);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, reinterpret_cast<png_const_bytep>(kIgnoredChunks),
                              kIgnoredCount);
  png_read_info(png, info);
  const png_byte depth = png_get_bit_depth(png, info), colour = png_get_color_type(png, info);
  const bool gray_16 = depth == 16 && colour == PNG_COLOR_TYPE_GRAY;
  if (!gray_16) {
    if (depth == 16) png_set_strip_16(png);
    if (colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (colour == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png);
    if ((colour & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
  }
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  const auto width = static_cast<std::size_t>(size.width);
  if (png_get_rowbytes(png, info) != (gray_16 ? 2 : 3) * width) png_fail(png, "an unknown layout of pixels");
  for (std::int64_t y = 0; y < size.height; ++y) rows[y] = pixels + static_cast<std::size_t>(y) * 3 * width;
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  if (gray_16)
    for (std::int64_t y = 0; y < size.height; ++y) clip_gray_16(rows[y], width);
  return true;
}

}  // namespace

bool is_png(std::span<const std::uint8_t> file) {
  return file.size() >= kPngSignature.size() && std::equal(kPngSignature.begin(), kPngSignature.end(), file.begin());
}

ImageSize png_size(std::span<const std::uint8_t> file) {
  if (file.size() < kPngHeader || std::memcmp(file.data() + 12, "IHDR", 4) != 0)
    throw DataError("expected a whole PNG, found damage: no header chunk");
  return {.height = big_endian(file.data() + 20), .width = big_endian(file.data() + 16)};
}

void decode_png(std::span<const std::uint8_t> file, std::vector<std::uint8_t*>& rows, std::uint8_t* pixels) {
  const ImageSize size = png_size(file);
  rows.resize(static_cast<std::size_t>(size.height));
  PngState state;
  state.next = file.data();
  state.left = file.size();
  if (!read_png(state, rows.data(), size, pixels))
    throw DataError(std::string("expected a whole PNG, found damage: ") + state.message.data());
}

}  // namespace regatta
