#include "tests/jobs/idx_data.hpp"

#include <zlib.h>

#include <stdexcept>

namespace regatta::test {

std::string idx_header(const std::vector<std::uint32_t>& sizes, char type) {
  std::string text{'\0', '\0', type, static_cast<char>(sizes.size())};
  for (const std::uint32_t size : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(size >> shift & 255);
  return text;
}

std::string gzip(const std::string& content) {
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::runtime_error("zlib");
  std::string out(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) throw std::runtime_error("zlib");
  return out;
}

Files tiny_idx() {
  std::string train, test;
  for (int image = 0; image < 4; ++image) train += std::string(6, static_cast<char>(10 * image));
  test = std::string(6, static_cast<char>(100)) + std::string(6, static_cast<char>(200));
  return {{"train-images-idx3-ubyte", idx_header({4, 2, 3}) + train},
          {"train-labels-idx1-ubyte", idx_header({4}) + std::string{0, 1, 2, 1}},
          {"t10k-images-idx3-ubyte", idx_header({2, 2, 3}) + test},
          {"t10k-labels-idx1-ubyte", idx_header({2}) + std::string{2, 0}}};
}

DataSpec write_idx(const TemporaryFolder& folder, const Files& files) {
  for (const auto& [name, content] : files) folder.write(name, content);
  DataSpec data;
  data.format = DataFormat::kIdx;
  data.path = folder.path();
  return data;
}

}  // namespace regatta::test
