// `mpirun -np N regatta-worker job.yaml`: what it leaves, what it refuses.

#include <csignal>

#include "common/files.hpp"
#include "common/hash.hpp"
#include "jobs/plan_files.hpp"
#include "tests/worker/worker_runs.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<std::string> types_of(const std::vector<JournalLine>& lines) {
  std::vector<std::string> types;
  types.reserve(lines.size());
  for (const auto& line : lines) types.push_back(type_of(line.body));
  return types;
}

TEST_F(WorkerRuns, TwoRanksLeaveAWholeRun) {
  const ProcessResult ended = run(launch(2, worker(), {job(2).string()}), options_);
  ASSERT_EQ(ended.exit_code, 0) << ended.text();
  EXPECT_THAT(types_of(journal()), testing::ElementsAre("start", "first_step", "epoch", "early", "epoch", "stop"))
      << "ten steps an epoch, and `early` has twenty";
  for (const char* name :
       {"job.yaml", "attempt-1/plan.json", "attempt-1/launch.sh", "attempt-1/ranks.jsonl", "attempt-1/rank-0.log",
        "attempt-1/rank-1.log", "attempt-1/steps-0.jsonl", "attempt-1/steps-1.jsonl"})
    EXPECT_TRUE(fs::exists(run_dir() / name)) << name;
  const Json end = result();
  EXPECT_EQ(end["status"], "done");
  EXPECT_EQ(end["steps"], 20);
  EXPECT_EQ(end["weights"]["xxh3"], xxh3_file_hex(run_dir() / "weights.safetensors"));
  EXPECT_EQ(end["weights"]["bytes"], fs::file_size(run_dir() / "weights.safetensors"));
  const auto start = std::get<record::Start>(journal().at(0).body);
  ASSERT_EQ(start.ranks.size(), 2U);
  EXPECT_EQ(start.parameters, 64 * 16 + 16 + 16 * 4 + 4);
  EXPECT_EQ(start.gradient_bytes, 4 * start.parameters);
  EXPECT_EQ(read_file(run_dir() / "job.yaml"), read_file(folder_.path() / "job.yaml"));
}

TEST_F(WorkerRuns, OneRankNeedsNoLauncherAndItsPlanCanBeRunAgain) {
  const ProcessResult first = run({worker(), job(1).string(), "--run-dir", run_dir().string()});
  ASSERT_EQ(first.exit_code, 0) << first.text();
  const fs::path again = folder_.path() / "again";
  const ProcessResult second =
      run({worker(), "--plan", (run_dir() / "attempt-1/plan.json").string(), "--run-dir", again.string(), "--quiet"});
  ASSERT_EQ(second.exit_code, 0) << second.text();
  EXPECT_EQ(second.err, "") << "quiet";
  EXPECT_EQ(xxh3_file_hex(again / "weights.safetensors"), xxh3_file_hex(run_dir() / "weights.safetensors"))
      << "the same plan on the same machine gives the same bits";
}

TEST_F(WorkerRuns, TakesTheKernelsOfThePlanAndMeasuresOnlyWithoutThem) {
  ASSERT_EQ(run(launch(2, worker(), {job(1).string()}), options_).exit_code, 0);
  const auto kernels_of_start = [&] {
    return linear_kernels_from_json(std::get<record::Start>(journal().at(0).body).kernels);
  };
  const LinearKernels measured = kernels_of_start();
  ASSERT_EQ(measured.size(), 2U);
  EXPECT_EQ(measured[0].inputs, 64);
  EXPECT_EQ(measured[1].outputs, 4);
  Plan plan = read_plan(run_dir() / "attempt-1/plan.json");
  EXPECT_FALSE(plan.kernels);
  fs::remove_all(run_dir());
  for (const bool onednn : {false, true}) {
    plan.kernels = LinearKernels{{64, 16, onednn, !onednn, onednn}};
    const fs::path file = folder_.write("plan.json", to_json(plan).dump());
    const ProcessResult ended = run(launch(2, worker(), {"--plan", file.string()}), options_);
    ASSERT_EQ(ended.exit_code, 0) << ended.text();
    EXPECT_EQ(kernels_of_start(), *plan.kernels);
    fs::remove_all(run_dir());
  }
  options_.environment["REGATTA_WITHOUT"] = "onednn_linear";
  ASSERT_EQ(run(launch(2, worker(), {"--plan", (folder_.path() / "plan.json").string()}), options_).exit_code, 0);
  EXPECT_TRUE(kernels_of_start().empty());
}

