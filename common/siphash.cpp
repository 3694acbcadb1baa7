#include "common/siphash.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "common/error.hpp"
#include "common/hash.hpp"

namespace regatta {

namespace {

static_assert(std::endian::native == std::endian::little, "words are taken as they lie");

struct SipState {
  std::uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1, v1 = std::rotl(v1, 13), v1 ^= v0, v0 = std::rotl(v0, 32);
    v2 += v3, v3 = std::rotl(v3, 16), v3 ^= v2;
    v0 += v3, v3 = std::rotl(v3, 21), v3 ^= v0;
    v2 += v1, v1 = std::rotl(v1, 17), v1 ^= v2, v2 = std::rotl(v2, 32);
  }
  void take(std::uint64_t word) {
    v3 ^= word;
    round(), round();
    v0 ^= word;
  }
};

}  // namespace

std::uint64_t siphash(const SipKey& key, std::string_view bytes) {
  SipState state{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                 key[1] ^ 0x7465646279746573};  // "somepseudorandomlygeneratedbytes"
  const std::size_t whole = bytes.size() / 8 * 8;
  for (std::size_t at = 0; at < whole; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    state.take(word);
  }
  const std::uint64_t last = static_cast<std::uint64_t>(bytes.size()) << 56;
  std::uint64_t rest = 0;
  std::memcpy(&rest, bytes.data() + whole, bytes.size() - whole);
  state.take(last | rest);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

SipKey new_sip_key() {
  SipKey key{};
  if (::getrandom(key.data(), sizeof key, 0) != static_cast<ssize_t>(sizeof key))
    throw IoError("cannot get random numbers from the kernel: " + errno_text(errno));
  return key;
}

std::string to_hex(const SipKey& key) {
  return fmt::format("{:016x}{:016x}", key[0], key[1]);
}

SipKey sip_key_from_hex(std::string_view text) {
  const auto number = parse_hash(text);
  if (!number) throw IoError("a key: expected 32 hex digits");
  return {number->high, number->low};
}

}  // namespace regatta
