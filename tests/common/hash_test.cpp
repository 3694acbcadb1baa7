#include "common/hash.hpp"

#include <gtest/gtest.h>

#include <string>

#include "common/error.hpp"
#include "tests/support/process.hpp"

namespace regatta {
namespace {

// xxHash 0.8's own answer: `printf '' | xxh128sum`
TEST(Hash, KnownValue) {
  EXPECT_EQ(xxh3_hex(""), "99aa06d3014798d86001c324468d497f");
}

TEST(Hash, AFileHashesAsItsBytes) {
  const test::TemporaryFolder folder;
  std::string content;
  for (int i = 0; i < 3'000'000; ++i) content += static_cast<char>(i * 31);  // more than one buffer
  const auto path = folder.write("file", content);
  EXPECT_EQ(xxh3_file_hex(path), xxh3_hex(content));
  content[2'999'999] ^= 1;
  EXPECT_NE(xxh3_file_hex(path), xxh3_hex(content));
  EXPECT_THROW(xxh3_file_hex(folder.path() / "missing"), DataError);
}

TEST(Hash, NumbersAndPiecesGiveTheSameText) {
  const std::string content = "the same bytes, whole or in pieces";
  const std::string hex = xxh3_hex(content);
  const Hash128 number = xxh3_128(content.data(), content.size());
  EXPECT_EQ(to_hex(number), hex);
  EXPECT_EQ(parse_hash(hex), number);
  Xxh3 pieces;
  for (const char c : content) pieces.add(&c, 1);
  EXPECT_EQ(pieces.hex(), hex);
  EXPECT_FALSE(parse_hash(hex + "0"));
  EXPECT_FALSE(parse_hash(hex.substr(1)));
  EXPECT_FALSE(parse_hash("G" + hex.substr(1)));
}

}  // namespace
}  // namespace regatta
