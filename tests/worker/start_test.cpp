// What a worker knows before it trains: its launcher, its command line, its place, its folder.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <map>
#include <new>

#include "common/files.hpp"
#include "tests/support/process.hpp"
#include "tests/worker/worker_samples.hpp"
#include "worker/failure.hpp"
#include "worker/hand_plan.hpp"
#include "worker/options.hpp"
#include "worker/rank_context.hpp"
#include "worker/run_folder.hpp"

namespace regatta {
namespace {

using testing::HasSubstr;

struct Launch {
  std::map<std::string, std::string> environment;
  std::string launcher;
  int world_size, rank;
};

TEST(LauncherVariables, AreReadByLauncher) {
  const std::vector<Launch> table = {
      {{}, "", 1, 0},
      {{{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}}, "Open MPI", 4, 3},
      {{{"OMPI_COMM_WORLD_SIZE", "1"}, {"OMPI_COMM_WORLD_RANK", "0"}}, "Open MPI", 1, 0},
      {{{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "5"}}, "Slurm", 8, 5},
      {{{"SLURM_NTASKS", "8"}}, "", 1, 0},  // an allocation alone launches nothing
      {{{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_RANK", "1"}},
       "Open MPI",
       2,
       1},  // mpirun inside a batch script
      {{{"PMIX_RANK", "2"}}, "PMIx", 0, 2},
      {{{"PMIX_RANK", "1"}, {"SLURM_NTASKS", "2"}, {"SLURM_PROCID", "1"}}, "Slurm", 2, 1},
      {{{"PMI_SIZE", "3"}, {"PMI_RANK", "2"}}, "MPICH", 3, 2},
      {{{"OMPI_COMM_WORLD_SIZE", "two"}, {"OMPI_COMM_WORLD_RANK", "0"}}, "", 1, 0},
      {{{"OMPI_COMM_WORLD_SIZE", "0"}, {"OMPI_COMM_WORLD_RANK", "0"}}, "", 1, 0},
  };
  for (const auto& launch : table) {
    const LauncherVariables found = launcher_variables([&](const char* name) {
      const auto entry = launch.environment.find(name);
      return entry == launch.environment.end() ? nullptr : entry->second.c_str();
    });
    EXPECT_EQ(found.launcher, launch.launcher);
    EXPECT_EQ(found.world_size, launch.world_size) << launch.launcher;
    EXPECT_EQ(found.rank, launch.rank) << launch.launcher;
  }
}

struct Announced {
  std::map<std::string, std::string> environment;
  const char* says;  ///< "": nothing is wrong
};

TEST(LauncherVariables, ThatConnectNobodyAreSaid) {
  const std::vector<Announced> table = {
      {{}, ""},
      {{{"OMPI_COMM_WORLD_SIZE", "4"}, {"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "4"}}, ""},  // mpirun in a batch script
      {{{"PMIX_RANK", "1"}, {"SLURM_STEP_ID", "0"}, {"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "2"}}, ""},
      {{{"SLURM_STEP_ID", "0"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "1"}, {"SLURM_JOB_ID", "7"}}, ""},
      {{{"SLURM_STEP_ID", "0"}, {"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "2"}}, "srun started 2 tasks with --mpi=none"},
      {{{"SLURM_STEP_ID", "0"},
        {"SLURM_PROCID", "1"},
        {"SLURM_NTASKS", "2"},
        {"SLURM_MPI_TYPE", "pmi2"},
        {"PMI_SIZE", "2"}},
       "srun started 2 tasks with --mpi=pmi2"},
      {{{"PMI_SIZE", "3"}, {"PMI_RANK", "2"}}, "another MPI"},
      {{{"PMI_SIZE", "1"}, {"PMI_RANK", "0"}}, ""},
      {{{"PMI_SIZE", "2"}, {"SLURM_STEP_ID", "0"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "1"}}, "another MPI"},
      {{{"MV2_COMM_WORLD_SIZE", "8"}}, "MV2_COMM_WORLD_SIZE is 8"},
      // A batch script, and the shell of salloc.
      {{{"SLURM_JOB_ID", "7"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}, "this Slurm job has 4 tasks"},
      {{{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "4"}}, "this Slurm job has 4 tasks"},
      {{{"SLURM_JOB_ID", "7"}, {"SLURM_NNODES", "2"}}, "this Slurm job has 2 tasks"},
      {{{"SLURM_JOB_ID", "7"}, {"SLURM_NNODES", "2"}, {"SLURM_NTASKS_PER_NODE", "3"}}, "this Slurm job has 6 tasks"},
      {{{"SLURM_JOB_ID", "7"}, {"SLURM_NNODES", "1"}, {"SLURM_NTASKS", "1"}}, ""},
  };
  for (const auto& row : table) {
    const std::string said = launcher_refusal([&](const char* name) {
      const auto entry = row.environment.find(name);
      return entry == row.environment.end() ? nullptr : entry->second.c_str();
    });
    EXPECT_EQ(said.empty(), *row.says == '\0') << said;
    EXPECT_THAT(said, HasSubstr(row.says));
  }
}

TEST(SoloContext, IsAWorldOfOne) {
  const auto ranks = make_solo_context();
  EXPECT_EQ(ranks->world_size(), 1);
  std::byte* memory = ranks->node_shared(100'000);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 64, 0U);
  std::fill_n(memory, 100'000, std::byte{1});
  EXPECT_EQ(ranks->gather("x"), std::vector<std::string>{"x"});
  EXPECT_EQ(ranks->broadcast("y"), "y");
}

std::variant<WorkerOptions, ExitCode> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "regatta-worker");
  return parse_worker_options(static_cast<int>(words.size()), words.data(), /*speak=*/false);
}

TEST(Options, AreReadAsWritten) {
  const auto parsed = parse({"job.yaml", "--config", "two", "--run-dir", "out", "--home", "h", "--quiet"});
  const auto& options = std::get<WorkerOptions>(parsed);
  EXPECT_EQ(options.job, "job.yaml");
  EXPECT_EQ(options.configuration, "two");
  EXPECT_EQ(options.run_dir, "out");
  EXPECT_EQ(options.home, "h");
  EXPECT_TRUE(options.quiet);
  EXPECT_FALSE(options.plan);
  EXPECT_EQ(std::get<WorkerOptions>(parse({"--plan", "p.json"})).plan, "p.json");
}

TEST(Options, RefuseWhatMakesNoSense) {
  const std::vector<std::vector<const char*>> table = {{},
                                                       {"job.yaml", "--plan", "p.json"},
                                                       {"--plan", "p.json", "--config", "two"},
                                                       {"job.yaml", "--nonsense"},
                                                       {"a", "b"}};
  for (const auto& words : table) EXPECT_EQ(std::get<ExitCode>(parse(words)), ExitCode::kBadConfig);
  EXPECT_EQ(std::get<ExitCode>(parse({"--help"})), ExitCode::kDone);
  EXPECT_EQ(std::get<ExitCode>(parse({"--version"})), ExitCode::kDone);
}

struct Site {
  const char* what;
  std::vector<RankSite> sites;
  int threads;
  bool launched;
  std::vector<std::vector<int>> cores;
  bool contended;
  int nodes, cores_per_node;
};

TEST(PlaceByHand, KeepsTheLaunchersBindingOrDealsCoresOut) {
  const std::vector<int> eight = {0, 1, 2, 3, 4, 5, 6, 7};
  const std::vector<Site> table = {
      {"bound by mpirun", {{"a", {0}, 2}, {"a", {1}, 2}}, 1, true, {{0}, {1}}, false, 1, 2},
      {"bound the other way round", {{"a", {1}, 2}, {"a", {0}, 2}}, 1, true, {{1}, {0}}, false, 1, 2},
      {"two ranks bound to cores of a large host", {{"a", {0}, 48}, {"a", {1}, 48}}, 1, true, {{0}, {1}}, false, 1, 48},
      {"not bound", {{"a", {0, 1}, 2}, {"a", {0, 1}, 2}}, 1, true, {{0}, {1}}, false, 1, 2},
      {"alone, without a launcher", {{"a", {0, 1}, 2}}, 1, false, {}, false, 1, 2},
      {"more ranks than cores", {{"a", {0}, 1}, {"a", {0}, 1}}, 1, true, {}, true, 1, 1},
      {"two hosts, bound", {{"a", {0}, 2}, {"b", {0}, 4}}, 1, true, {{0}, {0}}, false, 2, 4},
      {"two hosts, not bound", {{"a", eight, 8}, {"b", eight, 8}}, 1, true, {eight, eight}, false, 2, 8},
      {"two hosts, more threads than cores", {{"a", {0}, 1}, {"b", {0}, 1}}, 2, true, {}, true, 2, 1},
  };
  for (const auto& row : table) {
    JobSpec job;
    ConfigurationSpec configuration;
    configuration.name = "c";
    configuration.ranks = static_cast<int>(row.sites.size());
    configuration.threads = row.threads;
    const Placement placement = place_by_hand(job, configuration, row.sites, row.launched);
    EXPECT_EQ(placement.cores, row.cores) << row.what;
    EXPECT_EQ(placement.contended, row.contended) << row.what;
    EXPECT_EQ(placement.nodes, row.nodes) << row.what;
    EXPECT_EQ(placement.cores_per_node, row.cores_per_node) << row.what;
    EXPECT_EQ(placement.ranks, *configuration.ranks) << row.what;
  }
}

TEST(PlaceByHand, CountsTheCoresOfBothKindsOfRank) {
  JobSpec job;
  ConfigurationSpec configuration;
  configuration.backend = Backend::kNccl;
  configuration.ranks = 1;
  configuration.cpu_ranks = 2;
  configuration.threads = 2;
  const std::vector<int> five = {0, 1, 2, 3, 4};
  const std::vector<RankSite> sites(3, RankSite{"a", five, 5, 1});
  const Placement placement = place_by_hand(job, configuration, sites, true);
  EXPECT_EQ(placement.cores, (std::vector<std::vector<int>>{{}, {1, 2}, {3, 4}}));
  EXPECT_FALSE(placement.contended) << "a core counted for the GPU's rank, two for each other";
  EXPECT_EQ(placement.gpus_per_node, 1) << "no GPU for the CPU ranks";
  EXPECT_EQ(placement.ranks, 3);
  const std::vector<RankSite> bound = {{"a", {4}, 5, 1}, {"a", {0, 1}, 5, 1}, {"a", {2, 3}, 5, 1}};
  EXPECT_EQ(place_by_hand(job, configuration, bound, true).cores, (std::vector<std::vector<int>>{{4}, {0, 1}, {2, 3}}));
  const std::vector<RankSite> four(3, RankSite{"a", {0, 1, 2, 3}, 4, 1});
  EXPECT_TRUE(place_by_hand(job, configuration, four, true).contended);
}

TEST(PlaceByHand, HoldsTheWholeHostWhateverItIsBoundTo) {
  cpu_set_t before, one;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  const RankSite free = this_site();
  CPU_ZERO(&one);
  CPU_SET(free.cores.front(), &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  const RankSite bound = this_site();
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(bound.cores, std::vector<int>{free.cores.front()});
  EXPECT_EQ(bound.host_cores, free.host_cores);
  EXPECT_GE(free.host_cores, static_cast<int>(free.cores.size()));
}

TEST(PlanByHand, RefusesAModelThatDoesNotFitTheData) {
  const test::TemporaryFolder folder;
  const fs::path job = folder.write("job.yaml", R"(name: small
model: {kind: cnn}
data: {format: synthetic, samples: 64, shape: [1, 3, 3], classes: 2}
train: {batch: 8}
stop: {epochs: 1}
configurations: [{name: one, ranks: 1}]
)");
  const HandJob read = read_by_hand({.job = job}, {{"a", {0}, 1}}, /*launched=*/false);
  try {
    plan_by_hand(read);
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("job.yaml:2:9: model.kind: cnn does not fit the data"));
  }
}

TEST(PlaceByHand, SitesTravelAsText) {
  const RankSite site = decode_site(encode_site({"node-1", {0, 2, 4}, 48}));
  EXPECT_EQ(site.host, "node-1");
  EXPECT_EQ(site.cores, (std::vector<int>{0, 2, 4}));
  EXPECT_EQ(site.host_cores, 48);
}

TEST(RunFolder, IsWhereTheOptionsSay) {
  const Plan plan = test::small_plan(10, 2, {1});
  EXPECT_EQ(run_folder({.run_dir = "/a/b"}, plan).attempt, "/a/b/attempt-1");
  EXPECT_EQ(run_folder({.home = "/h"}, plan).run, fs::path("/h/runs") / plan.run.value);
}

TEST(RunFolder, RefusesOneThatHasAJournal) {
  const test::TemporaryFolder folder;
  const RunFolder run = run_folder({.run_dir = folder.path()}, test::small_plan(10, 2, {1}));
  EXPECT_NO_THROW(refuse_used(run));
  folder.write("attempt-1/journal.jsonl", "");
  EXPECT_THROW(refuse_used(run), ConfigError);
}

Failure failure_of(const std::function<void()>& work) {
  try {
    work();
  } catch (...) {
    return current_failure();
  }
  return {};
}

TEST(Failure, HasTheCodeOfItsCause) {
  EXPECT_EQ(failure_of([] { throw DataError("d"); }).code, ExitCode::kData);
  EXPECT_EQ(failure_of([] { throw IoError("d"); }).code, ExitCode::kDisk);
  EXPECT_EQ(failure_of([] { throw CommError("d", ExitCode::kLostPeer); }).code, ExitCode::kLostPeer);
  EXPECT_EQ(failure_of([] { throw std::bad_alloc(); }).code, ExitCode::kOutOfMemory);
  EXPECT_EQ(failure_of([] { throw std::logic_error("bug"); }).message, "bug");
}

TEST(Failure, AloneIsAgreedAtOnce) {
  const auto ranks = make_solo_context();
  EXPECT_NO_THROW(agree(*ranks, [] {}));
  try {
    agree(*ranks, [] { throw DataError("damaged"); });
    FAIL() << "expected an AgreedError";
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kData);
    EXPECT_STREQ(error.what(), "damaged");
  }
}

}  // namespace
}  // namespace regatta
