#pragma once
// Content hashes: XXH3 with 128 bits, as 32 lower-case hex digits. Not for secrets.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace regatta {

std::string xxh3_hex(std::string_view bytes);

/// The same as a number, for hashes by the ten thousand.
struct Hash128 {
  std::uint64_t high = 0, low = 0;
  bool operator==(const Hash128&) const = default;
};
Hash128 xxh3_128(const void* bytes, std::size_t count);
std::string to_hex(Hash128 hash);
/// Nothing unless `text` is 32 lower-case hex digits.
std::optional<Hash128> parse_hash(std::string_view text);

/// The hash of bytes that come piece by piece. One thread.
class Xxh3 {
 public:
  Xxh3();
  void add(const void* bytes, std::size_t count);
  std::string hex() const;  ///< of what was added so far

 private:
  struct Release {
    void operator()(void* state) const;
  };
  std::unique_ptr<void, Release> state_;
};

/// Streams the file; throws DataError with path and reason when it cannot be read.
std::string xxh3_file_hex(const std::filesystem::path& path);

}  // namespace regatta
