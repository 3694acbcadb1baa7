#include "common/siphash.hpp"

#include <gtest/gtest.h>

#include "common/error.hpp"

namespace regatta {
namespace {

// Appendix A of the paper, and the first vectors of its reference implementation: key 00 01 .. 0f, input 00 01 ...
constexpr SipKey kKey{0x0706050403020100, 0x0f0e0d0c0b0a0908};

TEST(SipHash, MakesTheTagsOfItsPaper) {
  std::string input;
  const std::uint64_t expected[] = {0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d};
  for (const std::uint64_t tag : expected) {
    EXPECT_EQ(siphash(kKey, input), tag) << input.size() << " bytes";
    input += static_cast<char>(input.size());
  }
  while (input.size() < 15) input += static_cast<char>(input.size());
  EXPECT_EQ(siphash(kKey, input), 0xa129ca6149be45e5U);
}

TEST(SipHash, ChangesWithEveryBitOfKeyAndText) {
  const std::string text = "a message of 28 letters here";
  const std::uint64_t tag = siphash(kKey, text);
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] ^= 1;
    EXPECT_NE(siphash(kKey, other), tag);
  }
  EXPECT_NE(siphash({kKey[0] ^ 1, kKey[1]}, text), tag);
  EXPECT_NE(siphash({kKey[0], kKey[1] ^ 1}, text), tag);
}

TEST(SipKeys, AreRandomAndTravelAsText) {
  const SipKey key = new_sip_key();
  EXPECT_NE(key, new_sip_key());
  EXPECT_EQ(sip_key_from_hex(to_hex(key)), key);
  EXPECT_THROW(sip_key_from_hex("12"), IoError);
  EXPECT_THROW(sip_key_from_hex(std::string(32, 'x')), IoError);
}

}  // namespace
}  // namespace regatta