TEST_F(WorkerRuns, ThreadsOfARankSpinShortlyUnlessTheUserSaysOtherwise) {
  for (const bool asked : {false, true}) {
    fs::remove_all(run_dir());
    std::string text = read_file(job(1'000'000));
    text.replace(text.find("ranks: 1"), 8, "ranks: 1, threads: 2");
    folder_.write("job.yaml", text);
    if (asked) options_.environment["OMP_WAIT_POLICY"] = "active";
    Process process({worker(), (folder_.path() / "job.yaml").string(), "--run-dir", run_dir().string()}, options_);
    ASSERT_TRUE(journal_has("first_step")) << process.err();
    const std::string environment = read_file("/proc/" + std::to_string(process.pid()) + "/environ");
    EXPECT_EQ(environment.find("GOMP_SPINCOUNT=5000") == std::string::npos, asked);
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait().exit_code, 75);
  }
}

TEST_F(WorkerRuns, SaysOnceWhatIsSwitchedOff) {
  options_.environment["REGATTA_WITHOUT"] = "bf16_weights,streaming_stores";
  const ProcessResult ended = run(launch(2, worker(), {job(1).string()}), options_);
  ASSERT_EQ(ended.exit_code, 0) << ended.text();
  EXPECT_THAT(std::get<record::Start>(journal().at(0).body).warnings,
              testing::IsSupersetOf({"without streaming_stores: REGATTA_WITHOUT is set",
                                     "without bf16_weights: REGATTA_WITHOUT is set"}));
  EXPECT_EQ(count_of("without bf16_weights", ended.err), 1) << ended.text();
}

TEST_F(WorkerRuns, RefusesToSwitchOffWhatItDoesNotKnow) {
  options_.environment["REGATTA_WITHOUT"] = "alocator";
  const ProcessResult ended = run(launch(2, worker(), {job(1).string()}), options_);
  EXPECT_EQ(ended.exit_code, 2) << ended.text();
  EXPECT_EQ(count_of("REGATTA_WITHOUT: unknown word \"alocator\"", ended.err), 1) << ended.text();
}

TEST_F(WorkerRuns, RefusesRanksWithDifferentPartsSwitchedOff) {
  std::vector<std::string> argv = launch(1, worker(), {job(1).string()});
  argv.insert(argv.begin() + 3, {"-x", "REGATTA_WITHOUT=allocator"});
  argv.insert(argv.end(), {":", "-np", "1", worker(), job(1).string(), "--run-dir", run_dir().string()});
  const ProcessResult ended = run(argv, options_);
  EXPECT_EQ(ended.exit_code, 2) << ended.text();
  EXPECT_EQ(count_of("REGATTA_WITHOUT is \"\" here and \"allocator\" on rank 0", ended.err), 1) << ended.text();
}

TEST_F(WorkerRuns, TheAllocatorChangesNoBit) {
  std::string text = read_file(job(2));
  text.replace(text.find("[16]"), 4, "[512, 512]");  // tensors of up to 1 MB
  const fs::path large = folder_.write("job.yaml", text), without = folder_.path() / "without";
  options_.environment["REGATTA_WITHOUT"] = "onednn_linear";  // which is chosen by measuring
  ASSERT_EQ(run({worker(), large.string(), "--run-dir", run_dir().string()}, options_).exit_code, 0);
  options_.environment["REGATTA_WITHOUT"] = "allocator,onednn_linear";
  ASSERT_EQ(run({worker(), large.string(), "--run-dir", without.string()}, options_).exit_code, 0);
  EXPECT_EQ(xxh3_file_hex(run_dir() / "weights.safetensors"), xxh3_file_hex(without / "weights.safetensors"));

  const auto memory = std::get<record::Stop>(journal().back().body).memory;
  ASSERT_TRUE(memory);
  EXPECT_GT(memory->peak_bytes, 2 * 4 * 512 * 512) << "weights and gradients";
  EXPECT_LT(memory->held_bytes, 2 * memory->peak_bytes);
  EXPECT_GT(memory->blocks_reused, 10 * memory->blocks_made) << "a step uses what the one before left";
  EXPECT_GE(memory->returned_bytes, 8 * 512 * 512) << "weights drawn in double";
  const auto lines = parse_journal(read_file(without / "attempt-1/journal.jsonl"));
  EXPECT_FALSE(std::get<record::Stop>(lines.back().body).memory);
}

