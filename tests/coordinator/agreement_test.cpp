#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "comparison_runs.hpp"

namespace regatta {
namespace {

using test::make_run;
using test::named;
using test::RunRecipe;

Agreement agreement_of(const std::vector<RunRecipe>& recipes) {
  std::vector<RunState> runs;
  for (const auto& recipe : recipes) runs.push_back(make_run(recipe));
  std::vector<const RunState*> pointers;
  for (const auto& run : runs) pointers.push_back(&run);
  return agreement(pointers);
}

/// The first steps of `recipe`, each loss off by this share.
RunRecipe off_by(double relative, RunRecipe recipe = named("two-ranks")) {
  for (double& loss : recipe.early) loss *= 1 + relative;
  return recipe;
}

RunRecipe in_precision(Precision precision, RunRecipe recipe = {}) {
  recipe.training.train.precision = precision;
  return recipe;
}

TEST(Agreement, OfEqualTrainings) {
  const auto found = agreement_of({RunRecipe{}, named("two-ranks"), named("three-ranks")});
  EXPECT_EQ(found.result, AgreementResult::kAgree);
  EXPECT_DOUBLE_EQ(*found.early_loss_rel, 0);
  EXPECT_DOUBLE_EQ(*found.accuracy_se, 0);
}

TEST(Agreement, KeepsTheLargestDifferences) {
  RunRecipe far = off_by(5e-4, named("three-ranks"));
  far.accuracy = 0.9785;
  const auto found = agreement_of({RunRecipe{}, off_by(1e-4), far});
  EXPECT_EQ(found.result, AgreementResult::kAgree);
  EXPECT_NEAR(*found.early_loss_rel, 5e-4, 1e-12);
  // Two proportions of 10,000 each, by hand: sqrt(0.0196 + 0.02103775) / 100 = 0.0020159.
  EXPECT_NEAR(*found.accuracy_se, 0.0015 / 0.0020159, 1e-4);
}

struct Tolerance {
  const char* what;
  RunRecipe first, other;
  AgreementResult expected;
};

TEST(Agreement, ToleratesWhatThePrecisionsExplain) {
  RunRecipe tf32;
  tf32.training.train.tf32 = true;
  const Tolerance table[] = {
      {"fp32, just inside", {}, off_by(0.99e-3), AgreementResult::kAgree},
      {"fp32, just outside", {}, off_by(1.01e-3), AgreementResult::kDiffer},
      {"fp32, below", {}, off_by(-1.01e-3), AgreementResult::kDiffer},
      {"bf16 first", in_precision(Precision::kBf16), off_by(4.9e-2), AgreementResult::kAgree},
      {"bf16 second", {}, in_precision(Precision::kBf16, off_by(4.9e-2)), AgreementResult::kAgree},
      {"bf16, outside", {}, in_precision(Precision::kBf16, off_by(5.1e-2)), AgreementResult::kDiffer},
      {"fp16", {}, in_precision(Precision::kFp16, off_by(4.9e-2)), AgreementResult::kAgree},
      {"tf32", tf32, off_by(4.9e-2), AgreementResult::kAgree},
      {"fp64 asks as much as fp32", in_precision(Precision::kFp64), off_by(1.01e-3), AgreementResult::kDiffer},
  };
  for (const auto& [what, first, other, expected] : table)
    EXPECT_EQ(agreement_of({first, other}).result, expected) << what;
}

TEST(Agreement, LooksAtFourStepsOnly) {
  RunRecipe drifts = named("two-ranks");
  drifts.early.push_back(1.9);
  RunRecipe first;
  first.early.push_back(1.2);
  EXPECT_EQ(agreement_of({first, drifts}).result, AgreementResult::kAgree);
  drifts.early[3] *= 1.01;
  EXPECT_EQ(agreement_of({first, drifts}).result, AgreementResult::kDiffer);
}

TEST(Agreement, DiffersByAccuracy) {
  RunRecipe worse = named("two-ranks");
  worse.accuracy = 0.975;  // 5 thousandths at a standard error of about 2.1: 2.4
  EXPECT_EQ(agreement_of({RunRecipe{}, worse}).result, AgreementResult::kAgree);
  worse.accuracy = 0.973;  // 3.2 standard errors
  const auto found = agreement_of({RunRecipe{}, worse});
  EXPECT_EQ(found.result, AgreementResult::kDiffer);
  EXPECT_GT(*found.accuracy_se, 3);
  EXPECT_NE(found.detail.find("two-ranks"), std::string::npos) << found.detail;
}

TEST(Agreement, ComparesAccuraciesOfTheSameEpoch) {
  RunRecipe shorter = named("two-ranks");
  shorter.walls = {9, 6};  // max_time ended it after two epochs
  std::vector<RunState> runs{make_run({}), make_run(shorter)};
  runs[0].attempts[0].epochs[2].test_accuracy = 0.99;
  runs[0].attempts[0].epochs[3].test_accuracy = 0.99;
  const auto found = agreement({&runs[0], &runs[1]});
  EXPECT_EQ(found.result, AgreementResult::kAgree) << found.detail;
  EXPECT_DOUBLE_EQ(*found.accuracy_se, 0);
}

TEST(Agreement, WithoutAccuracyRestsOnTheLosses) {
  std::vector<RunState> runs{make_run({}), make_run(named("two-ranks"))};
  for (auto& run : runs)
    for (auto& epoch : run.attempts[0].epochs) epoch.test_accuracy.reset();
  const auto found = agreement({&runs[0], &runs[1]});
  EXPECT_EQ(found.result, AgreementResult::kAgree);
  EXPECT_FALSE(found.accuracy_se);
  EXPECT_NE(found.detail.find("no accuracy"), std::string::npos) << found.detail;
}

TEST(Agreement, ALossThatIsNoNumberDiffers) {
  RunRecipe broken = named("two-ranks");
  broken.early[2] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(agreement_of({RunRecipe{}, broken}).result, AgreementResult::kDiffer);
}

struct Override {
  const char* key;
  std::function<void(TrainingSpec&)> apply;
};

TEST(Agreement, IsNotComparableWhereTheMathematicsDiffers) {
  const Override table[] = {
      {"model",
       [](TrainingSpec& t) {
         t.model.channels = {8, 32};
       }},
      {"train.batch", [](TrainingSpec& t) { t.train.batch = 256; }},
      {"train.seed", [](TrainingSpec& t) { t.train.seed = 2; }},
      {"train.optimizer", [](TrainingSpec& t) { t.train.optimizer.lr = 0.1; }},
      {"train.optimizer", [](TrainingSpec& t) { t.train.optimizer.kind = OptimizerKind::kAdam; }},
      {"train.schedule", [](TrainingSpec& t) { t.train.schedule.kind = ScheduleKind::kCosine; }},
      {"train.schedule", [](TrainingSpec& t) { t.train.schedule.warmup_steps = 10; }},
      {"train.clip_norm", [](TrainingSpec& t) { t.train.clip_norm = 1; }},
      {"train.exchange.every", [](TrainingSpec& t) { t.train.exchange.every = 8; }},
      {"train.batch_norm", [](TrainingSpec& t) { t.train.batch_norm = BatchNorm::kLocal; }},
      {"stop", [](TrainingSpec& t) { t.stop.epochs = 5; }},
      {"stop", [](TrainingSpec& t) { t.stop.max_time_s = 60; }},
  };
  for (const auto& [key, apply] : table) {
    RunRecipe other = named("two-ranks");
    apply(other.training);
    const auto found = agreement_of({RunRecipe{}, other});
    EXPECT_EQ(found.result, AgreementResult::kNotComparable) << key;
    EXPECT_EQ(found.detail, std::string("two-ranks: ") + key + " differs");
    EXPECT_FALSE(found.early_loss_rel) << key;
  }
}

TEST(Agreement, BatchNormSeesThePartsOfABatch) {
  RunRecipe first, other = named("two-ranks");
  first.training.model = other.training.model = with_default_sizes({.kind = ModelKind::kResnet18});
  other.training.train.accumulate = 2;
  const auto found = agreement_of({first, other});
  EXPECT_EQ(found.result, AgreementResult::kNotComparable);
  EXPECT_EQ(found.detail, "two-ranks: train.accumulate differs, and batch norm sees its parts");
}

TEST(Agreement, BatchNormSeesThePiecesThatMemoryLeft) {
  RunRecipe first, other = named("two-ranks");
  for (const ModelKind kind : {ModelKind::kResnet18, ModelKind::kMlp}) {
    first.training.model = other.training.model = with_default_sizes({.kind = kind});
    first.training.train.micro_batch = other.training.train.micro_batch = kAutoMicroBatch;
    std::vector<RunState> runs{make_run(first), make_run(other)};
    for (RunState& run : runs) run.attempts.at(0).start.emplace();
    EXPECT_EQ(agreement({&runs[0], &runs[1]}).result, AgreementResult::kAgree) << "nothing was divided";
    runs[1].attempts[0].start->micro_batch = 32;
    const auto found = agreement({&runs[0], &runs[1]});
    if (kind == ModelKind::kMlp) {
      EXPECT_EQ(found.result, AgreementResult::kAgree) << found.detail;
    } else {
      EXPECT_EQ(found.result, AgreementResult::kNotComparable);
      EXPECT_EQ(found.detail, "two-ranks: what train.micro_batch computes at once differs, and batch norm sees it");
      runs[0].attempts[0].start->micro_batch = 32;
      runs[1].ranks = runs[0].ranks + 1;
      EXPECT_EQ(agreement({&runs[0], &runs[1]}).result, AgreementResult::kNotComparable) << "of a larger share";
    }
  }
}

TEST(Agreement, IsComparableWhereOnlyTheWayDiffers) {
  const Override table[] = {
      {"precision", [](TrainingSpec& t) { t.train.precision = Precision::kFp64; }},
      {"accumulate", [](TrainingSpec& t) { t.train.accumulate = 2; }},
      {"deadline", [](TrainingSpec& t) { t.train.deadline_s = 5; }},
      {"data.path", [](TrainingSpec& t) { t.data.path = "/elsewhere"; }},
  };
  for (const auto& [key, apply] : table) {
    RunRecipe other = named("two-ranks");
    apply(other.training);
    EXPECT_EQ(agreement_of({RunRecipe{}, other}).result, AgreementResult::kAgree) << key;
  }
}

TEST(Agreement, LocalBatchNormDependsOnTheRanks) {
  RunRecipe one, two = named("two-ranks");
  one.training.train.batch_norm = two.training.train.batch_norm = BatchNorm::kLocal;
  EXPECT_EQ(agreement_of({one, two}).result, AgreementResult::kAgree);
  two.ranks = 2;
  EXPECT_EQ(agreement_of({one, two}).result, AgreementResult::kNotComparable);
}

TEST(Agreement, OtherDataAreNotComparable) {
  std::vector<RunState> runs{make_run({}), make_run(named("two-ranks"))};
  runs[1].dataset_key = "fashion";
  EXPECT_EQ(agreement({&runs[0], &runs[1]}).result, AgreementResult::kNotComparable);
}

TEST(Agreement, NeedsEarlyLosses) {
  RunRecipe silent = named("two-ranks");
  silent.early.clear();
  const auto found = agreement_of({RunRecipe{}, silent});
  EXPECT_EQ(found.result, AgreementResult::kNotComparable);
  EXPECT_NE(found.detail.find("no early losses in the journal of two-ranks"), std::string::npos) << found.detail;
}

TEST(Agreement, LeavesOutWhatDidNotFinish) {
  RunRecipe failed = off_by(1, named("broken"));
  failed.status = RunStatus::kFailed;
  EXPECT_EQ(agreement_of({RunRecipe{}, failed, named("two-ranks")}).result, AgreementResult::kAgree);
  EXPECT_EQ(agreement_of({failed, off_by(1, named("a")), off_by(1, named("b"))}).result, AgreementResult::kAgree);
  EXPECT_EQ(agreement_of({RunRecipe{}, failed}).result, AgreementResult::kNotComparable);
}

TEST(Agreement, TheGravestFindingDecides) {
  RunRecipe other_batch = named("other-batch");
  other_batch.training.train.batch = 256;
  EXPECT_EQ(agreement_of({RunRecipe{}, other_batch, named("same")}).result, AgreementResult::kNotComparable);
  EXPECT_EQ(agreement_of({RunRecipe{}, other_batch, off_by(1)}).result, AgreementResult::kDiffer);
}

}  // namespace
}  // namespace regatta
