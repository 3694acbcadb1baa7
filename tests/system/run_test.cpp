// `regatta run` from outside: what it prints, what it leaves, what it records.

#include <algorithm>
#include <fstream>

#include "common/files.hpp"
#include "jobs/spec_reader.hpp"
#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using testing::AllOf, testing::ElementsAre, testing::HasSubstr, testing::IsEmpty, testing::Not,
    testing::UnorderedElementsAre;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

class RunTest : public SystemTest {};

TEST_F(RunTest, TrainsEveryConfigurationAndLeavesWhatTheDesignSays) {
  const auto job = folder_.write("job.yaml", tiny_job({kOneCore, kTwoCores}, 4));
  const auto result = regatta({"run", job});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  EXPECT_THAT(result.out, AllOf(HasSubstr("one-core"), HasSubstr("two-cores"), HasSubstr("verdict")));
  EXPECT_THAT(result.err, AllOf(HasSubstr("one-core: epoch 4/4"), HasSubstr("two-cores: epoch 1/4")));

  const auto all = runs();
  ASSERT_EQ(all.size(), 2U);
  for (const auto& run_state : all) {
    EXPECT_EQ(run_state.status, RunStatus::kDone);
    ASSERT_EQ(run_state.attempts.size(), 1U);
    const auto& attempt = run_state.attempts[0];
    EXPECT_EQ(attempt.epochs.size(), 4U);
    EXPECT_EQ(attempt.exit_code, 0);
    ASSERT_TRUE(attempt.stop && attempt.held_s && attempt.startup_s);
    EXPECT_LT(*attempt.startup_s, *attempt.held_s);
    EXPECT_FALSE(run_state.result.is_null());
    ASSERT_TRUE(run_state.bill);
    NanoUsd sum;
    for (const auto& part : run_state.bill->parts) sum += part.second;
    EXPECT_EQ(sum, run_state.bill->total);
    EXPECT_GT(sum.nano, 0);

    const fs::path folder = run_state.run_dir;
    EXPECT_THAT(names_in(folder), UnorderedElementsAre("job.yaml", "result.json", "weights.safetensors", "attempt-1"));
    const std::vector<std::string> logs =
        run_state.ranks == 2 ? std::vector<std::string>{"rank-0.log", "rank-1.log", "steps-0.jsonl", "steps-1.jsonl"}
                             : std::vector<std::string>{"rank-0.log", "steps-0.jsonl"};
    std::vector<std::string> wanted{"plan.json", "launch.sh", "launch.log", "journal.jsonl", "ranks.jsonl"};
    wanted.insert(wanted.end(), logs.begin(), logs.end());
    EXPECT_THAT(names_in(folder / "attempt-1"), testing::UnorderedElementsAreArray(wanted));
    EXPECT_EQ(read_file(folder / "job.yaml"), read_file(job));
  }
  EXPECT_EQ(all[0].attempts[0].start->ranks.size(), 1U);
  EXPECT_EQ(all[1].attempts[0].start->ranks.size(), 2U);
  EXPECT_THAT(ranks(), IsEmpty());
}

TEST_F(RunTest, PrintsTheComparisonAsJsonAndNothingElseOnStdout) {
  const auto job = folder_.write("job.yaml", tiny_job({kOneCore, kTwoCores}, 4));
  const Json comparison = regatta_json({"run", job, "--quiet"});
  ASSERT_EQ(comparison.at("configurations").size(), 2U);
  EXPECT_EQ(comparison.at("verdict").at("agreement").at("result"), "agree");
}

TEST_F(RunTest, InterleavesRepeats) {
  const auto job =
      folder_.write("job.yaml", tiny_job({kOneCore, "{name: again, pool: here, ranks: 1}"}, 1) + "repeats: 2\n");
  const auto result = regatta({"run", job});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  auto all = runs();
  std::sort(all.begin(), all.end(), [](const RunState& a, const RunState& b) {
    return a.attempts.at(0).launched_at < b.attempts.at(0).launched_at;
  });
  std::vector<std::string> order;
  for (const auto& run_state : all) order.push_back(run_state.configuration + std::to_string(run_state.repeat));
  EXPECT_THAT(order, ElementsAre("one-core1", "again1", "one-core2", "again2"));
}

