// Runs started by hand and imported, and prices that stay with old runs.

#include <set>

#include "common/files.hpp"
#include "coordinator/ledger.hpp"
#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using testing::HasSubstr, testing::IsEmpty, testing::SizeIs;

/// What two runs of one training may differ in: times, costs, energy, host and ids, and how each was started.
bool may_differ(const std::string& key) {
  static const std::set<std::string> kNames{
      "run_id",        "comparison_id", "job_id",     "host",         "pid",      "cores",   "owner",
      "run_dir",       "argv",  // who, where
      "created_at",    "launched_at",   "started_at", "last_line_at", "at",       "seconds", "node_seconds",  // times
      "samples_per_s", "heartbeat",     "price",      "bill",         "cost_usd", "energy_j"};                // figures
  return kNames.contains(key) || key.ends_with("_s");
}

/// Every place where the two differ although they must not, with both values.
void differences(const Json& a, const Json& b, const std::string& path, std::vector<std::string>& found) {
  if (a.is_object() && b.is_object()) {
    for (const auto& [key, value] : a.items()) {
      const std::string inner = path.empty() ? key : path + "." + key;
      if (!b.contains(key))
        found.push_back(inner + " is only in the first");
      else if (!may_differ(key))
        differences(value, b.at(key), inner, found);
    }
    for (const auto& [key, value] : b.items())
      if (!a.contains(key)) found.push_back(path + "." + key + " is only in the second");
  } else if (a.is_array() && b.is_array() && a.size() == b.size()) {
    for (std::size_t i = 0; i < a.size(); ++i) differences(a[i], b[i], path + "[" + std::to_string(i) + "]", found);
  } else if (a != b) {
    found.push_back(path + ": " + a.dump() + " against " + b.dump());
  }
}

/// Keys at every depth, also where values may differ.
void keys_of(const Json& json, const std::string& path, std::set<std::string>& keys) {
  if (json.is_array())
    for (const auto& item : json) keys_of(item, path + "[]", keys);
  if (!json.is_object()) return;
  for (const auto& [key, value] : json.items()) {
    keys.insert(path + "." + key);
    keys_of(value, path + "." + key, keys);
  }
}

class ByHandTest : public SystemTest {
 protected:
  /// mpirun -np N regatta-worker job.yaml --home FOLDER; returns the run's folder.
  fs::path run_by_hand(const fs::path& job, int ranks, const fs::path& hand_home) {
    ProcessOptions options = options_;
    options.environment["OMPI_ALLOW_RUN_AS_ROOT"] = options.environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
    const auto result = run(
        {"mpirun", "-np", std::to_string(ranks), "--oversubscribe", binary("regatta-worker"), job, "--home", hand_home},
        options);
    EXPECT_EQ(result.exit_code, 0) << result.text();
    for (const auto& entry : fs::directory_iterator(hand_home / "runs")) return entry.path();
    ADD_FAILURE() << "no run in " << hand_home;
    return {};
  }
};

TEST_F(ByHandTest, AnImportedRunHasTheKeysAndValuesOfACoordinatedOne) {
  const auto job = folder_.write("job.yaml", tiny_job({kOneCore, kTwoCores}, 3));
  const auto coordinated = regatta({"run", job, "--only", "two-cores"});
  ASSERT_EQ(coordinated.exit_code, 0) << coordinated.text();
  const auto run_dir = run_by_hand(job, 2, folder_.path() / "hand");
  const auto imported = regatta({"import", run_dir});
  ASSERT_EQ(imported.exit_code, 0) << imported.text();

  const State now = state();
  ASSERT_THAT(now.runs, SizeIs(2));
  const std::string hand_id = run_dir.filename();
  Json theirs, ours;
  for (const auto& [id, run_state] : now.runs) (id == hand_id ? theirs : ours) = regatta_json({"show", id});
  std::vector<std::string> found;
  differences(ours, theirs, "", found);
  EXPECT_THAT(found, IsEmpty());
  std::set<std::string> our_keys, their_keys;
  keys_of(ours, "", our_keys);
  keys_of(theirs, "", their_keys);
  std::erase_if(our_keys,
                [](const std::string& key) { return key.starts_with(".owner."); });  // nobody owns what is done
  EXPECT_EQ(our_keys, their_keys);
  EXPECT_EQ(theirs.at("status"), "done");
  EXPECT_EQ(theirs.at("attempts").at(0).at("epochs").size(), 3U);
  // The same plan gives the same bits, whoever starts it.
  EXPECT_TRUE(read_file(fs::path(now.runs.begin()->second.run_dir) / "weights.safetensors") ==
              read_file(fs::path(now.runs.rbegin()->second.run_dir) / "weights.safetensors"));
}

