// The oracle is torchvision: tests/oracle/images.py wrote the images and, as PPM, the pixels it sees in them.

#include "jobs/image_decoder.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "common/files.hpp"

namespace regatta {
namespace {

using testing::HasSubstr;

std::filesystem::path images() {
  return std::filesystem::path(REGATTA_SOURCE_DIR) / "tests/jobs/images";
}

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

struct Pixels {
  ImageSize size;
  std::string bytes;  // (H, W, 3)
};

Pixels read_ppm(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  std::istringstream in(text);
  std::string magic;
  std::int64_t width = 0, height = 0, most = 0;
  in >> magic >> width >> height >> most;
  return {{height, width}, text.substr(static_cast<std::size_t>(in.tellg()) + 1)};
}

int largest_difference(const std::string& expected, const std::vector<std::uint8_t>& found) {
  EXPECT_EQ(expected.size(), found.size());
  int largest = 0;
  for (std::size_t i = 0; i < std::min(expected.size(), found.size()); ++i)
    largest = std::max(largest, std::abs(int{static_cast<std::uint8_t>(expected[i])} - int{found[i]}));
  return largest;
}

std::vector<std::uint8_t> decode(ImageDecoder& decoder, const std::string& file, ImageSize size) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(size.height * size.width * 3));
  decoder.decode(bytes_of(file), size, pixels.data());
  return pixels;
}

class KindOfImage : public testing::TestWithParam<std::string> {};

TEST_P(KindOfImage, HasThePixelsThatTorchvisionSees) {
  const std::string file = read_file(images() / GetParam());
  const Pixels whole = read_ppm(images() / (GetParam() + ".ppm"));
  const Pixels resized = read_ppm(images() / (GetParam() + ".resized.ppm"));
  ImageDecoder decoder;
  EXPECT_EQ(decoder.probe(bytes_of(file)), whole.size);
  EXPECT_LE(largest_difference(whole.bytes, decode(decoder, file, whole.size)), 2);
  EXPECT_LE(largest_difference(resized.bytes, decode(decoder, file, resized.size)), 2);
}

INSTANTIATE_TEST_SUITE_P(All, KindOfImage,
                         testing::Values("colour_420.jpg", "colour_422.jpg", "colour_444.jpg", "progressive.jpg",
                                         "gray.jpg", "cmyk.jpg", "one_pixel.jpg", "larger.jpg", "colour.png",
                                         "gray.png", "black_and_white.png", "palette.png", "palette_alpha.png",
                                         "colour_alpha.png", "gray_alpha.png", "colour_16.png", "colour_alpha_16.png",
                                         "gray_alpha_16.png", "gray_16.png", "interlaced.png"),
                         [](const auto& test) {
                           return test.param.substr(0, test.param.find('.')) + "_" +
                                  test.param.substr(test.param.find('.') + 1);
                         });

TEST(ImageDecoder, ResizesInOneDirectionAlone) {
  const std::string file = read_file(images() / "colour.png");
  ImageDecoder decoder;
  for (const char* name : {"narrow", "wide", "low", "tall"}) {
    const Pixels expected = read_ppm(images() / (std::string("colour.png.") + name + ".ppm"));
    EXPECT_LE(largest_difference(expected.bytes, decode(decoder, file, expected.size)), 2) << name;
  }
}

/// What decoding `file` says; empty when it succeeds.
std::string complaint(ImageDecoder& decoder, const std::string& file) {
  std::vector<std::uint8_t> pixels(21 * 33 * 3);
  try {
    decoder.decode(bytes_of(file), {21, 33}, pixels.data());
    return "";
  } catch (const DataError& error) {
    return error.what();
  }
}

TEST(ImageDecoder, SaysWhatAFileThatIsNoImageLooksLike) {
  ImageDecoder decoder;
  EXPECT_EQ(complaint(decoder, ""), "expected JPEG or PNG, found an empty file");
  EXPECT_EQ(complaint(decoder, "not an image\n"), "expected JPEG or PNG, found text");
  EXPECT_EQ(complaint(decoder, std::string(100, '\0')), "expected JPEG or PNG, found zeros");
  EXPECT_EQ(complaint(decoder, "GIF89a\x01\x02"), "expected JPEG or PNG, found bytes that start with 47 49 46 38");
}

// After each refusal the same decoder must still read a whole file.
TEST(ImageDecoder, RefusesAFileCutAnywhere) {
  for (const char* name : {"colour_420.jpg", "progressive.jpg", "cmyk.jpg", "palette.png", "interlaced.png"}) {
    const std::string file = read_file(images() / name);
    const Pixels whole = read_ppm(images() / (std::string(name) + ".ppm"));
    ImageDecoder decoder;
    for (std::size_t length = 0; length < file.size(); length += length < 40 || length + 40 > file.size() ? 1 : 7)
      ASSERT_THAT(complaint(decoder, file.substr(0, length)), HasSubstr("expected")) << name << " cut at " << length;
    EXPECT_LE(largest_difference(whole.bytes, decode(decoder, file, whole.size)), 2) << name;
  }
}

TEST(ImageDecoder, NeverWritesBeyondThePixelsOfADamagedFile) {
  for (const char* name : {"colour_420.jpg", "progressive.jpg", "gray_16.png", "palette.png"}) {
    const std::string file = read_file(images() / name);
    ImageDecoder decoder;
    for (std::size_t at = 0; at < file.size(); ++at) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
      (void)complaint(decoder, damaged);  // may decode; the sanitizers watch
    }
  }
}

TEST(ImageDecoder, RefusesMoreThanAHundredMegapixelsFromTheHeader) {
  std::string png = read_file(images() / "colour.png");
  png.replace(16, 8, std::string("\0\0\x75\x30\0\0\x75\x30", 8));
  std::string jpeg = read_file(images() / "colour_444.jpg");
  jpeg.replace(jpeg.find("\xff\xc0") + 5, 4, "\x75\x30\x75\x30");
  ImageDecoder decoder;
  for (const auto& file : {png, jpeg}) {
    EXPECT_EQ(complaint(decoder, file), "expected at most 100000000 pixels, found 30000 x 30000");
    EXPECT_THROW(decoder.probe(bytes_of(file)), DataError);
  }
}

}  // namespace
}  // namespace regatta
