#include "jobs/image_decoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "jobs/jpeg_codec.hpp"
#include "jobs/png_codec.hpp"
#include "jobs/resize.hpp"

namespace regatta {

namespace {

bool is_jpeg(std::span<const std::uint8_t> file) {
  return file.size() >= 3 && file[0] == 0xff && file[1] == 0xd8 && file[2] == 0xff;
}

/// What a file that is no image looks like.
std::string looks_like(std::span<const std::uint8_t> file) {
  constexpr std::size_t kLookedAt = 512;
  if (file.empty()) return "an empty file";
  const auto head = file.first(std::min(file.size(), kLookedAt));
  const auto is_text = [](std::uint8_t byte) { return byte >= ' ' ? byte != 127 : byte >= '\t' && byte <= '\r'; };
  if (std::all_of(head.begin(), head.end(), is_text)) return "text";
  if (std::all_of(head.begin(), head.end(), [](std::uint8_t byte) { return byte == 0; })) return "zeros";
  std::string bytes;
  for (const std::uint8_t byte : head.first(std::min<std::size_t>(head.size(), 4)))
    bytes += fmt::format(" {:02x}", byte);
  return "bytes that start with" + bytes;
}

void expect_size(ImageSize size) {
  if (size.height < 1 || size.width < 1)
    throw DataError(fmt::format("expected at least one pixel, found {} x {}", size.width, size.height));
  if (size.width > kMostPixels / size.height)
    throw DataError(fmt::format("expected at most {} pixels, found {} x {}", kMostPixels, size.width, size.height));
}

}  // namespace

struct ImageDecoder::Impl {
  JpegCodec jpeg;
  Resizer resizer;
  std::vector<std::uint8_t*> png_rows;
  std::vector<std::uint8_t> pixels;  // (height, width, 3) as it lies in the file

  /// A JPEG has been started on afterwards.
  ImageSize start(std::span<const std::uint8_t> file) {
    ImageSize size;
    if (is_jpeg(file))
      size = jpeg.read_header(file);
    else if (is_png(file))
      size = png_size(file);
    else
      throw DataError("expected JPEG or PNG, found " + looks_like(file));
    expect_size(size);
    return size;
  }

  void decode(std::span<const std::uint8_t> file, std::uint8_t* to) {
    if (is_png(file))
      decode_png(file, png_rows, to);
    else
      jpeg.decode(to);
  }
};

ImageDecoder::ImageDecoder() : impl_(std::make_unique<Impl>()) {}
ImageDecoder::~ImageDecoder() = default;

ImageSize ImageDecoder::probe(std::span<const std::uint8_t> file) {
  return impl_->start(file);
}

void ImageDecoder::decode(std::span<const std::uint8_t> file, ImageSize size, std::uint8_t* pixels) {
  const ImageSize found = impl_->start(file);
  if (found == size) return impl_->decode(file, pixels);
  impl_->pixels.resize(static_cast<std::size_t>(found.height * found.width * 3));
  impl_->decode(file, impl_->pixels.data());
  impl_->resizer.resize(impl_->pixels.data(), found, size, pixels);
}

}  // namespace regatta
