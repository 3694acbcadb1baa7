// The first byte says which of the four files of a tiny data set the rest replaces.

#include <array>

#include "common/error.hpp"
#include "jobs/idx_files.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace regatta::fuzz {

namespace {

using namespace std::string_literals;

const std::array<std::pair<const char*, std::string>, 4> kTinySet = {
    {{"train-images-idx3-ubyte", "\0\0\x08\x03\0\0\0\x03\0\0\0\x02\0\0\0\x02"s + "aaaabbbbcccc"},
     {"train-labels-idx1-ubyte", "\0\0\x08\x01\0\0\0\x03\0\x01\0"s},
     {"t10k-images-idx3-ubyte", "\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02zzzz"s},
     {"t10k-labels-idx1-ubyte", "\0\0\x08\x01\0\0\0\x01\x01"s}}};

void try_idx(std::size_t which, std::string_view content) {
  static const Scratch scratch;
  for (std::size_t i = 0; i < kTinySet.size(); ++i)
    scratch.write(kTinySet[i].first, i == which ? content : std::string_view(kTinySet[i].second));
  DataSpec data;
  data.path = scratch.path();
  DatasetIndex index;
  try {
    index = index_dataset(data, 1, std::int64_t{1} << 28);
  } catch (const DataError& error) {
    return expect_explained(error.what());
  }
  if (index.decoded_bytes() <= std::int64_t{1} << 22) expect_consistent(index);
}

}  // namespace

}  // namespace regatta::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), count);
  if (!input.empty()) regatta::fuzz::try_idx(bytes[0] % 4, input.substr(1));
  return 0;
}
