#include "coordinator/text_table.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace regatta {
namespace {

TEST(TextTable, AlignsWordsLeftAndNumbersRight) {
  TextTable table({{"name"}, {"cost", Align::kRight}, {"note"}});
  table.add({"one-core", "$1.23", "x"});
  table.add({"zwölf", "$12.30"});
  EXPECT_EQ(table.text(false),
            "name        cost  note\n"
            "one-core   $1.23  x\n"
            "zwölf     $12.30\n");
}

TEST(TextTable, ColourChangesNoWidth) {
  TextTable table({{"status"}, {"n", Align::kRight}});
  table.add({{"done", Style::kGreen}, "1"});
  EXPECT_EQ(table.text(true), "\033[1mstatus\033[0m  \033[1mn\033[0m\n\033[32mdone\033[0m    1\n");
}

TEST(TextTable, NoColourIsObeyed) {
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(wants_colour(1));
  ::unsetenv("NO_COLOR");
}

}  // namespace
}  // namespace regatta
