#pragma once
// PNG to RGB by libpng, as Pillow's convert("RGB") gives it: alpha, gamma and colour profiles are left out of account.

#include <cstdint>
#include <span>
#include <vector>

#include "jobs/image_decoder.hpp"

namespace regatta {

/// Does `file` start like a PNG?
bool is_png(std::span<const std::uint8_t> file);
/// From the header chunk alone. Throws DataError without the file's name.
ImageSize png_size(std::span<const std::uint8_t> file);
/// Writes (height, width, 3) uint8; `rows` is scratch that is used again. Throws DataError without the file's name.
void decode_png(std::span<const std::uint8_t> file, std::vector<std::uint8_t*>& rows, std::uint8_t* pixels);

}  // namespace regatta
