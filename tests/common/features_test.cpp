#include "common/features.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.hpp"

namespace regatta {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Feature kAll[] = {Feature::kNodeExchanger, Feature::kClusterExchanger, Feature::kStreamingStores,
                            Feature::kAllocator,     Feature::kOneDnnLinear,     Feature::kBf16Weights,
                            Feature::kStepTrace};

TEST(Features, AreAllOnUnlessSaid) {
  for (const char* text : {"", " "})
    for (const Feature feature : kAll) EXPECT_TRUE(parse_features(text).has(feature)) << to_text(feature);
  EXPECT_THAT(Features().warnings(), IsEmpty());
}

TEST(Features, AreSwitchedOffOneByOne) {
  for (const Feature off : kAll) {
    const Features features = parse_features(to_text(off));
    for (const Feature feature : kAll) EXPECT_EQ(features.has(feature), feature != off) << to_text(feature);
    EXPECT_THAT(features.switched_off(), ElementsAre(off));
  }
}

TEST(Features, ComeAsAList) {
  const Features features = parse_features("bf16_weights, allocator,allocator");
  EXPECT_THAT(features.switched_off(), ElementsAre(Feature::kAllocator, Feature::kBf16Weights));
  EXPECT_THAT(features.warnings(),
              ElementsAre("without allocator: REGATTA_WITHOUT is set", "without bf16_weights: REGATTA_WITHOUT is set"));
  EXPECT_EQ(to_text(features), "allocator,bf16_weights");
  EXPECT_EQ(parse_features(to_text(features)), features);
  EXPECT_NE(features, Features());
}

TEST(Features, RefuseWhatTheyDoNotKnow) {
  for (const char* text : {"alocator", "allocator,,bf16_weights", "allocator,", "Allocator", "all"}) {
    try {
      parse_features(text);
      ADD_FAILURE() << "accepted " << text;
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(),
                  HasSubstr("known: allocator, bf16_weights, cluster_exchanger, convolutions, lstm, node_exchanger, "
                            "onednn_linear, step_trace, streaming_stores"));
    }
  }
  try {
    parse_features("allocator,alocator");
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("REGATTA_WITHOUT: unknown word \"alocator\""),
                                    HasSubstr("Did you mean \"allocator\"?")));
  }
}

TEST(Features, ComeFromOneVariable) {
  const auto with = [](const char* value) {
    return features_from_environment(
        [value](const char* name) { return std::string_view(name) == "REGATTA_WITHOUT" ? value : nullptr; });
  };
  EXPECT_EQ(with(nullptr), Features());
  EXPECT_EQ(with(""), Features());
  EXPECT_FALSE(with("node_exchanger").has(Feature::kNodeExchanger));
}

}  // namespace
}  // namespace regatta