TEST_F(ByHandTest, ImportingTwiceChangesNothing) {
  const auto job = folder_.write("job.yaml", tiny_job({kOneCore}, 1));
  const auto run_dir = run_by_hand(job, 1, folder_.path() / "hand");
  ASSERT_EQ(regatta({"import", run_dir}).exit_code, 0);
  const Json first = regatta_json({"show", run_dir.filename()});
  const auto events = Ledger(home() / "ledger.db").events().size();
  const auto again = regatta({"import", run_dir});
  EXPECT_EQ(again.exit_code, 0) << again.text();
  EXPECT_EQ(regatta_json({"show", run_dir.filename()}), first);
  EXPECT_EQ(Ledger(home() / "ledger.db").events().size(), events);
}

TEST_F(ByHandTest, AnImportedRunTakesThePriceOfItsPool) {
  const auto job = folder_.write("job.yaml", tiny_job({kOneCore}, 1));
  const auto run_dir = run_by_hand(job, 1, folder_.path() / "hand");
  const auto other = folder_.write("other.yaml", "pools:\n  there: {launcher: local}\n");
  const auto refused = regatta({"import", run_dir, "--cluster", other});
  EXPECT_EQ(refused.exit_code, 2) << refused.text();
  EXPECT_THAT(refused.err, HasSubstr("known: there"));
  EXPECT_FALSE(fs::exists(home() / "ledger.db"));
  const auto cluster = folder_.write(
      "cluster.yaml", "pools:\n  here: {launcher: local, price: {usd_per_node_hour: 7.25, source: a test}}\n");
  const auto imported = regatta({"import", run_dir, "--cluster", cluster});
  ASSERT_EQ(imported.exit_code, 0) << imported.text();
  const Json shown = regatta_json({"show"});
  EXPECT_EQ(shown.at("price").at("usd_per_node_hour"), "7.25");
  EXPECT_EQ(shown.at("price").at("kind"), "measured");
}

class PriceTest : public SystemTest {
 protected:
  static std::string book(const std::string& usd) {
    return "source: a test\ndate: 2025-07-01\ninstances:\n  - {provider: Test, name: box, vcpus: 2, memory_gib: 4, "
           "usd_per_hour: " +
           usd + "}\n";
  }
};

TEST_F(PriceTest, AnOldRunKeepsItsPriceWhenTheBookChanges) {
  const auto job = folder_.write("job.yaml", tiny_job({kOneCore}, 4));
  options_.environment["REGATTA_PRICES"] = folder_.write("prices.yaml", book("3.6"));
  ASSERT_EQ(regatta({"run", job}).exit_code, 0);
  const Json before = regatta_json({"compare"});
  const std::string id = runs().at(0).id.value;
  const Json shown = regatta_json({"show", id});
  EXPECT_EQ(shown.at("price").at("usd_per_node_hour"), "3.6");

  folder_.write("prices.yaml", book("7.2"));
  EXPECT_EQ(regatta_json({"compare"}), before);
  EXPECT_EQ(regatta_json({"show", id}), shown);

  ASSERT_EQ(regatta({"run", job}).exit_code, 0);
  const auto all = runs();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(to_decimal(all[0].price->usd_per_node_hour), "3.6");
  EXPECT_EQ(to_decimal(all[1].price->usd_per_node_hour), "7.2");
  // One slot of a node at 7.2 USD an hour, which is two thousandths of a dollar a second.
  EXPECT_NEAR(static_cast<double>(all[1].bill->total.nano), *all[1].attempts[0].held_s * 2e6 / all[1].cores_per_node,
              1);
}

}  // namespace
}  // namespace regatta::test
