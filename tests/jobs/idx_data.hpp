#pragma once
// A tiny idx data set in a temporary folder, right by default and easy to damage.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "jobs/spec.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {

/// File name -> content.
using Files = std::map<std::string, std::string>;

/// The idx header for these sizes.
std::string idx_header(const std::vector<std::uint32_t>& sizes, char type = 8);
/// As gzip makes it.
std::string gzip(const std::string& content);

/// Training: 4 images of 2 x 3, all pixels of image i are 10 i, labels 0 1 2 1. Test: 2 images, all 100 and all 200,
/// labels 2 0.
Files tiny_idx();

/// Writes the files; `data.path` of the result is the folder.
DataSpec write_idx(const TemporaryFolder& folder, const Files& files);

}  // namespace regatta::test
