#include "common/hash.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <cerrno>
#include <charconv>
#include <fstream>
#include <new>
#include <vector>

#include "common/error.hpp"

namespace regatta {

namespace {
Hash128 number_of(XXH128_hash_t hash) {
  return {hash.high64, hash.low64};
}
}  // namespace

std::string xxh3_hex(std::string_view bytes) {
  return to_hex(xxh3_128(bytes.data(), bytes.size()));
}

Hash128 xxh3_128(const void* bytes, std::size_t count) {
  return number_of(XXH3_128bits(bytes, count));
}

std::string to_hex(Hash128 hash) {
  return fmt::format("{:016x}{:016x}", hash.high, hash.low);  // XXH's canonical form: big-endian, high half first
}

std::optional<Hash128> parse_hash(std::string_view text) {
  constexpr std::size_t kHalf = 16;
  if (text.size() != 2 * kHalf || text.find_first_not_of("0123456789abcdef") != std::string_view::npos) return {};
  Hash128 hash;
  std::from_chars(text.data(), text.data() + kHalf, hash.high, 16);
  std::from_chars(text.data() + kHalf, text.data() + 2 * kHalf, hash.low, 16);
  return hash;
}

void Xxh3::Release::operator()(void* state) const {
  XXH3_freeState(static_cast<XXH3_state_t*>(state));
}

Xxh3::Xxh3() : state_(XXH3_createState()) {
  if (!state_) throw std::bad_alloc();
  XXH3_128bits_reset(static_cast<XXH3_state_t*>(state_.get()));
}

void Xxh3::add(const void* bytes, std::size_t count) {
  XXH3_128bits_update(static_cast<XXH3_state_t*>(state_.get()), bytes, count);
}

std::string Xxh3::hex() const {
  return to_hex(number_of(XXH3_128bits_digest(static_cast<const XXH3_state_t*>(state_.get()))));
}

std::string xxh3_file_hex(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError("cannot open " + path.string() + ": " + errno_text(errno));
  Xxh3 hash;
  std::vector<char> buffer(1 << 20);
  while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), file.gcount() > 0)
    hash.add(buffer.data(), static_cast<std::size_t>(file.gcount()));
  if (file.bad()) throw DataError("cannot read " + path.string() + ": " + errno_text(errno));
  return hash.hex();
}

}  // namespace regatta
