#include "jobs/image_manifest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/error.hpp"

namespace regatta {
namespace {

using testing::HasSubstr;

const std::string kHash = "0123456789abcdef0123456789abcdef";

ImageManifest two_classes() {
  ImageManifest manifest;
  manifest.classes = {"cat", "d\tg\\ \xff"};
  const Hash128 hash = *parse_hash(kHash);
  manifest.add(manifest.train, {.label = 0, .bytes = 17, .xxh3 = hash}, "train/cat/1.jpg");
  manifest.add(manifest.train, {.label = 1, .bytes = 4'000'000'000, .xxh3 = hash}, "train/d\tg\\ \xff/\xc3\xa9\n.png");
  manifest.add(manifest.test, {.label = 1, .bytes = 1, .xxh3 = hash}, "val/d/x..jpg");
  return manifest;
}

TEST(ImageManifest, LooksAsDocumented) {
  EXPECT_EQ(manifest_text(two_classes()),
            "regatta-manifest\t1\nclass\tcat\nclass\td\\x09g\\x5c \\xff\n"
            "train\t0\t17\t" +
                kHash +
                "\ttrain/cat/1.jpg\n"
                "train\t1\t4000000000\t" +
                kHash +
                "\ttrain/d\\x09g\\x5c \\xff/\xc3\xa9\\x0a.png\n"
                "test\t1\t1\t" +
                kHash + "\tval/d/x..jpg\n");
}

TEST(ImageManifest, RoundTrip) {
  const ImageManifest manifest = two_classes(), again = parse_manifest(manifest_text(manifest));
  EXPECT_EQ(again, manifest);
  EXPECT_STREQ(again.path(again.train[1]), "train/d\tg\\ \xff/\xc3\xa9\n.png");
}

TEST(ImageManifest, NamesAreEscapedWhereTheyAreNoText) {
  const std::vector<std::pair<std::string, std::string>> names = {{"plain name.jpg", "plain name.jpg"},
                                                                  {"\xe2\x82\xac", "\xe2\x82\xac"},  // the euro sign
                                                                  {"\xf0\x9f\x90\xb1", "\xf0\x9f\x90\xb1"},  // a cat
                                                                  {"\x1b[31m", "\\x1b[31m"},
                                                                  {"\xc0\xaf", "\\xc0\\xaf"},           // overlong
                                                                  {"\xed\xa0\x80", "\\xed\\xa0\\x80"},  // a surrogate
                                                                  {"\xe2\x82", "\\xe2\\x82"},           // cut
                                                                  {"a\x7f", "a\\x7f"}};
  for (const auto& [name, escaped] : names) EXPECT_EQ(escaped_name(name), escaped);
}

TEST(ImageManifest, DamageNamesTheLine) {
  const std::string head = "regatta-manifest\t1\nclass\tcat\n", good = "\t" + kHash + "\t";
  struct BadLine {
    std::string text;
    std::vector<std::string> message;
  };
  for (const auto& [text, message] : std::vector<BadLine>{
           {"", {"line 0: expected regatta-manifest 1"}},
           {"regatta-manifest\t2\n", {"line 1: expected regatta-manifest 1"}},
           {head + "train\t0\t1", {"line 3: expected a line that ends"}},
           {head + "dev\t0\t1" + good + "a\n", {"line 3: expected class, train or test in order", "\"dev\""}},
           {head + "test\t0\t1" + good + "a\ntrain\t0\t1" + good + "a\n", {"line 4", "in order"}},
           {head + "test\t0\t1" + good + "a\nclass\tdog\n", {"line 4", "in order"}},
           {head + "train\t1\t1" + good + "a\n", {"line 3: expected a class below 1, found \"1\""}},
           {head + "train\t-1\t1" + good + "a\n", {"line 3: expected the number of a class", "\"-1\""}},
           {head + "train\t0\t99999999999" + good + "a\n", {"line 3: expected the size of a file"}},
           {head + "train\t0\t1\tabc\ta\n", {"line 3: expected 32 hex digits, found \"abc\""}},
           {head + "train\t0\t1" + good + "\n", {"line 3: expected a name"}},
           {head + "train\t0\t1" + good + "a\\q\n", {"line 3: expected \\xHH"}},
           {head + "train\t0\t1" + good + "a\\x00\n", {"line 3: expected \\xHH"}},
           {head + "train\t0\t1" + good + "a\tb\n", {"line 3: expected control characters as \\xHH"}},
           {head + "train\t0\t1" + good + std::string("a\0b\n", 4), {"line 3: expected control characters as \\xHH"}},
           {head + "train\t0\t1" + good + "/etc/passwd\n", {"line 3: expected a path below the folder"}},
           {head + "train\t0\t1" + good + "train/../../x\n", {"line 3: expected a path below the folder"}}}) {
    try {
      parse_manifest(text);
      ADD_FAILURE() << text << ": accepted";
    } catch (const IoError& error) {
      for (const auto& part : message) EXPECT_THAT(error.what(), HasSubstr(part)) << text;
    }
  }
}

TEST(ImageManifest, EveryCutIsNoticedByItsLastLineOrItsCounts) {
  const std::string text = manifest_text(two_classes());
  for (std::size_t size = 0; size < text.size(); ++size) {
    if (size > 0 && text[size - 1] == '\n' && size > 19) continue;  // whole lines: the hash in the plan differs
    if (size == 19) continue;
    EXPECT_THROW(parse_manifest(text.substr(0, size)), IoError) << size;
  }
}

}  // namespace
}  // namespace regatta
