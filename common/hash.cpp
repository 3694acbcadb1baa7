#include "common/hash.hpp"

#include <fmt/ranges.h>
#include <xxhash.h>

#include <cerrno>
#include <fstream>
#include <memory>
#include <vector>

#include "common/error.hpp"

namespace regatta {

namespace {
std::string to_hex(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  return fmt::format("{:02x}", fmt::join(canonical.digest, ""));
}
}  // namespace

std::string xxh3_hex(std::string_view bytes) {
  return to_hex(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string xxh3_file_hex(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError("cannot open " + path.string() + ": " + errno_text(errno));
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_128bits_reset(state.get());
  std::vector<char> buffer(1 << 20);
  while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), file.gcount() > 0)
    XXH3_128bits_update(state.get(), buffer.data(), static_cast<std::size_t>(file.gcount()));
  if (file.bad()) throw DataError("cannot read " + path.string() + ": " + errno_text(errno));
  return to_hex(XXH3_128bits_digest(state.get()));
}

}  // namespace regatta