TEST_F(RunTest, GoesOnWhenOneConfigurationFailsAndBillsIt) {
  const auto job = folder_.write(
      "job.yaml",
      tiny_job({"{name: explodes, pool: here, ranks: 1, train: {optimizer: {kind: sgd, lr: 1.0e+30}}}", kOneCore}));
  const auto result = regatta({"run", job});
  EXPECT_EQ(result.exit_code, 1) << result.text();
  EXPECT_THAT(result.err, HasSubstr("explodes: failed: the loss is not finite"));
  const auto all = runs();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].status, RunStatus::kFailed);
  EXPECT_EQ(all[0].attempts[0].exit_code, 14);
  ASSERT_TRUE(all[0].bill);
  EXPECT_GT(all[0].bill->total.nano, 0);
  EXPECT_EQ(all[1].status, RunStatus::kDone);
}

TEST_F(RunTest, DryRunCreatesNothing) {
  const auto job = folder_.write("job.yaml", tiny_job({kOneCore, kTwoCores}));
  const auto result = regatta({"run", job, "--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.text();
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("mpirun -np 2"), HasSubstr("32 + 32 samples by rank"), HasSubstr("price   $")));
  const Json json = regatta_json({"run", job, "--dry-run"});
  EXPECT_EQ(json.at("configurations").at(1).at("argv").at(0), "mpirun");
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("job.yaml"));
}

TEST_F(RunTest, OnlyAndSetNarrowAndChangeTheJob) {
  const auto job = folder_.write("job.yaml", tiny_job({kOneCore, kTwoCores}, 3));
  const auto result = regatta({"run", "--only", "one-core", "--set", "stop.epochs=1", "--set", "train.batch=128", job});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  const auto all = runs();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].configuration, "one-core");
  ASSERT_EQ(all[0].attempts[0].epochs.size(), 1U);
  EXPECT_EQ(all[0].attempts[0].epochs[0].last_step, 5);  // 640 / 128
  const JobSpec kept = read_job_file(fs::path(all[0].run_dir) / "job.yaml");
  EXPECT_EQ(kept.train.batch, 128) << "the copy beside the run is the job that ran";
  EXPECT_EQ(kept.configurations.size(), 2U);
}

struct Refusal {
  const char* name;
  std::vector<std::string> arguments;
  std::vector<const char*> words;
  int exit_code;
};
void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << refusal.name;
}

class RefusalTest : public SystemTest, public testing::WithParamInterface<Refusal> {};

