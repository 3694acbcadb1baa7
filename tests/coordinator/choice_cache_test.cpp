#include "coordinator/choice_cache.hpp"
#include "coordinator/kernel_cache.hpp"
#include "coordinator/lane_cache.hpp"

#include <gmock/gmock.h>

#include <functional>
#include <set>

#include "common/files.hpp"
#include "coordinator/choice_words.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

using testing::AllOf, testing::HasSubstr, testing::IsEmpty;

const std::vector<Way> kWays{{1, 1, Precision::kFp32}, {1, 1, Precision::kBf16}};

Plan some_plan() {
  Plan plan;
  plan.run = new_run_id();
  plan.training.model.kind = ModelKind::kMlp;
  plan.training.model.hidden = {32};
  plan.training.train.batch = 64;
  plan.training.stop.epochs = 3;
  plan.dataset.key = "0123";
  return plan;
}

const Inventory kMachine{.host = "a", .cpu_model = "EPYC", .cores = {0, 1}, .host_cores = 2, .memory_bytes = 1 << 30};

Choice some_choice() {
  return choose({{.way = kWays[0], .losses = std::vector<double>(20, 2.0), .rounds_s = {0.25}},
                 {.way = kWays[1], .losses = std::vector<double>(20, 2.01), .rounds_s = {0.125}}});
}

TEST(ChoiceKey, DiffersByAllThatAStepDependsOn) {
  std::set<std::string> keys;
  const auto add = [&](const std::function<void(Plan&, Inventory&)>& change) {
    Plan plan = some_plan();
    Inventory machine = kMachine;
    change(plan, machine);
    keys.insert(choice_key(plan, kWays, machine, "").dump());
  };
  add([](Plan&, Inventory&) {});
  add([](Plan& plan, Inventory&) { plan.training.model.hidden = {64}; });
  add([](Plan& plan, Inventory&) { plan.training.train.batch = 65; });
  add([](Plan& plan, Inventory&) { plan.training.train.optimizer.lr = 1; });
  add([](Plan& plan, Inventory&) { plan.training.train.clip_norm = 1; });
  add([](Plan& plan, Inventory&) { plan.training.train.accumulate = 2; });
  add([](Plan& plan, Inventory&) { plan.training.train.schedule.warmup_steps = 2; });
  add([](Plan& plan, Inventory&) { plan.training.train.schedule.kind = ScheduleKind::kCosine; });
  add([](Plan& plan, Inventory&) {
    plan.training.train.schedule.kind = ScheduleKind::kCosine;
    plan.training.stop.epochs = 4;  // the schedule's end
  });
  add([](Plan& plan, Inventory&) { plan.weights = IndexedFile{.xxh3 = "4567"}; });
  add([](Plan& plan, Inventory&) { plan.dataset.key = "0124"; });
  add([](Plan& plan, Inventory&) { plan.streamed = true; });
  add([](Plan& plan, Inventory&) { plan.training.data.augment = {"flip"}; });
  add([](Plan&, Inventory& machine) { machine.cpu_model = "Xeon"; });
  add([](Plan&, Inventory& machine) { machine.cores = {0}; });
  add([](Plan&, Inventory& machine) { machine.host_cores = 4; });
  add([](Plan&, Inventory& machine) { machine.memory_bytes = 1; });
  EXPECT_EQ(keys.size(), 17U);
  keys.insert(choice_key(some_plan(), {kWays[0]}, kMachine, "").dump());
  keys.insert(choice_key(some_plan(), kWays, kMachine, "allocator").dump());
  EXPECT_EQ(keys.size(), 19U);
}

TEST(ChoiceKey, IsTheSameForAllThatAStepDoesNotDependOn) {
  const Json key = choice_key(some_plan(), kWays, kMachine, "");
  Plan plan = some_plan();
  plan.training.name = "another";
  plan.training.train.precision = Precision::kBf16;
  plan.training.train.seed = 7;
  plan.training.train.evaluate = Evaluate::kNever;
  plan.training.train.deadline_s = 60;
  plan.training.stop.epochs = 30;
  plan.repeat = 2;
  Inventory machine = kMachine;
  machine.host = "b";
  EXPECT_EQ(choice_key(plan, kWays, machine, ""), key);
}

