#pragma once
// One image file to pixels: JPEG by libjpeg-turbo, PNG by libpng, always RGB, resized as torchvision does it.

#include <cstdint>
#include <memory>
#include <span>

namespace regatta {

struct ImageSize {
  std::int64_t height = 0, width = 0;
  bool operator==(const ImageSize&) const = default;
};

/// Larger images are refused before anything is allocated: 100 megapixels are 300 MB.
constexpr std::int64_t kMostPixels = 100'000'000;

/// One instance a thread; keeps its codec and its buffers. Errors are DataError without the file's name, which the
/// caller knows: "expected JPEG or PNG, found text".
class ImageDecoder {
 public:
  ImageDecoder();
  ~ImageDecoder();
  ImageDecoder(const ImageDecoder&) = delete;
  ImageDecoder& operator=(const ImageDecoder&) = delete;

  /// From the header alone.
  ImageSize probe(std::span<const std::uint8_t> file);
  /// Writes (height, width, 3) uint8. An image of another size is resized (bilinear, antialiased: within 2/255 of
  /// torchvision's Resize on PIL images).
  /// Whatever the codec only warns about, as a file that ends too early, is an error.
  void decode(std::span<const std::uint8_t> file, ImageSize size, std::uint8_t* pixels);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace regatta
