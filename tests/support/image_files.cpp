#include "tests/support/image_files.hpp"

#include <cstdio>  // jpeglib.h needs it before
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include <jpeglib.h>
#include <png.h>

namespace regatta::test {

namespace {

std::vector<std::uint8_t> pixels_of(int height, int width, std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < height * width; ++i) pixels.insert(pixels.end(), {red, green, blue});
  return pixels;
}

}  // namespace

std::string jpeg_of(int height, int width, std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
  std::vector<std::uint8_t> pixels = pixels_of(height, width, red, green, blue);
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long count = 0;
  jpeg_mem_dest(&jpeg, &bytes, &count);
  jpeg.image_height = static_cast<JDIMENSION>(height);
  jpeg.image_width = static_cast<JDIMENSION>(width);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, 95, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = pixels.data() + static_cast<std::size_t>(jpeg.next_scanline) * static_cast<std::size_t>(width) * 3;
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  std::string file(reinterpret_cast<char*>(bytes), count);
  jpeg_destroy_compress(&jpeg);
  std::free(bytes);
  return file;
}

std::string png_of(int height, int width, std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
  const std::vector<std::uint8_t> pixels = pixels_of(height, width, red, green, blue);
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(width);
  png.height = static_cast<png_uint_32>(height);
  png.format = PNG_FORMAT_RGB;
  png_alloc_size_t count = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::string file(count, '\0');
  if (png_image_write_to_memory(&png, file.data(), &count, 0, pixels.data(), 0, nullptr) == 0)
    throw std::runtime_error(png.message);
  file.resize(count);
  return file;
}

std::string jpeg_that_claims(int height, int width) {
  std::string file = jpeg_of(8, 8, 1, 2, 3);
  const std::size_t frame = file.find("\xff\xc0");  // marker, length, precision, then the sizes
  if (frame == std::string::npos) throw std::runtime_error("no frame header");
  for (const auto& [at, value] : {std::pair{frame + 5, height}, std::pair{frame + 7, width}}) {
    file[at] = static_cast<char>(value >> 8);
    file[at + 1] = static_cast<char>(value & 255);
  }
  return file;
}

void write_image_folder(const TemporaryFolder& folder, int train_each, int test_each, int height, int width) {
  for (const auto& [split, count] : {std::pair{"train", train_each}, std::pair{"test", test_each}})
    for (int i = 0; i < count; ++i) {
      const auto shade = static_cast<std::uint8_t>(i % 40);
      const std::string name = "/" + std::to_string(i) + ".jpg";
      const auto bright = static_cast<std::uint8_t>(200 + shade), dark = static_cast<std::uint8_t>(20 + shade);
      folder.write(std::string(split) + "/cat" + name, jpeg_of(height, width, bright, bright, dark));
      folder.write(std::string(split) + "/dog" + name, jpeg_of(height, width, dark, dark, bright));
    }
}

}  // namespace regatta::test
