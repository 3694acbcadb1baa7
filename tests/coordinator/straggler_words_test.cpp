#include "coordinator/straggler_words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/run_words.hpp"
#include "tests/coordinator/samples.hpp"

namespace regatta {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

record::Epoch late_epoch(int number, std::vector<int> ranks, double waited_s) {
  record::Epoch epoch = test::epoch_record(number, 10);
  epoch.stragglers = record::Stragglers{.ranks = std::move(ranks), .hosts = {"n3"}, .waited_s = waited_s};
  return epoch;
}

std::string sentence_of(const std::vector<record::Epoch>& epochs, const std::optional<Price>& price = {}) {
  std::vector<const record::Epoch*> all;
  for (const auto& epoch : epochs) all.push_back(&epoch);
  return straggler_sentence(all, price, {.nodes = 2, .ranks = 4, .cores_per_node = 2});
}

TEST(StragglerWords, SayWhoHowLongAndForHowMuch) {
  EXPECT_EQ(sentence_of({late_epoch(1, {2}, 1.5), late_epoch(2, {2}, 2.5)}),
            "the others waited 2.00 s an epoch for rank 2 on n3");
  // Three of four ranks for 2 s, at a thousandth of a dollar a node and second.
  Price price = test::sample_price();
  price.usd_per_node_hour = NanoUsd{3'600'000'000};
  price.billing = Billing::kNode;
  EXPECT_EQ(sentence_of({late_epoch(1, {2}, 2)}, price),
            "the others waited 2.00 s an epoch for rank 2 on n3, which cost $0.00300 an epoch");
}

TEST(StragglerWords, NameThoseThatCostMost) {
  EXPECT_EQ(sentence_of({late_epoch(1, {0}, 1), late_epoch(2, {2, 3}, 3), late_epoch(3, {2, 3}, 1)}),
            "the others waited 2.00 s an epoch for ranks 2, 3 on n3 (in 2 of 3 epochs)");
  EXPECT_EQ(sentence_of({test::epoch_record(1, 10)}), "");
  EXPECT_EQ(sentence_of({}), "");
}

TEST(StragglerWords, StandInShow) {
  const auto epoch = late_epoch(1, {2}, 1.93);
  const auto page_of = [](const record::Epoch& shown) {
    return to_page(test::fold({test::event("run", "R", 0, test::run_body()),
                               test::event("launch", "R", 1, {{"argv", Json::array()}, {"at", to_text(test::at(0))}}),
                               test::journal("R", 1, 1, test::start_record()), test::journal("R", 1, 2, shown)})
                       .runs.at("R"),
                   false);
  };
  EXPECT_THAT(page_of(epoch), AllOf(HasSubstr("stragglers     the others waited 1.93 s an epoch for rank 2 on n3"),
                                    HasSubstr("waited for"), HasSubstr("rank 2 on n3: 1.93 s")));
  EXPECT_THAT(page_of(test::epoch_record(1, 10)), AllOf(Not(HasSubstr("stragglers")), Not(HasSubstr("waited for"))));
}

}  // namespace
}  // namespace regatta
