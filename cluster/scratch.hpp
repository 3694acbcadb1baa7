#pragma once
// A folder under the one for temporary files, gone with this object.

#include <cstdlib>
#include <string>

#include "common/error.hpp"
#include "common/files.hpp"

namespace regatta {

class Scratch {
 public:
  /// Throws IoError where there can be none.
  explicit Scratch(const std::string& name) {
    std::string folder = (fs::temp_directory_path() / (name + "-XXXXXX")).string();
    if (::mkdtemp(folder.data()) == nullptr) throw IoError(folder + ": " + errno_text(errno));
    path_ = folder;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace regatta