TEST(KernelCacheTest, KeepsKernelsByAllThatTheyDependOn) {
  const TemporaryFolder folder;
  const KernelCache cache(folder.path());
  const LinearKernels kernels{{.inputs = 784, .outputs = 1024, .weight_gradient = true}};
  const Json key = kernel_key(some_plan(), kMachine, "");
  EXPECT_FALSE(cache.find(key));
  cache.keep(key, kernels);
  EXPECT_EQ(cache.find(key), kernels);

  Plan plan = some_plan();
  plan.training.train.seed += 1;
  plan.training.train.optimizer.lr *= 2;
  EXPECT_EQ(kernel_key(plan, kMachine, ""), key) << "nothing that a product depends on";
  std::set<std::string> keys{key.dump(), kernel_key(some_plan(), kMachine, "allocator").dump()};
  plan = some_plan();
  plan.placement.threads += 1;
  keys.insert(kernel_key(plan, kMachine, "").dump());
  plan = some_plan();
  plan.training.train.batch *= 2;
  keys.insert(kernel_key(plan, kMachine, "").dump());
  Inventory machine = kMachine;
  machine.cpu_model = "Xeon";
  keys.insert(kernel_key(some_plan(), machine, "").dump());
  EXPECT_EQ(keys.size(), 5U);

  write_file_atomically(fs::directory_iterator(folder.path() / "kernels")->path(), "{");
  EXPECT_FALSE(cache.find(key)) << "damage is measured again";
}

/// Three hosts of one rank, reached by ssh.
Plan plan_on_hosts() {
  Plan plan = some_plan();
  plan.placement.nodes = plan.placement.ranks = 3;
  return plan;
}
const PoolSpec kHosts{.name = "hosts",
                      .launcher = LauncherKind::kSsh,
                      .nodes = 4,
                      .hosts = {"n1", "n2", "n3", "n4"},
                      .interface = "eth0"};

TEST(LaneCacheTest, KeepsAChoiceByAllThatItDependsOn) {
  const TemporaryFolder folder;
  const LaneCache cache(folder.path());
  const LaneChoice choice{.swap_bytes = 65536, .measured_by = new_run_id()};
  const Json key = lane_key(plan_on_hosts(), kHosts, "");
  EXPECT_FALSE(cache.find(key));
  cache.keep(key, choice);
  EXPECT_EQ(cache.find(key), choice);

  Plan plan = plan_on_hosts();
  plan.training.model.hidden = {64};
  plan.training.train.batch *= 2;
  PoolSpec pool = kHosts;
  pool.name = "another";
  pool.hosts.pop_back();  // that none of these runs takes
  EXPECT_EQ(lane_key(plan, pool, ""), key) << "nothing that sums depend on";

  std::set<std::string> keys{key.dump(), lane_key(plan_on_hosts(), kHosts, "streaming_stores").dump()};
  const auto add = [&](const std::function<void(Plan&, PoolSpec&)>& change) {
    Plan changed = plan_on_hosts();
    PoolSpec there = kHosts;
    change(changed, there);
    keys.insert(lane_key(changed, there, "").dump());
  };
  add([](Plan& changed, PoolSpec&) { changed.placement.nodes = changed.placement.ranks = 4; });
  add([](Plan& changed, PoolSpec&) { changed.placement.ranks = 4; });
  add([](Plan& changed, PoolSpec&) { changed.training.train.exchange.wire = Wire::kBf16; });
  add([](Plan&, PoolSpec& there) { std::swap(there.hosts[0], there.hosts[1]); });
  add([](Plan&, PoolSpec& there) { there.interface = "ib0"; });
  add([](Plan&, PoolSpec& there) { there.found.ranks_network = "ib0/16"; });
  EXPECT_EQ(keys.size(), 8U);

  write_file_atomically(fs::directory_iterator(folder.path() / "lanes")->path(), "{");
  EXPECT_FALSE(cache.find(key)) << "damage is measured again";
}

TEST(LaneCacheTest, KeepsNothingWhereNothingIsChosenOrNobodyKnowsTheHosts) {
  Plan two = plan_on_hosts(), gpus = plan_on_hosts();
  two.placement.nodes = 2;
  gpus.placement.backend = Backend::kNccl;
  PoolSpec slurm = kHosts;
  slurm.launcher = LauncherKind::kSlurm;
  EXPECT_TRUE(lane_key(two, kHosts, "").is_null());
  EXPECT_TRUE(lane_key(gpus, kHosts, "").is_null());
  EXPECT_TRUE(lane_key(plan_on_hosts(), slurm, "").is_null());
  EXPECT_FALSE(LaneCache(TemporaryFolder().path()).find(nullptr));
}

