// N ranks equal one: same samples in each global batch, same weights up to rounding.

#include <gmock/gmock.h>

#include <set>

#include "tests/mpi/training_run.hpp"

namespace regatta::test {
namespace {

using testing::AllOf, testing::HasSubstr, testing::Not;

std::string job(const std::string& model, const std::string& data, const std::string& precision, int epochs,
                const std::string& evaluate = "never") {
  return "name: equality\nmodel: {kind: " + model + "}\ndata: " + data +
         "\ntrain:\n  batch: 128\n  optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}\n  precision: " + precision +
         "\n  evaluate: " + evaluate + "\n  deadline: 120\nstop: {epochs: " + std::to_string(epochs) + "}\n";
}

const std::string kMnist = "{format: idx, path: jobs/examples/data/mnist}";
const std::map<std::string, std::string> kThreeSteps = {{"REGATTA_TEST_STOP_AT", "3"}};

/// Trains with 1, 2, 3 and 4 ranks and compares each with one.
void expect_n_equals_one(const std::string& job_text, double tolerance,
                         const std::map<std::string, std::string>& environment = {}) {
  const TrainingRun one = train(to_json(plan_for(job_text, 1)), environment);
  if (!environment.empty()) {
    ASSERT_EQ(one.delivered.size(), 3) << "batches until the stop";
  }
  for (const int ranks : {2, 3, 4}) {
    const TrainingRun many = train(to_json(plan_for(job_text, ranks)), environment);
    const double difference = relative_difference(many.weights, one.weights);
    EXPECT_LE(difference, tolerance) << ranks << " ranks";
    EXPECT_EQ(multisets(many.delivered), multisets(one.delivered)) << ranks << " ranks";
    EXPECT_NEAR(many.epochs.back().train_loss, one.epochs.back().train_loss, 1e-5);
    std::printf("%d ranks: ||w - w1|| / ||w1|| = %.2g\n", ranks, difference);
  }
}

/// The test set is divided among ranks too, and its figures are of the whole of it.
void expect_same_figures(const TrainingRun& many, const TrainingRun& one) {
  ASSERT_EQ(many.epochs.size(), one.epochs.size());
  for (std::size_t i = 0; i < one.epochs.size(); ++i) {
    ASSERT_TRUE(one.epochs[i].test_loss && many.epochs[i].test_loss);
    EXPECT_NEAR(*many.epochs[i].test_loss, *one.epochs[i].test_loss, 1e-10 * *one.epochs[i].test_loss);
    EXPECT_EQ(many.epochs[i].test_accuracy, one.epochs[i].test_accuracy);
  }
}

void expect_whole_mnist(const TrainingRun& run) {
  const auto batches = multisets(run.delivered);
  ASSERT_EQ(batches.size(), 469);
  std::set<std::int64_t> seen;
  for (const auto& [key, samples] : batches) {
    EXPECT_EQ(samples.size(), key.second == 468 ? 96 : 128);
    seen.insert(samples.begin(), samples.end());
  }
  EXPECT_EQ(seen.size(), 60'000);
  EXPECT_EQ(*seen.begin(), 0);
  EXPECT_EQ(*seen.rbegin(), 59'999);
}

TEST(Equality, CnnThreeStepsOfMnistInFp32) {
  expect_n_equals_one(job("cnn", kMnist, "fp32", 1), 1e-5, kThreeSteps);
}
TEST(Equality, MlpThreeStepsOfMnistInFp32) {
  expect_n_equals_one(job("mlp", kMnist, "fp32", 1), 1e-5, kThreeSteps);
}

TEST(Equality, CnnOneEpochOfMnistInFp64) {
  expect_n_equals_one(job("cnn", kMnist, "fp64", 1), 1e-10);
}
TEST(EqualityLong, MlpOneEpochOfMnistInFp64) {
  expect_n_equals_one(job("mlp", kMnist, "fp64", 1), 1e-10);
}

TEST(Equality, AnEpochDeliversEverySampleOnce) {
  // Two small layers are enough: this is about the samples.
  const std::string small = "mlp, hidden: [4]";
  expect_whole_mnist(train(to_json(plan_for(job(small, kMnist, "fp32", 1), 3))));
}

// Not up to rounding: to the bit.
TEST(Equality, StreamedSamplesGiveTheSameTraining) {
  Plan plan = plan_for(job("mlp, hidden: [8]", "{format: synthetic, samples: 600, shape: [3, 5, 7], classes: 4}",
                           "fp32", 2, "every_epoch"),
                       2);
  plan.training.train.accumulate = 3;
  const TrainingRun in_memory = train(to_json(plan));
  plan.streamed = true;
  const TrainingRun streamed = train(to_json(plan));
  EXPECT_EQ(streamed.weights, in_memory.weights);
  EXPECT_EQ(streamed.delivered, in_memory.delivered);
  expect_same_figures(streamed, in_memory);
}

TEST(Shares, TheWorkerObeysThePlan) {
  const std::string text =
      job("cnn", "{format: synthetic, samples: 600, shape: [1, 28, 28], classes: 10}", "fp64", 2, "every_epoch");
  const TrainingRun one = train(to_json(plan_for(text, 1)));
  Json plan = to_json(plan_for(text, 2));
  ASSERT_EQ(plan["shares"], Json({1, 1}));
  plan["shares"] = {3, 1};
  const TrainingRun uneven = train(plan);

  ASSERT_EQ(uneven.delivered.size(), 2 * 5);
  for (const auto& [key, by_rank] : uneven.delivered) {
    const bool last = key.second == 4;  // 88 samples
    EXPECT_EQ(by_rank[0].size(), last ? 66 : 96);
    EXPECT_EQ(by_rank[1].size(), last ? 22 : 32);
  }
  EXPECT_EQ(multisets(uneven.delivered), multisets(one.delivered));
  EXPECT_LE(relative_difference(uneven.weights, one.weights), 1e-10);
  expect_same_figures(uneven, one);
  ASSERT_EQ(uneven.rows.size(), 2);
  EXPECT_EQ(uneven.rows[0].samples, 450);
  EXPECT_EQ(uneven.rows[1].samples, 150);
}

TEST(Equality, MicroBatchesChangeNothing) {
  const std::string text =
      job("cnn", "{format: synthetic, samples: 600, shape: [1, 28, 28], classes: 10}", "fp64", 2, "every_epoch");
  const TrainingRun whole = train(to_json(plan_for(text, 1)));
  for (const int ranks : {1, 3}) {
    Plan plan = plan_for(text, ranks);
    plan.training.train.accumulate = 2;
    plan.training.train.micro_batch = 5;
    const TrainingRun pieces = train(to_json(plan));
    EXPECT_EQ(multisets(pieces.delivered), multisets(whole.delivered));
    EXPECT_LE(relative_difference(pieces.weights, whole.weights), 1e-10) << ranks << " ranks";
    expect_same_figures(pieces, whole);
  }
}

TEST(Equality, MicroBatchesOfBatchNormMeetOnAllRanks) {
  // 24 samples are 12, 12 and 16, 8: three passes of at most 6, all joined by both ranks, whatever their share.
  const std::string text = job("resnet18, channels: [4, 4, 4, 4]",
                               "{format: synthetic, samples: 48, shape: [3, 8, 8], classes: 4}", "fp64", 1);
  for (const std::vector<std::int64_t>& shares : {std::vector<std::int64_t>{1, 1}, {2, 1}}) {
    Plan plan = plan_for(text, 2);
    plan.training.train.batch = 24;
    plan.training.train.micro_batch = 6;
    plan.shares = shares;
    const TrainingRun run = train(to_json(plan));
    EXPECT_EQ(run.epochs.back().last_step, 2);
  }
}

/// Nodes of one rank, of two, of unequal numbers of them, and of ranks that do not follow each other.
const std::map<int, std::vector<std::string>> kHosts = {{2, {"0,1"}},
                                                        {4, {"0,1,2,3", "0,0,1,1", "0,0,1,2", "0,1,0,1"}}};

/// On several nodes the same as one rank.
void expect_nodes_equal_one(const std::string& job_text, double tolerance,
                            const std::map<std::string, std::string>& environment = {}) {
  const TrainingRun one = train(to_json(plan_for(job_text, 1)), environment);
  for (const auto& [ranks, layouts] : kHosts)
    for (const std::string& hosts : layouts) {
      auto with_hosts = environment;
      with_hosts["REGATTA_TEST_HOSTS"] = hosts;
      const TrainingRun many = train(to_json(plan_for(job_text, ranks)), with_hosts);
      EXPECT_EQ(many.exchanger, "cluster");
      const double difference = relative_difference(many.weights, one.weights);
      EXPECT_LE(difference, tolerance) << hosts;
      EXPECT_EQ(multisets(many.delivered), multisets(one.delivered)) << hosts;
      std::printf("hosts %s: ||w - w1|| / ||w1|| = %.2g\n", hosts.c_str(), difference);
    }
}

TEST(EqualityOfNodes, MlpThreeStepsOfMnistInFp32) {
  expect_nodes_equal_one(job("mlp", kMnist, "fp32", 1), 1e-5, kThreeSteps);
}
TEST(EqualityOfNodesLong, CnnOneEpochOfMnistInFp64) {
  expect_nodes_equal_one(job("cnn", kMnist, "fp64", 1), 1e-10);
}

/// All that could tell ranks apart at once: batch norm over ranks, parts of a batch, clipping, a schedule.
std::string everything(const std::string& model, const std::string& data) {
  return "name: everything\nmodel: {kind: " + model + "}\ndata: " + data +
         "\ntrain:\n  batch: 32\n  accumulate: 2\n  clip_norm: 1\n  precision: fp64\n"
         "  optimizer: {kind: adamw, lr: 0.002}\n  schedule: {kind: cosine, warmup_steps: 2}\n"
         "  deadline: 120\nstop: {epochs: 2}\n";
}

/// With two ranks, and with three of which one has nothing to do. The last batch has 6 samples.
void expect_everything_equal(const std::string& job_text) {
  const TrainingRun one = train(to_json(plan_for(job_text, 1)));
  const TrainingRun two = train(to_json(plan_for(job_text, 2)));
  Json plan = to_json(plan_for(job_text, 3));
  plan["shares"] = {1, 0, 2};
  const TrainingRun idle = train(plan);
  for (const TrainingRun* many : {&two, &idle}) {
    EXPECT_LE(relative_difference(many->weights, one.weights), 1e-10);
    EXPECT_EQ(multisets(many->delivered), multisets(one.delivered));
    expect_same_figures(*many, one);
  }
}

TEST(Equality, Resnet18WithEverythingInFp64) {
  expect_everything_equal(
      everything("resnet18, channels: [4, 4, 8, 8]", "{format: synthetic, samples: 70, shape: [3, 8, 8], classes: 4}"));
}
TEST(Equality, LstmWithEverythingInFp64) {
  expect_everything_equal(everything("lstm, embedding: 8, hidden_size: 16, layers: 2",
                                     "{format: synthetic, samples: 70, length: 12, vocabulary: 9}"));
}

TEST(Equality, LocalBatchNormIsTheRanksOwnAndEndsInOneModel) {
  std::string text =
      everything("resnet18, channels: [4, 4, 8, 8]", "{format: synthetic, samples: 70, shape: [3, 8, 8], classes: 4}");
  text.replace(text.find("  accumulate"), 0, "  batch_norm: local\n");
  const TrainingRun one = train(to_json(plan_for(text, 1))), two = train(to_json(plan_for(text, 2)));
  const double difference = relative_difference(two.weights, one.weights);
  EXPECT_GT(difference, 1e-6) << "two ranks with statistics of their own train something else";
  EXPECT_LT(difference, 0.5);
}

TEST(Shares, ARankMayHaveNothing) {
  const std::string text =
      job("cnn", "{format: synthetic, samples: 300, shape: [1, 28, 28], classes: 10}", "fp64", 1, "every_epoch");
  const TrainingRun one = train(to_json(plan_for(text, 1)));
  Json plan = to_json(plan_for(text, 3));
  plan["shares"] = {1, 0, 2};
  const TrainingRun idle = train(plan);
  EXPECT_LE(relative_difference(idle.weights, one.weights), 1e-10);
  expect_same_figures(idle, one);
  EXPECT_EQ(idle.rows.at(1).samples, 0);
}

TEST(EqualityOfNodes, WithEverythingInFp64) {
  for (const std::string& text : {everything("resnet18, channels: [4, 4, 8, 8]",
                                             "{format: synthetic, samples: 70, shape: [3, 8, 8], classes: 4}"),
                                  everything("lstm, embedding: 8, hidden_size: 16, layers: 2",
                                             "{format: synthetic, samples: 70, length: 12, vocabulary: 9}")})
    expect_nodes_equal_one(text, 1e-10);
}

TEST(EqualityOfNodes, ARankOrANodeMayHaveNothing) {
  const std::string text =
      job("cnn", "{format: synthetic, samples: 300, shape: [1, 28, 28], classes: 10}", "fp64", 1, "every_epoch");
  const TrainingRun one = train(to_json(plan_for(text, 1)));
  for (const Json& shares : {Json({1, 0, 2}), Json({0, 0, 1}), Json({1, 1, 0})}) {
    Json plan = to_json(plan_for(text, 3));
    plan["shares"] = shares;
    const TrainingRun idle = train(plan, {{"REGATTA_TEST_HOSTS", "0,0,1"}});
    EXPECT_LE(relative_difference(idle.weights, one.weights), 1e-10) << shares;
    expect_same_figures(idle, one);
  }
}

// The last batch has 1 sample, or 3 in two parts of 1 and 2: for most ranks, and for whole nodes, nothing.
TEST(EqualityOfNodes, ALastBatchMayHaveFewerSamplesThanThereAreRanks) {
  for (const auto& [model, samples] :
       {std::pair("resnet18, channels: [4, 4, 8, 8]", "65"), std::pair("mlp, hidden: [16]", "67")})
    expect_nodes_equal_one(
        everything(model, std::string("{format: synthetic, samples: ") + samples + ", shape: [3, 8, 8], classes: 4}"),
        1e-10);
}

/// As `job`, with nodes that take steps of their own.
std::string rare_job(const std::string& model, const std::string& data, int batch, int epochs) {
  std::string text = job(model, data, "fp64", epochs, "every_epoch");
  text.replace(text.find("128"), 3, std::to_string(batch));
  return text.replace(text.find("  deadline"), 0, "  exchange: {every: 3}\n");
}

// Nodes that meet after each step, because it is an epoch's only one, train what one rank does: momentum is linear, and
// each has its part of the samples. Also where nodes have unequal numbers of ranks, and where some have no sample.
TEST(EqualityOfNodes, NodesThatMeetAfterEachStepOfTheirOwnAreOneRank) {
  for (const int samples : {40, 3}) {
    const std::string data =
        "{format: synthetic, samples: " + std::to_string(samples) + ", shape: [1, 28, 28], classes: 10}";
    const std::string text = rare_job("cnn", data, /*batch=*/40, /*epochs=*/6);
    const TrainingRun one = train(to_json(plan_for(text, 1)));
    for (const char* hosts : {"0,0,1", "0,0,0,1", "0,1,1,2", "0,1,2,3"}) {
      const int ranks = static_cast<int>(std::string(hosts).size() + 1) / 2;
      const TrainingRun many = train(to_json(plan_for(text, ranks)), {{"REGATTA_TEST_HOSTS", hosts}});
      EXPECT_EQ(many.exchanger, "cluster");
      EXPECT_LE(relative_difference(many.weights, one.weights), 1e-10) << hosts << ", " << samples << " samples";
      EXPECT_EQ(multisets(many.delivered), multisets(one.delivered)) << hosts;
      expect_same_figures(many, one);
    }
  }
}

// What a node does by itself depends on its samples alone, not on how many ranks share them: also with batch norm,
// clipping, and a last batch in which nodes have nothing.
TEST(EqualityOfNodes, ANodeOfSeveralRanksIsANodeOfOne) {
  for (const std::string model : {"resnet18, channels: [4, 4, 8, 8]", "mlp, hidden: [16]"}) {
    std::string text = everything(model, "{format: synthetic, samples: 161, shape: [3, 8, 8], classes: 4}");
    text.replace(text.find("  deadline"), 0, "  exchange: {every: 2, outer: {lr: 0.7, momentum: 0.9}}\n");
    Json single = to_json(plan_for(text, 2));
    single["shares"] = {3, 1};
    const TrainingRun expected = train(single, {{"REGATTA_TEST_HOSTS", "0,1"}});
    const TrainingRun found = train(to_json(plan_for(text, 4)), {{"REGATTA_TEST_HOSTS", "0,0,0,1"}});
    EXPECT_LE(relative_difference(found.weights, expected.weights), 1e-10) << model;
    EXPECT_EQ(multisets(found.delivered), multisets(expected.delivered)) << model;
    expect_same_figures(found, expected);
  }
}

// A node that never has a sample counts for nothing, whatever it does: the other one trains as one rank does.
TEST(EqualityOfNodes, ANodeWithoutSamplesChangesNothingWhereNodesTrainOnTheirOwn) {
  std::string text =
      everything("resnet18, channels: [4, 4, 8, 8]", "{format: synthetic, samples: 70, shape: [3, 8, 8], classes: 4}");
  const TrainingRun one = train(to_json(plan_for(text, 1)));
  text.replace(text.find("  deadline"), 0, "  exchange: {every: 2}\n");
  for (const Json& shares : {Json({1, 1, 0}), Json({0, 0, 1})}) {
    Json plan = to_json(plan_for(text, 3));
    plan["shares"] = shares;
    const TrainingRun idle = train(plan, {{"REGATTA_TEST_HOSTS", "0,0,1"}});
    EXPECT_LE(relative_difference(idle.weights, one.weights), 1e-10) << shares;
    expect_same_figures(idle, one);
  }
}

/// Where nodes train on their own it is another training, which must end in one model and learn as well.
TEST(EqualityOfNodes, EveryEighthStepLearnsAsWell) {
  const std::string data = "{format: synthetic, samples: 2600, shape: [1, 12, 12], classes: 10}";
  const std::string text = job("mlp, hidden: [32]", data, "fp32", 4, "every_epoch");
  const TrainingRun steady = train(to_json(plan_for(text, 4)));
  for (const char* outer : {"", ", outer: {lr: 0.7, momentum: 0.9, nesterov: true}"}) {
    std::string rare = text;
    rare.replace(rare.find("  deadline"), 0, std::string("  exchange: {wire: bf16, every: 8") + outer + "}\n");
    const TrainingRun run = train(to_json(plan_for(rare, 4)), {{"REGATTA_TEST_HOSTS", "0,0,1,2"}});
    EXPECT_EQ(multisets(run.delivered), multisets(steady.delivered));
    EXPECT_GT(relative_difference(run.weights, steady.weights), 1e-6);
    EXPECT_LT(run.epochs.back().train_loss, 0.9 * run.epochs.front().train_loss);
    EXPECT_NEAR(*run.epochs.back().test_accuracy, *steady.epochs.back().test_accuracy, 0.05);
  }
}

/// What a training that must fail says.
std::string failure_of(const std::string& job_text, int ranks, const std::string& hosts) {
  try {
    train(to_json(plan_for(job_text, ranks)), {{"REGATTA_TEST_HOSTS", hosts}});
    return "it ended in order";
  } catch (const std::runtime_error& failure) {
    return failure.what();
  }
}

TEST(OuterStep, IsNamedWhereATrainingDivergesAfterIt) {
  const std::string data = "{format: synthetic, samples: 640, shape: [1, 12, 12], classes: 10}";
  const auto with = [&](double lr, const std::string& exchange) {
    std::string text = job("mlp, hidden: [32]", data, "fp32", 40);
    text.replace(text.find("lr: 0.05"), 8, "lr: " + std::to_string(lr));
    return text.replace(text.find("  deadline"), 0, "  exchange: " + exchange + "\n");
  };
  const std::string outer = "{every: 2, outer: {lr: 1.0e+20, momentum: 0.9}}";
  EXPECT_THAT(failure_of(with(0.05, outer), 2, "0,1"),
              AllOf(HasSubstr("the loss is not finite at step 3"), HasSubstr("lower train.optimizer.lr, or"),
                    HasSubstr("train.exchange.outer"), HasSubstr("lr 1e+20, momentum 0.9")));
  EXPECT_THAT(failure_of(with(1e30, outer), 2, "0,1"),
              AllOf(HasSubstr("the loss is not finite at step 2"), Not(HasSubstr("exchange"))))
      << "nodes have not met";
  EXPECT_THAT(failure_of(with(1e30, "{every: 2}"), 2, "0,1"), Not(HasSubstr("exchange")));
}

/// Full MNIST, two nodes, mean of three seeds.
TEST(EqualityOfNodesLong, ACheaperExchangeLosesNoAccuracy) {
  const auto accuracy = [](const std::string& exchange) {
    double sum = 0;
    for (const int seed : {1, 2, 3}) {
      std::string text = job("cnn", kMnist, "fp32", 3, "every_epoch");
      text.replace(text.find("  deadline"), 0, "  exchange: " + exchange + "\n  seed: " + std::to_string(seed) + "\n");
      sum += *train(to_json(plan_for(text, 2)), {{"REGATTA_TEST_HOSTS", "0,1"}}).epochs.back().test_accuracy;
    }
    return sum / 3;
  };
  const double steady = accuracy("{}");
  for (const char* cheaper : {"{wire: bf16}", "{every: 8}"}) {
    const double found = accuracy(cheaper);
    std::printf("%s: %.2f %%, in each step and fp32: %.2f %%\n", cheaper, 100 * found, 100 * steady);
    EXPECT_NEAR(found, steady, 0.005) << cheaper;
  }
}

// In the middle of an epoch, between epochs, before the short last batch, and with ranks that have nothing: with batch
// norm over ranks, accumulation and clipping, and with a model that skips a pass without samples.
TEST(Shares, ThatChangeWhileItTrainsChangeNothingElse) {
  const Json changes = {{{"from_step", 2}, {"weights", {1, 0, 2}}},
                        {{"from_step", 3}, {"weights", {3, 5, 8}}},
                        {{"from_step", 4}, {"weights", {0, 1, 0}}},
                        {{"from_step", 6}, {"weights", {14, 1, 1}}}};
  for (const std::string& text :
       {everything("resnet18, channels: [4, 4, 8, 8]",
                   "{format: synthetic, samples: 70, shape: [3, 8, 8], classes: 4}"),
        everything("cnn", "{format: synthetic, samples: 70, shape: [1, 28, 28], classes: 4}")}) {
    const TrainingRun one = train(to_json(plan_for(text, 1)));
    for (const std::string without : {"", "node_exchanger"}) {
      Json plan = to_json(plan_for(text, 3));
      plan["share_changes"] = changes;
      std::map<std::string, std::string> environment;
      if (!without.empty()) environment["REGATTA_WITHOUT"] = without;
      const TrainingRun changing = train(plan, environment);
      EXPECT_LE(relative_difference(changing.weights, one.weights), 1e-10);
      EXPECT_EQ(multisets(changing.delivered), multisets(one.delivered));
      expect_same_figures(changing, one);
      ASSERT_EQ(changing.shares.size(), 4U);
      const std::vector<int> epochs{1, 1, 2, 2};
      for (std::size_t i = 0; i < epochs.size(); ++i) {
        EXPECT_EQ(changing.shares[i].from_epoch, epochs[i]);
        EXPECT_EQ(Json(changing.shares[i].from_step), changes[i]["from_step"]);
        EXPECT_EQ(Json(changing.shares[i].weights), changes[i]["weights"]);
      }
      const auto samples = [&](int epoch, int batch, std::size_t rank) {
        return changing.delivered.at({epoch, batch}).at(rank).size();
      };
      EXPECT_GT(samples(1, 0, 1), 9U);
      EXPECT_EQ(samples(1, 1, 1), 0U);
      EXPECT_EQ(samples(2, 0, 1), 32U);
      EXPECT_GE(samples(2, 2, 0), 4U) << "of the last 6";
    }
  }
}

// Rank 1 takes 20 ms more a step than the blink that its samples take.
TEST(Shares, OfAMeasuredRunGiveTheSameBitsAgain) {
  std::string text = job("mlp, hidden: [16]", "{format: synthetic, samples: 1600, shape: [1, 8, 8], classes: 4}",
                         "fp64", 5, "every_epoch");
  const TrainingRun equal = train(to_json(plan_for(text, 2)));
  EXPECT_TRUE(equal.shares.empty());
  text.replace(text.find("  deadline"), 0, "  shares: measured\n");
  Json plan = to_json(plan_for(text, 2));
  const TrainingRun measured = train(
      plan, {{"REGATTA_TEST_DELAY", "compute"}, {"REGATTA_TEST_DELAY_MS", "20"}, {"REGATTA_TEST_DELAY_RANK", "1"}});
  ASSERT_GE(measured.shares.size(), 3U);
  EXPECT_EQ(measured.shares[0].from_step, 1);
  EXPECT_EQ(measured.shares[1].from_step, 21);
  const auto& last = measured.shares.back().weights;
  EXPECT_GT(last[0], 4 * last[1]) << testing::PrintToString(last);
  EXPECT_LT(measured.rows.at(1).samples, measured.rows.at(0).samples);
  EXPECT_LE(relative_difference(measured.weights, equal.weights), 1e-10);
  EXPECT_EQ(multisets(measured.delivered), multisets(equal.delivered));
  expect_same_figures(measured, equal);

  plan["share_changes"] = Json::array();
  for (const record::Shares& shares : measured.shares)
    plan["share_changes"].push_back({{"from_step", shares.from_step}, {"weights", shares.weights}});
  const TrainingRun replay = train(plan);
  EXPECT_EQ(replay.weights, measured.weights);
  EXPECT_EQ(replay.delivered, measured.delivered);
}

/// The same plan on GPUs that a stand-in for the plug-in has, where the ranks compute on the double.
TrainingRun train_on_devices(const std::string& job_text, int ranks,
                             std::map<std::string, std::string> environment = {}, int cpu_ranks = 0,
                             const Json& shares = nullptr, const std::string& precision = "") {
  Json plan = to_json(plan_for(job_text, ranks));
  if (!precision.empty()) plan["training"]["train"]["precision"] = precision;  // that a job on cores may not have
  plan["placement"]["backend"] = "nccl";
  plan["placement"]["gpus_per_node"] = ranks - cpu_ranks;
  plan["placement"]["cpu_ranks"] = cpu_ranks;
  if (!shares.is_null()) plan["shares"] = shares;
  environment.insert({{"REGATTA_CUDA_PLUGIN", REGATTA_TEST_LIBRARIES "/fake_cuda.so"},
                      {"REGATTA_FAKE_GPUS", std::to_string(ranks - cpu_ranks)},
                      {"REGATTA_FAKE_TORCH", "1"},
                      {"REGATTA_TEST_DEVICE", "late"}});
  return train(plan, environment);
}

TEST(Equality, ADeviceTrainsWhatCoresTrain) {
  const std::string data = "{format: synthetic, samples: 1300, shape: [1, 12, 12], classes: 10}";
  const std::string text = job("cnn", data, "fp64", 2, "every_epoch");
  const TrainingRun cores = train(to_json(plan_for(text, 1)));
  for (const int ranks : {1, 2, 3}) {
    const TrainingRun devices = train_on_devices(text, ranks);
    EXPECT_LE(relative_difference(devices.weights, cores.weights), 1e-10) << ranks << " ranks";
    EXPECT_EQ(multisets(devices.delivered), multisets(cores.delivered)) << ranks << " ranks";
    expect_same_figures(devices, cores);
    for (const RankRow& row : devices.rows) EXPECT_NEAR(row.seconds.sum(), row.wall_s, 0.01 * row.wall_s);
  }
}

TEST(Equality, CpuRanksBesideDevicesTrainWhatCoresTrain) {
  const std::string data = "{format: synthetic, samples: 1300, shape: [1, 12, 12], classes: 10}";
  const std::string text = job("cnn", data, "fp64", 2, "every_epoch");
  const TrainingRun cores = train(to_json(plan_for(text, 1)));
  const auto expect_the_same = [&](const TrainingRun& mixed, const char* what) {
    EXPECT_LE(relative_difference(mixed.weights, cores.weights), 1e-10) << what;
    EXPECT_EQ(multisets(mixed.delivered), multisets(cores.delivered)) << what;
    expect_same_figures(mixed, cores);
    for (const RankRow& row : mixed.rows) EXPECT_NEAR(row.seconds.sum(), row.wall_s, 0.01 * row.wall_s) << what;
  };
  expect_the_same(train_on_devices(text, 2, {}, 1), "one of each");
  expect_the_same(train_on_devices(text, 3, {}, 1, {30, 20, 1}), "two devices, unequal shares");
  expect_the_same(train_on_devices(text, 3, {}, 2, {1, 0, 1}), "a CPU rank without samples");
}

TEST(Equality, Float16OnADeviceLearnsAsFp32Does) {
  const std::string data = "{format: synthetic, samples: 2600, shape: [1, 12, 12], classes: 10}";
  const std::string text = job("mlp, hidden: [32]", data, "fp32", 3, "every_epoch");
  const double single = train_on_devices(text, 1).epochs.back().train_loss;
  for (const int ranks : {1, 2}) {
    const TrainingRun half = train_on_devices(text, ranks, {}, 0, nullptr, "fp16");
    EXPECT_NEAR(half.epochs.back().train_loss, single, 5e-2 * single) << ranks << " ranks";
    EXPECT_LT(half.epochs.back().train_loss, 0.9 * half.epochs.front().train_loss) << "skipped steps teach nothing";
  }
}

}  // namespace
}  // namespace regatta::test
