#pragma once
// Content hashes: XXH3 with 128 bits, as 32 lower-case hex digits. Not for secrets.

#include <filesystem>
#include <string>
#include <string_view>

namespace regatta {

std::string xxh3_hex(std::string_view bytes);

/// Streams the file; throws DataError with path and reason when it cannot be read.
std::string xxh3_file_hex(const std::filesystem::path& path);

}  // namespace regatta
