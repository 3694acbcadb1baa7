#include "worker/bucket_plan.hpp"

#include <gmock/gmock.h>

#include <numeric>
#include <set>

#include "common/error.hpp"
#include "worker/rank_context.hpp"

namespace regatta {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(BucketPlan, GoesBackwardsFirstASmallBucketThenLargeOnes) {
  // 4-byte elements; first bucket up to 40 bytes, the others up to 80.
  const std::vector<std::int64_t> counts{6, 5, 9, 8, 7, 3};
  const BucketPlan plan = make_bucket_plan(counts, 4, {.first_bytes = 40, .other_bytes = 80});
  // Backwards: 3 + 7 = 10 elements fill 40 bytes; 8 + 9 = 17 are 68, 5 more would be 88; 5 + 6 are the rest.
  EXPECT_THAT(plan.buckets, ElementsAre(BucketRange{0, 10, 2}, BucketRange{10, 27, 2}, BucketRange{27, 38, 2}));
  EXPECT_THAT(plan.slots, ElementsAre(BucketSlot{2, 32, 6}, BucketSlot{2, 27, 5}, BucketSlot{1, 18, 9},
                                      BucketSlot{1, 10, 8}, BucketSlot{0, 3, 7}, BucketSlot{0, 0, 3}));
  EXPECT_EQ(plan.elements, 38);
}

TEST(BucketPlan, AParameterLargerThanTheLimitHasItsOwnBucket) {
  const std::vector<std::int64_t> counts{1, 100, 1};
  const BucketPlan plan = make_bucket_plan(counts, 8, {.first_bytes = 16, .other_bytes = 32});
  EXPECT_THAT(plan.buckets, ElementsAre(BucketRange{0, 1, 1}, BucketRange{1, 101, 1}, BucketRange{101, 102, 1}));
}

TEST(BucketPlan, SmallModelsAreOneBucket) {
  const std::vector<std::int64_t> cnn{200, 8, 3200, 16, 7840, 10};
  EXPECT_EQ(make_bucket_plan(cnn, 4, {}).buckets.size(), 1);
}

TEST(BucketPlan, SlotsTileTheBufferAndKeepTheirBuckets) {
  std::vector<std::int64_t> counts;
  for (std::int64_t i = 0; i < 200; ++i) counts.push_back(1 + (i * i * 7919) % 5000);
  const BucketLimits limits{.first_bytes = 10'000, .other_bytes = 50'000};
  const BucketPlan plan = make_bucket_plan(counts, 4, limits);

  std::vector<int> owners(static_cast<std::size_t>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0})), 0);
  ASSERT_EQ(plan.elements, static_cast<std::int64_t>(owners.size()));
  std::vector<int> parameters(plan.buckets.size(), 0);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const BucketSlot& slot = plan.slots[i];
    const BucketRange& bucket = plan.buckets[static_cast<std::size_t>(slot.bucket)];
    EXPECT_EQ(slot.count, counts[i]);
    EXPECT_GE(slot.offset, bucket.begin);
    EXPECT_LE(slot.offset + slot.count, bucket.end);
    ++parameters[static_cast<std::size_t>(slot.bucket)];
    for (std::int64_t e = 0; e < slot.count; ++e) ++owners[static_cast<std::size_t>(slot.offset + e)];
  }
  EXPECT_EQ(std::set<int>(owners.begin(), owners.end()), std::set<int>{1});  // every element once
  std::int64_t end = 0;
  for (std::size_t b = 0; b < plan.buckets.size(); ++b) {
    EXPECT_EQ(plan.buckets[b].begin, end);
    EXPECT_EQ(plan.buckets[b].parameters, parameters[b]);
    EXPECT_LE((plan.buckets[b].end - plan.buckets[b].begin) * 4, b == 0 ? limits.first_bytes : limits.other_bytes);
    end = plan.buckets[b].end;
  }
  EXPECT_EQ(end, plan.elements);
}

TEST(BucketPlan, HashTellsPlansApart) {
  const std::vector<std::int64_t> counts{4, 2}, swapped{2, 4}, split{4, 1, 1};
  std::set<std::string> hashes{make_bucket_plan(counts, 4, {}).hash, make_bucket_plan(swapped, 4, {}).hash,
                               make_bucket_plan(split, 4, {}).hash, make_bucket_plan(counts, 8, {}).hash,
                               make_bucket_plan(counts, 4, {.first_bytes = 8}).hash};
  EXPECT_EQ(hashes.size(), 5);
  EXPECT_EQ(make_bucket_plan(counts, 4, {}), make_bucket_plan(counts, 4, {}));
}

/// Three ranks as rank 0 sees them, without any.
class ThreeRanks final : public RankContext {
 public:
  explicit ThreeRanks(std::vector<std::string> gathered) : gathered_(std::move(gathered)) {}
  int rank() const override { return 0; }
  int world_size() const override { return 3; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 3; }
  void barrier() override {}
  void node_barrier() override {}
  void allreduce(std::span<double>, Reduce) override {}
  std::string broadcast(std::string text) override { return text; }
  std::vector<std::string> gather(std::string) override { return gathered_; }
  std::byte* node_shared(std::size_t) override { return nullptr; }
  void abandon() override {}

 private:
  std::vector<std::string> gathered_;
};

TEST(BucketPlan, NamesTheRankThatHasAnother) {
  const std::vector<std::int64_t> counts{4, 2};
  const BucketPlan plan = make_bucket_plan(counts, 4, {});
  ThreeRanks agreeing({plan.hash, plan.hash, plan.hash});
  EXPECT_NO_THROW(agree_on_bucket_plan(plan.hash, agreeing));
  ThreeRanks disagreeing({plan.hash, plan.hash, "feed"});
  try {
    agree_on_bucket_plan(plan.hash, disagreeing);
    FAIL() << "expected a CommError";
  } catch (const CommError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("rank 2"), HasSubstr(plan.hash), HasSubstr("feed")));
  }
}

}  // namespace
}  // namespace regatta
