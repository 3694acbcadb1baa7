#include "common/price.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace regatta {
namespace {

const Price kPrice{.usd_per_node_hour = {89'250'000},
                   .billing = Billing::kSlot,
                   .market = Market::kSpot,
                   .region = "us-east-1",
                   .source = "AWS c7i.large",
                   .date = "2025-07-01",
                   .kind = FigureKind::kAssumed};

TEST(Price, StandsInFilesAsWordsAndDecimalText) {
  EXPECT_EQ(to_json(kPrice).dump(),
            R"({"usd_per_node_hour":"0.08925","billing":"slot","market":"spot","region":"us-east-1",)"
            R"("source":"AWS c7i.large","date":"2025-07-01","kind":"assumed"})");
  EXPECT_EQ(price_from_json(to_json(kPrice)), kPrice);
}

TEST(Price, RefusesOtherWords) {
  const std::vector<std::pair<const char*, Json>> cases = {{"billing", "hourly"},
                                                           {"market", ""},
                                                           {"kind", "guessed"},
                                                           {"region", 7},
                                                           {"date", nullptr},
                                                           {"usd_per_node_hour", 0.5},
                                                           {"usd_per_node_hour", "cheap"},
                                                           {"usd_per_node_hour", "-0.01"},
                                                           {"usd_per_node_hour", "50000.000000001"}};
  for (const auto& [key, value] : cases) {
    Json json = to_json(kPrice);
    json[key] = value;
    try {
      price_from_json(json);
      ADD_FAILURE() << key << ": accepted " << value;
    } catch (const IoError& error) {
      EXPECT_THAT(error.what(), testing::StartsWith(key));
    }
  }
}

}  // namespace
}  // namespace regatta
