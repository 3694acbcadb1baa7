#pragma once
// What the targets share. A target takes any bytes; the reader under test may refuse them with an Error that explains
// itself, and nothing else. libFuzzer drives it (`./dev fuzz`), or replay_main.cpp over committed inputs.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/sample_reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count);

namespace regatta::fuzz {

/// A folder in memory, removed at the end of the process.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, std::string_view content) const;

 private:
  std::filesystem::path path_;
};

/// Ends the process with the words: a finding.
[[noreturn]] void found(const std::string& what);

/// A message has a reason and, in a second line, advice.
void expect_explained(const std::string& message);

/// Decodes both splits, whole and sample by sample, and compares; the index again through JSON.
void expect_consistent(const DatasetIndex& index);

}  // namespace regatta::fuzz
