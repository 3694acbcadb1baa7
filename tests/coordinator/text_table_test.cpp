#include "coordinator/text_table.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

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

TEST(Figures, DurationsInUnitsOfAPerson) {
  const std::pair<double, const char*> cases[] = {{0.0123, "12.3 ms"}, {1.234, "1.23 s"},    {45.67, "45.7 s"},
                                                  {123, "2m 03s"},     {3723, "1h 02m 03s"}, {99.96, "1m 40s"}};
  for (const auto& [seconds, text] : cases) EXPECT_EQ(duration_text(seconds), text);
  EXPECT_EQ(duration_text(std::numeric_limits<double>::quiet_NaN()), "-");
}

TEST(Figures, Percent) {
  EXPECT_EQ(percent_text(0.98421), "98.42 %");
  EXPECT_EQ(percent_text({}), "-");
}

}  // namespace
}  // namespace regatta
