#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.hpp"
#include "jobs/spec_reader.hpp"
#include "tests/support/config_mistakes.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

JobSpec read(const std::string& text, const std::vector<Override>& overrides = {}) {
  return read_job_text(text, "job.yaml", "/data", overrides);
}

std::vector<Diagnostic> findings(const std::string& text, const std::vector<Override>& overrides = {}) {
  try {
    read(text, overrides);
  } catch (const ConfigError& error) {
    return error.diagnostics();
  }
  return {};
}

const char* const kEverything = R"(name: all
model: {kind: lstm, embedding: 64, hidden_size: 128, layers: 1, weights: start.safetensors}
data: {format: text, path: /corpus/a.txt, length: 64, on_error: skip, stage: node-local, memory: 2GiB}
train:
  batch: 256
  optimizer: {kind: adamw, lr: 0.002, weight_decay: 0.1, betas: [0.8, 0.95], eps: 1e-9}
  schedule: {kind: one_cycle, max_lr: 0.01, warmup_steps: 5}
  precision: bf16
  batch_norm: local
  clip_norm: 1.5
  accumulate: 2
  exchange: {wire: bf16, every: 8, outer: {lr: 0.7, momentum: 0.9, nesterov: true}}
  shares: equal
  evaluate: every_epoch
  deadline: 2m
  seed: 18446744073709551615
  tf32: true
  micro_batch: 32
  checkpoint: every_epoch
stop: {epochs: 10, target_accuracy: 0.9, target_loss: 0.1, max_time: 1.5h, max_cost_usd: 12.000000001}
repeats: 5
configurations:
  - {name: gpu, pool: cloud, backend: nccl, ranks: auto, threads: 3}
)";

