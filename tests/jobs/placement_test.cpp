#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "jobs/plan.hpp"

namespace regatta {
namespace {

using testing::HasSubstr;

JobSpec job_with(std::vector<ConfigurationSpec> configurations) {
  JobSpec job;
  job.name = "job";
  job.source.file = "job.yaml";
  for (std::size_t i = 0; i < configurations.size(); ++i) {
    const std::string path = "configurations[" + std::to_string(i) + "]";
    const int line = 20 + static_cast<int>(i);
    job.source.at[path] = {line, 5};
    job.source.at[path + ".ranks"] = {line, 42};
    if (configurations[i].threads != 1) job.source.at[path + ".threads"] = {line, 52};
  }
  job.source.at["configurations"] = {19, 1};
  job.configurations = std::move(configurations);
  return job;
}

ConfigurationSpec configuration(const std::string& name, std::optional<int> ranks, int threads = 1,
                                Backend backend = Backend::kMpi) {
  ConfigurationSpec spec;
  spec.name = name;
  spec.pool = "pool";
  spec.backend = backend;
  spec.ranks = ranks;
  spec.threads = threads;
  return spec;
}

PoolCapacity pool(int nodes, int cores_per_node, bool oversubscribe = false, std::vector<int> host_cores = {}) {
  return {"pool", nodes, cores_per_node, 0, oversubscribe, std::move(host_cores)};
}

using Cores = std::vector<std::vector<int>>;

struct Placed {
  std::string name;
  int ranks, threads;
  PoolCapacity pool;
  int nodes;
  bool contended;
  Cores cores;
};

TEST(Placement, Table) {
  const std::vector<Placed> table = {
      {"one rank of two cores", 1, 1, pool(1, 2, false, {0, 1}), 1, false, {{0}}},
      {"a core for each rank, in order", 2, 1, pool(1, 2, false, {0, 1}), 1, false, {{0}, {1}}},
      {"threads take neighbours", 1, 2, pool(1, 2, false, {0, 1}), 1, false, {{0, 1}}},
      {"core numbers with gaps", 2, 2, pool(1, 4, false, {1, 3, 8, 9}), 1, false, {{1, 3}, {8, 9}}},
      {"more cores than wanted", 2, 1, pool(1, 8, false, {4, 5, 6, 7}), 1, false, {{4}, {5}}},
      {"the pool promises more than the host has", 4, 1, pool(1, 4, false, {0, 1}), 1, true, {}},
      {"oversubscribed", 3, 1, pool(1, 2, true, {0, 1}), 1, true, {}},
      {"oversubscribed threads", 1, 4, pool(1, 2, true, {0, 1}), 1, true, {}},
      {"oversubscription that is not needed", 2, 1, pool(1, 2, true, {0, 1}), 1, false, {{0}, {1}}},
      {"other hosts are not pinned from here", 4, 1, pool(2, 2), 2, false, {}},
      {"full nodes first", 3, 2, pool(4, 5), 2, false, {}},
      {"as few nodes as do", 2, 1, pool(8, 2), 1, false, {}},
      {"oversubscribed nodes are all used", 9, 1, pool(2, 2, true), 2, true, {}},
      {"no node without a rank", 1, 9, pool(2, 2, true), 1, true, {}},
  };
  for (const Placed& row : table) {
    const JobSpec job = job_with({configuration("a", row.ranks, row.threads)});
    const Placement placement = place(job, job.configurations[0], row.pool);
    EXPECT_EQ(placement.configuration, "a") << row.name;
    EXPECT_EQ(placement.pool, "pool") << row.name;
    EXPECT_EQ(placement.ranks, row.ranks) << row.name;
    EXPECT_EQ(placement.threads, row.threads) << row.name;
    EXPECT_EQ(placement.cores_per_node, row.pool.cores_per_node) << row.name;
    EXPECT_EQ(placement.nodes, row.nodes) << row.name;
    EXPECT_EQ(placement.contended, row.contended) << row.name;
    EXPECT_EQ(placement.cores, row.cores) << row.name;
  }
}

struct Refused {
  std::string name;
  ConfigurationSpec configuration;
  PoolCapacity pool;
  std::vector<std::string> message;
};

TEST(Placement, TooFewSlotsAreRefusedWithPositionAndAdvice) {
  PoolCapacity gpus = pool(2, 8);
  gpus.gpus_per_node = 1;
  PoolCapacity crowded_gpus = gpus;
  crowded_gpus.oversubscribe = true;
  const std::vector<Refused> table = {
      {"ranks",
       configuration("b", 3),
       pool(1, 2),
       {"job.yaml:21:42: configurations[1].ranks: expected at most 2 ranks of 1 thread in pool \"pool\" (1 node with 2 "
        "cores)",
        "found 3", "\n  lower ranks or threads", "oversubscribe: true"}},
      {"ranks x threads", configuration("b", 2, 2), pool(1, 3), {":21:42:", "at most 1 rank of 2 threads", "found 2"}},
      {"a rank does not straddle nodes",
       configuration("b", 3, 2),
       pool(2, 3),
       {"at most 2 ranks of 2 threads", "(2 nodes with 3 cores each)", "found 3"}},
      {"threads",
       configuration("b", 1, 4),
       pool(1, 2),
       {"job.yaml:21:52: configurations[1].threads: expected at most 2 threads a rank", "found 4",
        "\n  lower threads"}},
      {"GPUs",
       configuration("b", 3, 1, Backend::kNccl),
       gpus,
       {"at most 2 ranks in pool", "(2 nodes with 1 GPU each)", "found 3"}},
      {"three ranks on a GPU",
       configuration("b", 5, 1, Backend::kNccl),
       crowded_gpus,
       {"at most 2 ranks", "more GPUs"}},
      {"a product beyond 32 bits", configuration("b", 2'000'000'000, 2), pool(1, 2), {"found 2000000000"}},
  };
  for (const Refused& row : table) {
    const JobSpec job = job_with({configuration("a", 1), row.configuration});
    try {
      place(job, job.configurations[1], row.pool);
      ADD_FAILURE() << row.name << ": placed";
    } catch (const ConfigError& error) {
      EXPECT_EQ(error.diagnostics().size(), 1U) << row.name;
      for (const auto& part : row.message) EXPECT_THAT(error.what(), HasSubstr(part)) << row.name;
    }
  }
}

TEST(Placement, RanksOnGpusTakeGpusForSlots) {
  PoolCapacity gpus = pool(1, 8, false, {0, 1, 2, 3, 4, 5, 6, 7});
  gpus.gpus_per_node = 2;
  const JobSpec job = job_with(
      {configuration("a", 2, 4, Backend::kNccl), configuration("b", 4, 1, Backend::kNccl), configuration("c", 1)});
  const Placement two = place(job, job.configurations[0], gpus);
  EXPECT_EQ(two.gpus_per_node, 2);
  EXPECT_FALSE(two.contended);
  EXPECT_EQ(two.cores, (Cores{{}, {}})) << "they suffice, and nobody is pinned";
  gpus.oversubscribe = true;
  const Placement shared = place(job, job.configurations[1], gpus);
  EXPECT_EQ(shared.nodes, 1);
  EXPECT_TRUE(shared.contended) << "two ranks on a GPU";
  EXPECT_EQ(shared.cores.size(), 4U) << "the cores suffice";
  EXPECT_EQ(place(job, job.configurations[2], gpus).gpus_per_node, 0) << "not on GPUs";
}

ConfigurationSpec mixed(const std::string& name, int gpu_ranks, int cpu_ranks, int threads = 1) {
  ConfigurationSpec spec = configuration(name, gpu_ranks, threads, Backend::kNccl);
  spec.cpu_ranks = cpu_ranks;
  return spec;
}

TEST(Placement, CpuRanksTakeTheCoresThatGpusLeave) {
  PoolCapacity node = pool(1, 8, false, {0, 1, 2, 3, 4, 5, 6, 7});
  node.gpus_per_node = 2;
  const JobSpec job = job_with({mixed("a", 2, 3, 2), mixed("b", 1, 0, 4)});
  const Placement placement = place(job, job.configurations[0], node);
  EXPECT_EQ(placement.ranks, 5);
  EXPECT_EQ(placement.cpu_ranks, 3);
  EXPECT_EQ(placement.threads, 2);
  EXPECT_EQ(placement.gpus_per_node, 2);
  EXPECT_FALSE(placement.contended);
  EXPECT_EQ(placement.cores, (Cores{{}, {}, {2, 3}, {4, 5}, {6, 7}}));
  for (int rank = 0; rank < 5; ++rank) {
    EXPECT_EQ(is_gpu_rank(placement, rank), rank < 2) << rank;
    EXPECT_EQ(threads_of(placement, rank), rank < 2 ? 1 : 2) << rank;
  }
  const Placement alone = place(job, job.configurations[1], node);
  EXPECT_TRUE(is_gpu_rank(alone, 0));
  EXPECT_EQ(threads_of(alone, 0), 4) << "as it says";
  const JobSpec on_cores = job_with({configuration("c", 2)});
  EXPECT_FALSE(is_gpu_rank(place(on_cores, on_cores.configurations[0], node), 0));

  node.host_cores = {0, 1, 2};
  const Placement crowded = place(job, job.configurations[0], node);
  EXPECT_TRUE(crowded.contended && crowded.cores.empty());
  PoolCapacity nodes = pool(4, 4);
  nodes.gpus_per_node = 2;
  EXPECT_EQ(place(job, job.configurations[0], nodes).nodes, 2) << "one rank beside the GPUs, two on the next node";
}

TEST(Placement, TooManyCpuRanksAreRefusedBesideTheGpus) {
  PoolCapacity node = pool(1, 8);
  node.gpus_per_node = 2;
  const JobSpec job = job_with({mixed("a", 2, 4, 2)});
  try {
    place(job, job.configurations[0], node);
    ADD_FAILURE() << "placed";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("configurations[0].cpu_ranks: expected at most 3 ranks of 2 threads in pool \"pool\" (1 node "
                          "with 8 cores) beside 2 ranks on GPUs, which take a core each, found 4"));
  }
  node.oversubscribe = true;
  EXPECT_EQ(place(job, job.configurations[0], node).nodes, 1);
}

TEST(Placement, HugeOversubscriptionIsOnlyContended) {
  const JobSpec job = job_with({configuration("a", 100'000, 100'000)});
  EXPECT_TRUE(place(job, job.configurations[0], pool(1, 2, true, {0, 1})).contended);
}

struct Chosen {
  std::optional<std::string> name;
  int world_size;
  std::string chosen;                // or
  std::vector<std::string> message;  // of the refusal
};

TEST(ChooseConfiguration, CountsCpuRanksBesideGpus) {
  const JobSpec job = job_with({mixed("mixed", 2, 6), configuration("two", 2)});
  EXPECT_EQ(choose_configuration(job, {}, 8).name, "mixed");
  EXPECT_EQ(choose_configuration(job, {}, 2).name, "two");
  EXPECT_EQ(choose_configuration(job, "mixed", 8).name, "mixed");
  EXPECT_THROW(choose_configuration(job, "mixed", 2), ConfigError);
}

TEST(ChooseConfiguration, Table) {
  const JobSpec job = job_with(
      {configuration("one", 1), configuration("two", 2), configuration("also-two", 2, 2), configuration("all", {})});
  const std::string list = "configurations: one (1 rank), two (2 ranks), also-two (2 ranks), all (auto)";
  const std::vector<Chosen> table = {
      {{}, 1, "one", {}},
      {"two", 2, "two", {}},
      {"also-two", 2, "also-two", {}},
      {{}, 2, "", {"expected one configuration with 2 ranks, found 2", "--config NAME", list}},
      {{}, 3, "all", {}},
      {"all", 2, "all", {}},
      {"three",
       2,
       "",
       {"job.yaml:19:1: configurations: expected --config to name a configuration, found \"three\"", list}},
      {"one",
       2,
       "",
       {"job.yaml:20:42: configurations[0].ranks: expected as many ranks as were started, which is 2, found 1",
        "mpirun -np", list}},
  };
  for (const Chosen& row : table) {
    const std::string row_name = row.name.value_or("no name") + " with " + std::to_string(row.world_size);
    try {
      EXPECT_EQ(choose_configuration(job, row.name, row.world_size).name, row.chosen) << row_name;
    } catch (const ConfigError& error) {
      EXPECT_TRUE(row.chosen.empty()) << row_name << ": " << error.what();
      for (const auto& part : row.message) EXPECT_THAT(error.what(), HasSubstr(part)) << row_name;
    }
  }
}

}  // namespace
}  // namespace regatta
