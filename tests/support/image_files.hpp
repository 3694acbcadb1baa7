#pragma once
// Images that tests write, and tiny folders of them.

#include <cstdint>
#include <string>

#include "tests/support/process.hpp"

namespace regatta::test {

/// One colour, quality 95.
std::string jpeg_of(int height, int width, std::uint8_t red, std::uint8_t green, std::uint8_t blue);
/// One colour; every pixel comes back as it was.
std::string png_of(int height, int width, std::uint8_t red, std::uint8_t green, std::uint8_t blue);
/// A JPEG with a header of this size and hardly any pixels.
std::string jpeg_that_claims(int height, int width);

/// train/{cat,dog}/{0..n-1}.jpg and test/{cat,dog}/{0..m-1}.jpg of height x width: cats are bright, dogs are dark, each
/// a little different, so that a model learns it at once.
void write_image_folder(const TemporaryFolder& folder, int train_each = 4, int test_each = 2, int height = 8,
                        int width = 8);

}  // namespace regatta::test
