#pragma once
// JPEG to RGB by libjpeg-turbo, with the settings that Pillow uses, so that pixels agree with torchvision's.

#include <cstdint>
#include <memory>
#include <span>

#include "jobs/image_decoder.hpp"

namespace regatta {

/// Keeps one decompressor for all files; one thread at a time. Throws DataError without the file's name.
class JpegCodec {
 public:
  JpegCodec();
  ~JpegCodec();
  JpegCodec(const JpegCodec&) = delete;
  JpegCodec& operator=(const JpegCodec&) = delete;

  /// Starts on `file`, which must stay until decode() has returned. The size is not checked against any limit.
  ImageSize read_header(std::span<const std::uint8_t> file);
  /// Writes the image of the last read_header() as (height, width, 3) uint8.
  void decode(std::uint8_t* pixels);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace regatta
