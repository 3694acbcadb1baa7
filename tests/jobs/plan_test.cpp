#include "jobs/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "common/error.hpp"

namespace regatta {
namespace {

using testing::HasSubstr;

const RunId kRun{"01HZX3J5K7M9N2P4Q6R8S0T1V3"};
const ComparisonId kComparison{"01HZX3J5K7M9N2P4Q6R8S0T1V4"};

JobSpec tiny_job() {
  JobSpec job;
  job.name = "tiny";
  job.model.channels = {8, 16};
  job.data.format = DataFormat::kSynthetic;
  job.data.synthetic.samples = 1003;
  job.data.synthetic.shape = {1, 8, 8};
  job.data.synthetic.classes = 3;
  job.train.batch = 64;
  job.train.optimizer.lr = 0.05;
  job.train.optimizer.momentum = 0.9;
  job.train.seed = 18'000'000'000'000'000'000U;
  job.stop.epochs = 3;
  for (const int ranks : {1, 2}) {
    ConfigurationSpec configuration;
    configuration.name = "ranks-" + std::to_string(ranks);
    configuration.ranks = ranks;
    configuration.train = job.train;
    configuration.stop = job.stop;
    job.configurations.push_back(configuration);
  }
  job.configurations[1].train.batch = 128;  // an override
  return job;
}

Plan tiny_plan() {
  const JobSpec job = tiny_job();
  const ConfigurationSpec& configuration = job.configurations[1];
  const PoolCapacity pool{"here", 1, 2, 0, false, {0, 1}};
  Price price;
  price.usd_per_node_hour = *parse_usd("0.08925");
  price.billing = Billing::kSlot;
  price.source = "AWS c7i.large";
  return make_plan(job, configuration, place(job, configuration, pool), index_dataset(job.data, job.train.seed), kRun,
                   kComparison, 2, 1, price);
}

/// As a file would carry it.
Json through_text(const Json& json) {
  return parse_json(json.dump(2), "plan.json");
}

void expect_equal(const Plan& a, const Plan& b) {
  EXPECT_EQ(a.run, b.run);
  EXPECT_EQ(a.comparison, b.comparison);
  EXPECT_EQ(a.job, b.job);
  EXPECT_EQ(a.attempt, b.attempt);
  EXPECT_EQ(a.repeat, b.repeat);
  EXPECT_EQ(a.training, b.training);
  EXPECT_EQ(a.dataset, b.dataset);
  EXPECT_EQ(a.streamed, b.streamed);
  EXPECT_EQ(a.placement, b.placement);
  EXPECT_EQ(a.shares, b.shares);
  EXPECT_EQ(a.share_changes, b.share_changes);
  EXPECT_EQ(a.buckets, b.buckets);
  EXPECT_EQ(a.kernels, b.kernels);
  EXPECT_EQ(a.lanes, b.lanes);
  EXPECT_EQ(a.trial, b.trial);
  EXPECT_EQ(a.choice, b.choice);
  EXPECT_EQ(a.price, b.price);
}

TEST(Plan, IsMadeFromItsParts) {
  const Plan plan = tiny_plan();
  EXPECT_EQ(plan.run, kRun);
  EXPECT_EQ(plan.comparison, kComparison);
  EXPECT_EQ(plan.repeat, 2);
  EXPECT_EQ(plan.attempt, 1);
  EXPECT_EQ(plan.shares, (std::vector<std::int64_t>{1, 1}));
  EXPECT_EQ(plan.training.train.batch, 128) << "the configuration's override";
  EXPECT_EQ(plan.steps_per_epoch(), 8) << "1003 samples in batches of 128: seven whole and one short";
  EXPECT_EQ(plan.placement.cores, (std::vector<std::vector<int>>{{0}, {1}}));
  EXPECT_EQ(plan.job.value.size(), 32U);
}

TEST(Plan, RoundTrip) {
  Plan plan = tiny_plan();
  expect_equal(plan_from_json(through_text(to_json(plan))), plan);
  plan.comparison.reset();
  plan.price.reset();
  plan.placement.cores.clear();
  plan.shares = {3, 0};
  plan.share_changes = {{.from_step = 21, .weights = {96, 32}}, {.from_step = 31, .weights = {1, 127}}};
  plan.attempt = 7;
  plan.buckets = {1, 2};
  plan.streamed = true;
  plan.lanes = LaneChoice{.swap_bytes = 65536, .measured_by = new_run_id()};
  plan.kernels = LinearKernels{{8, 3, true, false, true}};
  plan.trial = TrialLimits{.least_steps = 3, .most_steps = 5, .seconds = 0.5};
  plan.choice = Choice{.kept = {.ranks = 2}, .reason = "it ran", .tried = {{.way = {.ranks = 2}}}};
  expect_equal(plan_from_json(through_text(to_json(plan))), plan);
}

TEST(Plan, HasAShareForEveryRankOfBothKinds) {
  JobSpec job = tiny_job();
  ConfigurationSpec& configuration = job.configurations[1];
  configuration.backend = Backend::kNccl;
  configuration.cpu_ranks = 3;
  const Placement placement = place(job, configuration, {"here", 1, 8, 2, false, {}});
  const Plan plan = make_plan(job, configuration, placement, index_dataset(job.data, 1), kRun, {}, 1, 1, {});
  EXPECT_EQ(plan.shares, (std::vector<std::int64_t>{1, 1, 1, 1, 1}));
  expect_equal(plan_from_json(through_text(to_json(plan))), plan);
  Json old = to_json(plan);
  old["placement"].erase("cpu_ranks");
  EXPECT_EQ(plan_from_json(old).placement.cpu_ranks, 0);
}

TEST(Plan, CoresOfDifferentNodesMayHaveOneNumber) {
  Plan plan = tiny_plan();
  plan.placement.nodes = 2;
  plan.placement.cores = {{0}, {0}};
  expect_equal(plan_from_json(through_text(to_json(plan))), plan);
}

TEST(Plan, KnowsThatAnIdxIndexHasFourFiles) {
  Plan plan = tiny_plan();
  DataSpec data;
  data.path = std::string(REGATTA_SOURCE_DIR) + "/jobs/examples/data/mnist";
  plan.training.data = data;
  plan.dataset = index_dataset(data, 1);
  expect_equal(plan_from_json(through_text(to_json(plan))), plan);
}

struct PlanDamage {
  std::string pointer;  // JSON pointer of what is replaced; empty text removes it
  std::string value;
  std::vector<std::string> message;
};

TEST(Plan, DamageNamesTheKey) {
  const std::vector<PlanDamage> damages = {
      {"/schema", "", {"missing key schema"}},
      {"/schema", "2", {"schema: expected 1, found 2", "another version"}},
      {"/schema", "\"1\"", {"schema: wrong type"}},
      {"/run_id", "", {"missing key run_id"}},
      {"/run_id", "\"../../etc\"", {"run_id: expected a ULID, found \"../../etc\""}},
      {"/run_id", "\"\"", {"run_id: expected a ULID"}},
      {"/comparison_id", "", {"missing key comparison_id"}},
      {"/comparison_id", "\"x\"", {"comparison_id: expected a ULID"}},
      {"/job_id", "\"xyz\"", {"job_id: expected 32 hex digits, found \"xyz\""}},
      {"/attempt", "0", {"attempt: expected at least 1, found 0"}},
      {"/attempt", "1.5", {"attempt: wrong type"}},
      {"/attempt", "4294967297", {"attempt: wrong type or range"}},
      {"/repeat", "-1", {"repeat: expected at least 1, found -1"}},
      {"/training", "", {"missing key training"}},
      {"/training", "[]", {"training: "}},
      {"/training/train/batch", "0", {"batch"}},
      {"/training/train/deadline", "1e300", {"training: deadline: expected seconds from 0 to 30 years, found 1e+300"}},
      {"/training/train/deadline", "-1", {"training: deadline: expected seconds"}},
      {"/training/stop/max_time", "1e300", {"training: max_time: expected seconds"}},
      {"/training/model/channels", "[-1, 16]", {"training: channels: expected 2 to 2 sizes of at least 1"}},
      {"/training/model/channels", "[8]", {"training: channels: expected 2 to 2 sizes of at least 1, found [8]"}},
      {"/training/model/channels", "[8, 16.5]", {"training: channels[1]: wrong type or range: 16.5"}},
      {"/dataset", "null", {"dataset: "}},
      {"/dataset/format",
       "\"csv\"",
       {"dataset: format: expected one of idx, imagefolder, text, synthetic, found \"csv\""}},
      {"/data_placement", "\"disk\"", {"data_placement: expected one of node_shared, streamed, found \"disk\""}},
      {"/dataset/format", "\"idx\"", {"dataset: files: expected a list of 4, found 0"}},
      {"/dataset/train_count", "0", {"dataset: train_count: expected at least 1"}},
      {"/dataset/train_count", "9223372036854775807", {"dataset: test_count: expected counts whose sum fits"}},
      {"/dataset/classes", "1", {"dataset: classes: expected at least 2"}},
      {"/dataset/sample_shape", "[8, 8]", {"dataset: sample_shape: expected [channels, height, width]"}},
      {"/dataset/sample_shape", "[1, 8, -8]", {"dataset: sample_shape: expected sizes of at least 1"}},
      {"/dataset/sample_shape", "[1, 8, \"8\"]", {"dataset: sample_shape: expected sizes"}},
      {"/dataset/sample_shape", "[4611686018427387904, 8, 8]", {"dataset: sample_shape: expected sizes"}},
      {"/dataset/sample_shape", "[1, 8, 9]", {"dataset: key: expected", "the hash of this content"}},
      {"/dataset/mean", "null", {"dataset: mean: wrong type"}},
      {"/dataset/deviation", "[0]", {"dataset: deviation: expected finite numbers above 0"}},
      {"/dataset/deviation", "[1, 1]", {"dataset: deviation: expected 1 numbers, one a channel"}},
      {"/dataset/alphabet", "[65]", {"dataset: alphabet: expected"}},
      {"/dataset/skipped", "-1", {"dataset: skipped: expected at least 0"}},
      {"/dataset/key", "\"\"", {"dataset: key: expected"}},
      {"/placement/backend", "\"gloo\"", {"placement: backend: expected one of mpi, nccl, found \"gloo\""}},
      {"/placement/ranks", "0", {"placement: ranks: expected at least 1"}},
      {"/placement/ranks", "3", {"placement: cores: expected no list or one for each of 3 ranks"}},
      {"/placement/threads", "100000", {"placement: threads: expected at most 4096"}},
      {"/training/train/accumulate", "2147483648", {"training: train.accumulate: expected 1 to the batch"}},
      {"/training/train/optimizer/lr", "-1", {"training: train.optimizer.lr: expected a number above 0"}},
      {"/training/stop/epochs", "0", {"training: stop.epochs: expected at least 1"}},
      {"/placement/cpu_ranks", "1", {"placement: cpu_ranks: expected 0 to 0, beside ranks on GPUs, found 1"}},
      {"/placement/cpu_ranks", "-1", {"placement: cpu_ranks: expected 0 to 0"}},
      {"/placement/threads", "0", {"placement: threads: expected at least 1"}},
      {"/placement/nodes", "3", {"placement: nodes: expected at most as many as there are ranks, 2, found 3"}},
      {"/placement/contended", "1", {"placement: contended: wrong type"}},
      {"/placement/cores", "[[0]]", {"placement: cores: expected no list or one for each of 2 ranks"}},
      {"/placement/cores", "[[0], []]", {"placement: cores[1]: expected a list of cores"}},
      {"/placement/cores", "[[0], [0]]", {"placement: cores[1]: expected cores that no other rank has, found 0 twice"}},
      {"/placement/cores", "[[0], [-1]]", {"placement: cores[1]: expected core numbers from 0, found -1"}},
      {"/placement/cores", "[[0], [1.5]]", {"placement: cores[1][0]: wrong type or range: 1.5"}},
      {"/shares", "", {"missing key shares"}},
      {"/shares", "[1]", {"shares: expected a weight for each of 2 ranks, found [1]"}},
      {"/shares", "[1, 1, 1]", {"shares: expected a weight for each of 2 ranks"}},
      {"/shares", "[2, -1]", {"shares: expected weights of at least 0, found -1"}},
      {"/shares", "[0, 0]", {"shares: expected a weight above 0"}},
      {"/shares", "[1, 0.5]", {"shares[1]: wrong type or range: 0.5"}},
      {"/shares", "[1, 9223372036854775808]", {"shares[1]: wrong type or range"}},
      {"/shares", "{\"0\": 1, \"1\": 1}", {"shares: wrong type: expected a list"}},
      {"/share_changes", "{}", {"share_changes: wrong type: expected a list"}},
      {"/share_changes",
       "[{\"from_step\": 0, \"weights\": [1, 1]}]",
       {"share_changes: from_step: expected at least 1"}},
      {"/share_changes",
       "[{\"from_step\": 9, \"weights\": [1]}]",
       {"share_changes: weights: expected a weight for each"}},
      {"/share_changes",
       "[{\"from_step\": 9, \"weights\": [0, 0]}]",
       {"share_changes: weights: expected a weight above 0"}},
      {"/share_changes",
       "[{\"from_step\": 9, \"weights\": [1, 2]}, {\"from_step\": 9, \"weights\": [1, 1]}]",
       {"share_changes: from_step: expected steps that rise, found 9"}},
      {"/buckets/first_bytes", "0", {"buckets: first_bytes: expected at least 1"}},
      {"/buckets/other_bytes", "", {"buckets: missing key other_bytes"}},
      {"/lanes", "{\"swap_bytes\": -1}", {"lanes: swap_bytes: expected 0 or more"}},
      {"/lanes", "{\"swap_bytes\": 1, \"measured_by\": 2}", {"lanes: measured_by"}},
      {"/kernels", "{}", {"kernels: kernels: expected a list of shapes"}},
      {"/kernels", "[{\"inputs\": 8, \"outputs\": 3, \"onednn\": [1]}]", {"kernels: onednn[0]: wrong type"}},
      {"/trial", "{\"least_steps\": 0}", {"trial: least_steps: expected at least 1"}},
      {"/choice", "{\"kept\": {}}", {"choice: missing key ranks"}},
      {"/training/train/precision", "\"auto\"", {"train.precision: expected the precision that was chosen"}},
      {"/training/train/precision", "\"fp16\"", {"train.precision: expected fp16 on GPUs only", "mpi"}},
      {"/price/usd_per_node_hour", "0.08925", {"price: usd_per_node_hour: wrong type"}},
      {"/price/usd_per_node_hour", "\"-0.01\"", {"price: usd_per_node_hour: expected 0 to 50000 USD, found -0.01"}},
      {"/price/usd_per_node_hour", "\"70369\"", {"price: usd_per_node_hour: expected 0 to 50000 USD, found 70369"}},
      {"/price", "", {"missing key price"}},
  };
  const Json whole = through_text(to_json(tiny_plan()));
  for (const PlanDamage& damage : damages) {
    Json json = whole;
    const Json::json_pointer pointer(damage.pointer);
    ASSERT_TRUE(json.contains(pointer)) << damage.pointer;
    if (damage.value.empty())
      json.at(pointer.parent_pointer()).erase(pointer.back());
    else
      json[pointer] = parse_json(damage.value, "test");
    try {
      plan_from_json(json);
      ADD_FAILURE() << damage.pointer << " = " << damage.value << ": accepted";
    } catch (const IoError& error) {
      for (const auto& part : damage.message)
        EXPECT_THAT(error.what(), HasSubstr(part)) << damage.pointer << " = " << damage.value;
    }
  }
  EXPECT_THROW(plan_from_json(Json::array()), IoError);
  EXPECT_THROW(plan_from_json(Json(nullptr)), IoError);
}

TEST(Plan, FormatsOfTrainingAndIndexAgree) {
  Plan plan = tiny_plan();
  plan.training.data = DataSpec{};  // idx
  plan.training.data.path = "/data";
  try {
    plan_from_json(through_text(to_json(plan)));
    FAIL();
  } catch (const IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr("dataset: format: expected idx as in training, found synthetic"));
  }
}

TEST(Plan, OfAnOlderVersionChangesNoShares) {
  Json json = to_json(tiny_plan());
  json.erase("share_changes");
  EXPECT_EQ(plan_from_json(json).share_changes, std::nullopt);
}

TEST(Plan, UnknownKeysAreIgnored) {
  Json json = to_json(tiny_plan());
  json["later"] = 1;
  json["placement"]["later"] = 1;
  EXPECT_NO_THROW(plan_from_json(json));
}

}  // namespace
}  // namespace regatta
