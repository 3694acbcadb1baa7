#pragma once
// What was measured before and need not be measured again: one file a key,
//   FOLDER/XXH3-OF-KEY.json   {"schema": 1, "of": key, NAME: value}
// A key says all that the value depends on.

#include <filesystem>
#include <string>

#include "common/json.hpp"

namespace regatta {

class MeasuredFiles {
 public:
  MeasuredFiles(std::filesystem::path folder, std::string name) : folder_(std::move(folder)), name_(std::move(name)) {}

  std::filesystem::path file_of(const Json& key) const;
  /// Null where nothing is kept. Throws IoError for a file that is damaged, or another key's.
  Json find(const Json& key) const;
  /// Whole or not there. Throws IoError.
  void keep(const Json& key, Json value) const;

 private:
  std::filesystem::path folder_;
  std::string name_;
};

}  // namespace regatta