TEST(LaneWords, SayWhoseMeasurementItWas) {
  RunState run{.id = RunId{"01JZR1AAAAAAAAAAAAAAAAAAAA"}};
  run.attempts.emplace_back().start.emplace();
  const auto words = [&](const LaneChoice& choice) {
    run.attempts[0].start->lanes = to_json(choice);
    EXPECT_EQ(measured_lanes(run), choice.measured_by == run.id ? std::optional(choice) : std::nullopt);
    return lane_words(run, *run.attempts[0].start);
  };
  EXPECT_EQ(words({.swap_bytes = 65536, .measured_by = run.id}),
            "up to 65536 bytes all swap, above each adds up a part; measured at the start");
  EXPECT_EQ(words({.swap_bytes = 0, .measured_by = RunId{"01JZR0AAAAAAAAAAAAAAAAAAAA"}}),
            "each adds up a part; taken from run 01JZR0AAAAAAAAAAAAAAAAAAAA, which measured it");
  EXPECT_EQ(words({.swap_bytes = 4096}),
            "up to 4096 bytes all swap, above each adds up a part; as the plan was written");
  EXPECT_EQ(words({}), "") << "two nodes have no choice";
  run.attempts[0].start->lanes = "of another version";
  EXPECT_EQ(lane_words(run, *run.attempts[0].start), "");
  run.attempts[0].start->lanes = nullptr;
  EXPECT_EQ(lane_words(run, *run.attempts[0].start), "");
}

TEST(ChoiceCacheTest, GivesBackWhatItKeeps) {
  const TemporaryFolder folder;
  const ChoiceCache cache(folder.path());
  const Json key = choice_key(some_plan(), kWays, kMachine, "");
  EXPECT_FALSE(cache.find(key, kWays).choice);
  EXPECT_THAT(cache.find(key, kWays).trouble, IsEmpty()) << "absent is no trouble";
  cache.keep(key, some_choice());
  Choice expected = some_choice();
  expected.from_cache = true;
  EXPECT_EQ(cache.find(key, kWays).choice, expected);
  EXPECT_FALSE(cache.find(choice_key(some_plan(), kWays, kMachine, "allocator"), kWays).choice);
}

TEST(ChoiceCacheTest, TakesDamageAsAbsentAndSaysSo) {
  const TemporaryFolder folder;
  const ChoiceCache cache(folder.path());
  const Json key = choice_key(some_plan(), kWays, kMachine, "");
  cache.keep(key, some_choice());
  const auto file = fs::directory_iterator(folder.path() / "choices")->path();
  const Json whole = parse_json(read_file(file), "cache");
  const auto trouble = [&](const std::string& text) {
    write_file_atomically(file, text);
    const auto found = cache.find(key, kWays);
    EXPECT_FALSE(found.choice) << text;
    return found.trouble;
  };
  const auto changed = [&](const char* pointer, Json value) {
    Json json = whole;
    json[Json::json_pointer(pointer)] = std::move(value);
    return trouble(json.dump());
  };
  EXPECT_THAT(trouble(whole.dump().substr(0, 50)), AllOf(HasSubstr(file.string()), HasSubstr("not JSON")));
  EXPECT_THAT(trouble(""), HasSubstr("not JSON"));
  EXPECT_THAT(changed("/schema", 2), HasSubstr("schema: expected 1, found 2"));
  EXPECT_THAT(changed("/of/dataset", "x"), HasSubstr("another training or machine"));
  EXPECT_THAT(changed("/choice/kept/ranks", 2), HasSubstr("kept: expected one of the ways to try"));
  EXPECT_THAT(changed("/choice/tried", 1), HasSubstr("tried"));
  write_file_atomically(file, whole.dump());
  EXPECT_TRUE(cache.find(key, kWays).choice);
}

TEST(ChoiceWords, WarnOfABusyMachine) {
  EXPECT_EQ(busy_words(1, 2), "");
  EXPECT_EQ(busy_words(7.9, 16), "");
  EXPECT_THAT(busy_words(4.76, 2), AllOf(HasSubstr("load 4.8 on 2 cores"), HasSubstr("--retune")));
}

TEST(ChoiceWords, SayWhatWasTriedAndKept) {
  Choice choice = some_choice();
  choice.took_s = 3.25;
  choice.measured_at = "2026-01-02T03:04:05.000000Z";
  EXPECT_EQ(
      choice_text("open", choice, 64),
      "open: 2 ways to run it, tried in 3.2 s, which are not billed\n"
      "ranks x threads  precision  ms/step  samples/s    loss  off fp32's  verdict\n"
      "1 x 1            fp32        250.00        256  2.0000           -  2.00x slower\n"
      "1 x 1            bf16        125.00        512  2.0100      0.50 %  kept\n"
      "open: kept 1 rank x 1 thread, bf16: 2.00x faster than 1 rank x 1 thread, fp32; loss within 0.5 % of fp32's");
  choice.from_cache = true;
  EXPECT_EQ(choice_text("open", choice, 64),
            "open: chosen on 2026-01-02 (--retune tries again): 1 rank x 1 thread, bf16: 2.00x faster than 1 rank x 1 "
            "thread, fp32; loss within 0.5 % of fp32's");
}

}  // namespace
}  // namespace regatta::test