TEST_P(RefusalTest, SaysWhyAndCreatesNothing) {
  folder_.write("job.yaml", tiny_job({kOneCore, kTwoCores}));
  folder_.write("bad.yaml", tiny_job({"{name: a, pool: there, ranks: 1}", "{name: b, pool: here, ranks: 99}"}));
  folder_.write("wrong.yaml", "name: x\nepochs: 3\n");
  folder_.write("pools.yaml", "pools:\n  here: {launcher: local, nodez: 1}\n");
  folder_.write("nodata.yaml",
                "name: x\nmodel: {kind: mlp}\ndata: {format: idx, path: nowhere}\n"
                "train: {batch: 64, optimizer: {kind: sgd, lr: 0.05}}\nstop: {epochs: 1}\n"
                "configurations:\n  - {name: a, pool: here, ranks: 1}\n");
  folder_.write("small.yaml",
                "name: x\nmodel: {kind: cnn}\ndata: {format: synthetic, samples: 64, shape: [1, 3, 3], classes: 2}\n"
                "train: {batch: 64, optimizer: {kind: sgd, lr: 0.05}}\nstop: {epochs: 1}\n"
                "configurations:\n  - {name: a, pool: here, ranks: 1}\n");
  options_.folder = folder_.path();
  const auto result = regatta(GetParam().arguments);
  EXPECT_EQ(result.exit_code, GetParam().exit_code) << result.text();
  EXPECT_THAT(result.err, testing::StartsWith("regatta: "));
  for (const auto* word : GetParam().words) EXPECT_THAT(result.err, HasSubstr(word));
  EXPECT_THAT(result.out, IsEmpty());
  EXPECT_FALSE(fs::exists(home()));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, RefusalTest,
    testing::Values(
        Refusal{"no_job", {"run"}, {"job"}, 2}, Refusal{"no_file", {"run", "gone.yaml"}, {"gone.yaml"}, 2},
        Refusal{"unknown_command", {"fly"}, {"fly"}, 2},
        Refusal{"unknown_configuration", {"run", "job.yaml", "--only", "one-cor"}, {"one-core", "--only"}, 2},
        Refusal{"set_without_value", {"run", "job.yaml", "--set", "train.batch"}, {"KEY=VALUE"}, 2},
        Refusal{"set_unknown_key", {"run", "job.yaml", "--set", "train.batsch=1"}, {"train.batsch", "batch"}, 2},
        Refusal{
            "unknown_pool_and_too_many_ranks", {"run", "bad.yaml"}, {"bad.yaml:7:", "there", "bad.yaml:8:", "99"}, 2},
        Refusal{"both_files_at_once",
                {"run", "wrong.yaml", "--cluster", "pools.yaml"},
                {"wrong.yaml:2:1", "epochs", "pools.yaml:2:", "nodez"},
                2},
        Refusal{
            "model_too_large_for_the_images", {"run", "small.yaml"}, {"small.yaml:2:9", "at least 4", "(1, 3, 3)"}, 2},
        Refusal{"data_too_large_for_memory",
                {"run", "job.yaml", "--set",
                 "data={format: idx, path: " REGATTA_SOURCE_DIR "/jobs/examples/data/mnist, memory: 1MiB}"},
                {"data.memory", "found", "gzip"},
                10},
        Refusal{"no_data", {"run", "nodata.yaml"}, {"nowhere"}, 10},
        Refusal{"no_worker", {"run", "job.yaml", "--worker", "/nowhere/worker"}, {"/nowhere/worker", "--worker"}, 2}),
    [](const auto& param) { return param.param.name; });

TEST_F(RunTest, HelpTeachesAndVersionIsShort) {
  const auto help = run({binary("regatta"), "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("Examples"), HasSubstr("regatta run job.yaml")));
  const auto run_help = run({binary("regatta"), "run", "--help"});
  EXPECT_THAT(run_help.out, AllOf(HasSubstr("--dry-run"), HasSubstr("--set train.batch=256")));
  EXPECT_EQ(run({binary("regatta"), "--version"}).out, "regatta " REGATTA_VERSION "\n");
}

TEST_F(RunTest, KeepsTheTokenToItself) {
  const auto job = folder_.write("job.yaml", endless_job({kTwoCores}));
  Process regatta_run(command({"run", job}), options_);
  const fs::path folder = wait_for_journal("start");
  const fs::path link = folder / "attempt-1" / "link.json";
  const auto token = json_get<std::string>(parse_json(read_file(link), "link.json"), "token");
  EXPECT_EQ(fs::status(link).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  regatta_run.signal(SIGINT);
  EXPECT_EQ(regatta_run.wait(std::chrono::seconds(30)).exit_code, 130);
  EXPECT_FALSE(fs::exists(link));
  for (const auto& entry : fs::recursive_directory_iterator(home())) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(file)), {});
    EXPECT_EQ(content.find(token), std::string::npos) << entry.path();
  }
}

}  // namespace
}  // namespace regatta::test