TEST(SpecReader, ReadsEveryKey) {
  const JobSpec job = read(kEverything);
  const ConfigurationSpec& row = job.configurations.at(0);
  EXPECT_EQ(job.name, "all");
  EXPECT_EQ(job.model, (ModelSpec{.kind = ModelKind::kLstm,
                                  .embedding = 64,
                                  .hidden_size = 128,
                                  .layers = 1,
                                  .weights = "/data/start.safetensors"}));
  EXPECT_EQ(job.data, (DataSpec{.format = DataFormat::kText,
                                .path = "/corpus/a.txt",
                                .on_error = OnError::kSkip,
                                .stage = Stage::kNodeLocal,
                                .memory_bytes = std::int64_t{2} << 30,
                                .length = 64}));
  const TrainSpec train{
      .batch = 256,
      .optimizer = {.kind = OptimizerKind::kAdamw, .lr = 0.002, .weight_decay = 0.1, .betas = {0.8, 0.95}, .eps = 1e-9},
      .schedule = {.kind = ScheduleKind::kOneCycle, .warmup_steps = 5, .max_lr = 0.01},
      .precision = Precision::kBf16,
      .batch_norm = BatchNorm::kLocal,
      .clip_norm = 1.5,
      .accumulate = 2,
      .exchange = {.wire = Wire::kBf16, .every = 8, .outer = OuterSpec{.lr = 0.7, .momentum = 0.9, .nesterov = true}},
      .deadline_s = 120,
      .seed = 18446744073709551615U,
      .tf32 = true,
      .micro_batch = 32,
      .checkpoint = true};
  EXPECT_EQ(job.train, train);
  EXPECT_EQ(job.stop, (StopSpec{.epochs = 10,
                                .target_accuracy = 0.9,
                                .target_loss = 0.1,
                                .max_time_s = 5400,
                                .max_cost = NanoUsd{12'000'000'001}}));
  EXPECT_EQ(job.repeats, 5);
  EXPECT_EQ(row, (ConfigurationSpec{.name = "gpu",
                                    .pool = "cloud",
                                    .backend = Backend::kNccl,
                                    .ranks = {},
                                    .threads = 3,
                                    .train = train,
                                    .stop = job.stop}));
}

TEST(SpecReader, TheExamplesAreRightAndDoWhatTheySay) {
  int jobs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(REGATTA_SOURCE_DIR "/jobs/examples")) {
    if (entry.path().extension() != ".yaml" || entry.path().filename() == "cluster.yaml") continue;
    ++jobs;
    try {
      EXPECT_TRUE(unsupported(read_job_file(entry.path())).empty()) << entry.path();
    } catch (const ConfigError& error) {
      ADD_FAILURE() << error.what();
    }
  }
  EXPECT_EQ(jobs, 3);
}

TEST(SpecReader, CpuRanksBesideGpusGoByMeasuredSpeed) {
  const auto shares = [](const std::string& train, const std::string& row) {
    const JobSpec job = read("name: a\nmodel: {kind: mlp}\ndata: {format: idx, path: mnist}\ntrain: {batch: 8" + train +
                             "}\nstop: {epochs: 1}\nconfigurations: [{name: a, backend: nccl, ranks: 2" + row + "}]\n");
    return job.configurations.at(0).train.shares;
  };
  EXPECT_EQ(shares("", ", cpu_ranks: 6, threads: 1"), ShareRule::kMeasured);
  EXPECT_EQ(shares("", ", cpu_ranks: 0"), ShareRule::kEqual);
  EXPECT_EQ(shares(", shares: equal", ", cpu_ranks: 6"), ShareRule::kEqual) << "as written";
  EXPECT_EQ(shares("", ", cpu_ranks: 6, train: {shares: equal}"), ShareRule::kEqual) << "as written";
  EXPECT_EQ(shares(", batch_norm: local", ", cpu_ranks: 6"), ShareRule::kEqual) << "the only ones";
  const JobSpec job = read(
      "name: a\nmodel: {kind: mlp}\ndata: {format: idx, path: mnist}\ntrain: {batch: 8}\n"
      "stop: {epochs: 1}\nconfigurations: [{name: a, backend: nccl, ranks: 2, cpu_ranks: 6}]\n");
  EXPECT_EQ(job.configurations[0].ranks, 2);
  EXPECT_EQ(job.configurations[0].cpu_ranks, 6);
  EXPECT_EQ(job.configurations[0].world_size(), 8);
}

TEST(SpecReader, MeasuredSharesOfPiecesThatBatchNormSeesAreRefused) {
  const auto with = [](const std::string& model, const std::string& train, const std::string& row) {
    return read("name: a\nmodel: {kind: " + model + "}\ndata: {format: idx, path: mnist}\ntrain: {batch: 8" + train +
                "}\nstop: {epochs: 1}\nconfigurations: [{name: a, ranks: 2" + row + "}]\n");
  };
  EXPECT_THAT(
      [&] { with("resnet18", ", micro_batch: 4, shares: measured", ""); },
      testing::ThrowsMessage<ConfigError>(testing::HasSubstr("train.shares: batch norm sees each micro-batch")));
  EXPECT_NO_THROW(with("mlp", ", micro_batch: 4, shares: measured", "")) << "the sums are the same";
  const JobSpec mixed = with("resnet18", ", micro_batch: auto", ", backend: nccl, cpu_ranks: 6");
  EXPECT_EQ(mixed.configurations.at(0).train.shares, ShareRule::kEqual) << "the only ones";
}

TEST(SpecReader, SharesAreTheConfigurationsToo) {
  const JobSpec job = read(
      "name: a\nmodel: {kind: mlp}\ndata: {format: idx, path: ../mnist}\ntrain: {batch: 8, shares: measured}\n"
      "stop: {max_time: 90}\nconfigurations: [{name: b, ranks: 2}, {name: c, ranks: 2, train: {shares: equal}}]\n");
  EXPECT_EQ(job.configurations.at(0).train.shares, ShareRule::kMeasured);
  EXPECT_EQ(job.configurations.at(1).train.shares, ShareRule::kEqual);
  EXPECT_TRUE(unsupported(job).empty());
}

TEST(SpecReader, FillsInDefaults) {
  const JobSpec job = read(
      "name: a\nmodel: {kind: mlp}\ndata: {format: idx, path: ../mnist}\ntrain: {batch: 8}\n"
      "stop: {max_time: 90}\nconfigurations: [{name: b, ranks: 1}]\n");
  TrainSpec train;
  train.batch = 8;
  EXPECT_EQ(job.train, train);
  EXPECT_THAT(job.model.hidden, testing::ElementsAre(1024, 1024, 1024));
  EXPECT_EQ(job.data.path, "/mnist");
  EXPECT_EQ(job.stop, (StopSpec{.max_time_s = 90}));
  EXPECT_EQ(job.configurations.at(0), (ConfigurationSpec{.name = "b", .ranks = 1, .train = train, .stop = job.stop}));
  EXPECT_EQ(job.repeats, 1);
}

TEST(SpecReader, ConfigurationOverridesMergeIntoTheJobsOwn) {
  const JobSpec job =
      read(with_mistake(good_job(), {.line = "  - {name: two, pool: here, ranks: 2}",
                                     .instead = "  - {name: two, ranks: 2, train: {batch: 64, optimizer: {lr: 0.1}},\n"
                                                "     stop: {epochs: none, max_time: 5s}}\n"
                                                "  - {name: three, ranks: 3, train: {optimizer: {kind: adam}}}"}));
  const ConfigurationSpec& two = job.configurations.at(1);
  EXPECT_EQ(two.train.batch, 64);
  EXPECT_EQ(two.train.optimizer.lr, 0.1);
  EXPECT_EQ(two.train.optimizer.momentum, 0.9) << "what an override leaves out stays";
  EXPECT_EQ(two.stop, (StopSpec{.max_time_s = 5}));
  EXPECT_EQ(job.train.batch, 128);
  EXPECT_EQ(job.configurations.at(0).train, job.train);
  EXPECT_EQ(job.configurations.at(2).train.optimizer, default_optimizer(OptimizerKind::kAdam))
      << "another kind of optimizer starts from its own defaults";
  EXPECT_EQ(job.training(two).train, two.train);
}

TEST(SpecReader, SaysWhereKeysStood) {
  const JobSpec job = read(good_job());
  EXPECT_EQ(job.source.file, "job.yaml");
  EXPECT_EQ(job.source.at.at("train.optimizer.momentum"), std::pair(6, 36));
  EXPECT_EQ(job.source.at.at("configurations[1].ranks"), std::pair(16, 29));
  EXPECT_EQ(job.source.at.at("configurations[1]"), std::pair(16, 5));
  EXPECT_FALSE(job.source.written("train.seed"));
}

TEST(SpecReader, GivesAllFindingsAtOnceInFileOrder) {
  const auto found = findings(
      "name: a b\nmodel: {kind: cmn}\ndata: {format: idx}\ntrain:\n  batch: 0\n  batch: 1\n"
      "  optimizer: {nesterov: true, lr: -1}\n  sed: 1\nstop: {epochs: 0}\nrepeats: x\n"
      "configurations: [{name: b, ranks: 0}, {name: b, ranks: 1, color: red}]\n");
  std::vector<std::pair<int, int>> places;
  for (const auto& finding : found) places.emplace_back(finding.line, finding.column);
  const std::vector<std::pair<int, int>> expected{{1, 1}, {2, 9}, {3, 1},  {5, 3},   {6, 3},   {7, 31},
                                                  {8, 3}, {9, 8}, {10, 1}, {11, 28}, {11, 40}, {11, 59}};
  EXPECT_EQ(places, expected) << ConfigError(found).what();
}

TEST(SpecReader, RulesAreSilentAboutKeysThatAreWrongAlready) {
  EXPECT_EQ(findings(with_mistake(good_job(), {.line = "stop: {epochs: 3}", .instead = "stop: {epoch: 3}"})).size(),
            1U);
  EXPECT_EQ(findings(with_mistake(good_job(), {.line = "  schedule: {kind: constant}",
                                               .instead = "  schedule: {kind: step, step_epochs: 1, gama: 0.1}"}))
                .size(),
            1U);
}

TEST(SpecReader, OneBrokenRuleOfTheJobIsOneFindingForAllConfigurations) {
  const auto found =
      findings(with_mistake(good_job(), {.line = "  batch: 128", .instead = "  batch: 8\n  tf32: true"}));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].line, 6);
}

TEST(SpecReader, AppliesOverridesBeforeChecking) {
  const JobSpec job = read(good_job(), {{"train.batch", "256"},
                                        {"train.exchange", "{every: 2}"},
                                        {"configurations[1].ranks", "3"},
                                        {"train.seed", "7"},
                                        {"stop", "{max_time: 1h}"}});
  EXPECT_EQ(job.train.batch, 256);
  EXPECT_EQ(job.train.exchange.every, 2);
  EXPECT_EQ(job.train.seed, 7U);
  EXPECT_EQ(job.configurations.at(1).ranks, 3);
  EXPECT_EQ(job.stop, (StopSpec{.max_time_s = 3600}));
  EXPECT_TRUE(unsupported(job).empty());
}

TEST(SpecReader, PlacesFindingsAboutOverridesAtSet) {
  const std::pair<Override, const char*> cases[] = {
      {{"train.batch", "0"}, "--set train.batch: train.batch: out of range (expected at least 1, found 0)"},
      {{"train.bach", "1"}, "--set train.bach: train.bach: unknown key"},
      {{"train.optimizer", "{lr: x}"}, "--set train.optimizer.lr: train.optimizer.lr: wrong type"},
      {{"train.batch", "[1"}, "--set train.batch: train.batch: not YAML"},
      {{"name.x", "1"}, "--set name.x: name.x: expected a key below a map"},
      {{"configurations[2].ranks", "1"}, "--set configurations[2].ranks: configurations[2].ranks: expected an index"},
      {{"", "1"}, ": expected a dotted path, found nothing"},
  };
  for (const auto& [change, start] : cases) {
    const auto found = findings(good_job(), {change});
    ASSERT_EQ(found.size(), 1U) << change.first << "=" << change.second << "\n" << ConfigError(found).what();
    EXPECT_NE(found[0].text().find(start), std::string::npos) << found[0].text();
  }
}

TEST(SpecReader, RefusesFilesThatAreNone) {
  const TemporaryFolder folder;
  const auto message = [](const fs::path& path) -> std::string {
    try {
      read_job_file(path);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(message(folder.path() / "no.yaml"), testing::HasSubstr("no.yaml: cannot read the job file"));
  EXPECT_THAT(message(folder.path()), testing::HasSubstr("found a folder"));
  EXPECT_THAT(message(folder.write("empty.yaml", "")), testing::HasSubstr("empty.yaml:1:1: "));
  EXPECT_THAT(message(folder.write("big.yaml", std::string((1 << 20) + 1, '#'))),
              testing::HasSubstr("big.yaml: file too large (expected at most 1048576 bytes, found 1048577)"));
}

TEST(SpecReader, TheExampleHasNoFinding) {
  const fs::path examples = fs::path(REGATTA_SOURCE_DIR) / "jobs/examples";
  const JobSpec job = read_job_file(examples / "mnist.yaml");
  EXPECT_TRUE(unsupported(job).empty());
  EXPECT_EQ(job.data.path, examples / "data/mnist");
  EXPECT_TRUE(fs::is_directory(job.data.path));
  EXPECT_EQ(job.configurations.size(), 3U);
}

}  // namespace
}  // namespace regatta::test
