#include "common/printable.hpp"

#include <gtest/gtest.h>

namespace regatta {
namespace {

TEST(Printable, LeavesTextAndReplacesControls) {
  EXPECT_EQ(printable("a plain name, \xc3\xa9t\xc3\xa9 \xe2\x82\xac"), "a plain name, \xc3\xa9t\xc3\xa9 \xe2\x82\xac");
  EXPECT_EQ(printable("a\x1b[2Jb\r\n\tc\x7f"), "a?[2Jb???c?");
  EXPECT_EQ(printable("a\xc2\x9b"
                      "2Jb"),
            "a?2Jb")
      << "CSI as one character of UTF-8";
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a?b");
  EXPECT_EQ(printable("a\xc2"), "a\xc2") << "a torn character is not ours to judge";
}

TEST(PrintableLines, KeepsLinesAndTabs) {
  EXPECT_EQ(printable_lines("a\tb\n  c\x1b[31m\r\n"), "a\tb\n  c?[31m?\n");
  EXPECT_EQ(printable_lines("a\nb\nc", 2), "a\n  b\n  c");
}

}  // namespace
}  // namespace regatta