TEST_F(WorkerRuns, WithoutARunDirectoryItIsKeptAtHome) {
  options_.environment["REGATTA_HOME"] = (folder_.path() / "home").string();
  ASSERT_EQ(run({worker(), job(1).string()}, options_).exit_code, 0);
  int runs = 0;
  for (const auto& entry : fs::directory_iterator(folder_.path() / "home/runs")) {
    ++runs;
    EXPECT_TRUE(is_ulid(entry.path().filename().string()));
    EXPECT_TRUE(fs::exists(entry.path() / "result.json"));
  }
  EXPECT_EQ(runs, 1);
}

TEST_F(WorkerRuns, AFolderWithAJournalIsRefusedAndLeftAlone) {
  folder_.write("run/attempt-1/journal.jsonl", "precious\n");
  const ProcessResult ended = run(launch(2, worker(), {job(1).string()}), options_);
  EXPECT_EQ(ended.exit_code, 2) << ended.text();
  EXPECT_EQ(count_of("holds a run already", ended.err), 1) << ended.err;
  EXPECT_EQ(read_file(run_dir() / "attempt-1/journal.jsonl"), "precious\n");
  EXPECT_FALSE(fs::exists(run_dir() / "job.yaml"));
}

TEST_F(WorkerRuns, AWrongConfigurationListsThoseThatExistOnce) {
  const ProcessResult ended = run(launch(2, worker(), {job(1).string(), "--config", "tow"}), options_);
  EXPECT_EQ(ended.exit_code, 2) << ended.text();
  EXPECT_EQ(count_of("tow", ended.err), 1) << ended.err;
  EXPECT_THAT(ended.err, AllOf(HasSubstr("one"), HasSubstr("two")));
  EXPECT_FALSE(fs::exists(run_dir())) << "nothing is half done";
}

TEST_F(WorkerRuns, AConfigurationOfAnotherSizeIsRefused) {
  const ProcessResult ended = run(launch(2, worker(), {job(1).string(), "--config", "one"}), options_);
  EXPECT_EQ(ended.exit_code, 2) << ended.text();
  EXPECT_FALSE(fs::exists(run_dir()));
}

TEST_F(WorkerRuns, WhatIsNotInThisVersionIsRefusedBeforeAnythingIsMade) {
  const ProcessResult ended = run(launch(2, worker(), {job(1, "checkpoint: every_epoch").string()}), options_);
  EXPECT_EQ(ended.exit_code, 2) << ended.text();
  EXPECT_EQ(count_of("not in this version", ended.err), 1) << ended.err;
  EXPECT_FALSE(fs::exists(run_dir()));
}

TEST_F(WorkerRuns, AutoPrecisionIsLeftToRegattaRun) {
  const ProcessResult ended = run(launch(2, worker(), {job(1, "precision: auto").string()}), options_);
  EXPECT_EQ(ended.exit_code, 2) << ended.text();
  EXPECT_EQ(count_of("auto is chosen by trials", ended.err), 1) << ended.err;
  EXPECT_THAT(ended.err, AllOf(HasSubstr("train.precision"), HasSubstr("write precision: fp32 or bf16")));
  EXPECT_FALSE(fs::exists(run_dir()));
}

TEST_F(WorkerRuns, ASilentWorldOfOneIsRefused) {
  // What a launcher that the MPI library does not know looks like from inside: every process is alone.
  options_.environment["OMPI_COMM_WORLD_SIZE"] = "2";
  options_.environment["OMPI_COMM_WORLD_RANK"] = "0";
  const ProcessResult by_hand = run({worker(), job(1).string(), "--run-dir", run_dir().string()}, options_);
  EXPECT_EQ(by_hand.exit_code, 11) << by_hand.text();
  EXPECT_THAT(by_hand.err, HasSubstr("announces 2 ranks, MPI finds 1"));
  EXPECT_FALSE(fs::exists(run_dir()));
}

TEST_F(WorkerRuns, APlanForTwoIsRefusedByAWorldOfOne) {
  ASSERT_EQ(run(launch(2, worker(), {job(1).string()}), options_).exit_code, 0);
  const ProcessResult ended = run({worker(), "--plan", (run_dir() / "attempt-1/plan.json").string(), "--run-dir",
                                   (folder_.path() / "again").string()});
  EXPECT_EQ(ended.exit_code, 2) << ended.text();
  EXPECT_THAT(ended.err, HasSubstr("the plan is for 2 ranks, this launch has 1"));
  EXPECT_FALSE(fs::exists(folder_.path() / "again"));
}

}  // namespace
}  // namespace regatta::test
