#include "tests/fuzz/fuzz.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "common/error.hpp"

namespace regatta::fuzz {

namespace {

namespace fs = std::filesystem;

fs::path make_folder() {
  const fs::path memory = "/dev/shm";
  std::string name =
      ((::access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path()) / "fuzz-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) found("no scratch folder");
  return name;
}

}  // namespace

Scratch::Scratch() : path_(make_folder()) {}

Scratch::~Scratch() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void Scratch::write(const std::string& name, std::string_view content) const {
  fs::create_directories((path_ / name).parent_path());
  std::ofstream(path_ / name, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

void found(const std::string& what) {
  std::fprintf(stderr, "finding: %s\n", what.c_str());
  std::abort();
}

void expect_explained(const std::string& message) {
  if (message.size() < 10 || message.find("\n  ") == std::string::npos) found("no advice in: " + message);
}

void expect_consistent(const DatasetIndex& index) {
  DatasetIndex again = dataset_index_from_json(parse_json(to_json(index).dump(), "index"));
  attach_manifest(again, manifest_of(index));
  if (again != index) found("the index is another one after JSON");
  const auto bytes = static_cast<std::size_t>(index.sample_bytes());
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const auto count = static_cast<std::size_t>(index.count(split));
    std::vector<std::uint8_t> pixels(count * bytes), one(bytes);
    std::vector<std::int64_t> labels(count);
    decode_split(index, 1, split, {pixels.data(), labels.data()});
    if (!can_read_samples(index)) continue;
    const auto reader = open_samples(index, 1, split);
    for (std::size_t i = 0; i < count; ++i) {
      const bool same = reader->read(static_cast<std::int64_t>(i), one.data()) == labels[i] &&
                        std::equal(one.begin(), one.end(), pixels.begin() + static_cast<std::ptrdiff_t>(i * bytes));
      if (!same) found("a sample read alone is another one than decoded");
      if (labels[i] < 0 || labels[i] >= index.classes) found("a label out of range");
    }
  }
}

}  // namespace regatta::fuzz
