#include "coordinator/state.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "coordinator/comparison.hpp"
#include "coordinator/ledger.hpp"
#include "samples.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const RunState& run_in(const State& state, const std::string& id = "R1") {
  return state.runs.at(id);
}

/// Everything a state says, for comparing two of them.
Json whole(const State& state) {
  Json all = {{"unknown", state.unknown.size()}, {"comparisons", Json::array()}, {"runs", Json::array()}};
  for (const auto& [id, comparison] : state.comparisons) all["comparisons"].push_back(to_json(comparison, state));
  for (const auto& [id, run] : state.runs) all["runs"].push_back(to_json(run));
  return all;
}

TEST(Fold, ReadsAFinishedRunOffItsEvents) {
  const State state = fold(finished_run("R1", "C1"));
  const RunState& run = run_in(state);
  EXPECT_EQ(run.status, RunStatus::kDone);
  EXPECT_EQ(run.reason, "epochs");
  EXPECT_EQ(run.comparison, ComparisonId{"C1"});
  EXPECT_EQ(run.configuration, "one-core");
  EXPECT_EQ(run.precision, "fp32");
  EXPECT_EQ(run.price, sample_price());
  EXPECT_EQ(run.owner, owner());
  EXPECT_EQ(run.created_at, at(1));
  EXPECT_EQ(run.result.at("epochs"), 2);
  EXPECT_EQ(run.bill->total, *parse_usd("0.000125"));
  EXPECT_EQ(state.comparisons.at("C1").runs, std::vector<RunId>{RunId{"R1"}});

  ASSERT_EQ(run.attempts.size(), 1U);
  const AttemptState& attempt = run.attempts[0];
  EXPECT_EQ(attempt.launched_at, at(2));
  EXPECT_EQ(attempt.started_at, at(3));
  EXPECT_EQ(attempt.last_line_at, at(11));
  EXPECT_EQ(attempt.last_seq, 4);
  EXPECT_EQ(attempt.held_s, 10);
  EXPECT_EQ(attempt.startup_s, 1);
  EXPECT_EQ(attempt.exit_code, 0);
  EXPECT_FALSE(attempt.lost);
  EXPECT_EQ(attempt.stop->reason, "epochs");
  ASSERT_EQ(attempt.epochs.size(), 2U);
  EXPECT_EQ(attempt.epochs[0].epoch, 1);
  EXPECT_EQ(attempt.epochs[1].epoch, 2);
  EXPECT_EQ(attempt.epochs[1].wall_s, 4);
  EXPECT_EQ(attempt.epochs[1].test_accuracy, 0.98);
}

TEST(Fold, OpensWhatEarlierVersionsTookIn) {
  auto events = finished_run("R1", "C1");
  events[1].body["price"]["usd_per_node_hour"] = "60000";
  for (auto& event : events) {
    if (event.kind != "journal") continue;
    if (event.body.at("type") == "start") event.body["startup_s"] = -1e300;
    if (event.body.at("type") != "epoch") continue;
    event.body["wall_s"] = 1e308;
    event.body["seconds"]["compute"] = 1e10;
  }
  events[8].body["held_s"] = 1e12;
  const State state = fold(events);
  EXPECT_EQ(run_in(state).price->usd_per_node_hour, kMostUsdPerNodeHour);
  const Json page = to_json(compare({&run_in(state)}));
  EXPECT_TRUE(page.at("configurations")[0].at("seconds_per_epoch").at("mean").is_number());
  EXPECT_NO_THROW(to_json(compare({&run_in(state)}, {{"here", kMostUsdPerNodeHour}})));
}

TEST(Fold, StatusAfterEachEvent) {
  const auto events = finished_run("R1", "C1");
  const char* expected[] = {"waiting", "waiting", "running", "running", "running",
                            "running", "running", "running", "done"};
  State state;
  apply(state, events[0]);
  for (std::size_t i = 1; i < events.size(); ++i) {
    apply(state, events[i]);
    EXPECT_STREQ(to_text(run_in(state).status), expected[i - 1]) << "after " << events[i].kind;
  }
}

TEST(Fold, KeepsAttemptsApart) {
  auto events = finished_run("R1", "C1");
  events.resize(6);  // until the first epoch of attempt 1
  events.push_back(
      event("lost", "R1", 1, {{"last_sign", to_text(at(7))}, {"held_s", 5}, {"startup_s", 1}, {"message", "gone"}}, 8));
  events.push_back(event("launch", "R1", 2, {{"argv", {"again"}}, {"at", to_text(at(9))}}, 9));
  events.push_back(journal("R1", 2, 1, start_record(), 10));
  events.push_back(journal("R1", 2, 2, epoch_record(1, 6), 16));
  const State state = fold(events);
  const auto& attempts = run_in(state).attempts;
  ASSERT_EQ(attempts.size(), 2U);
  EXPECT_TRUE(attempts[0].lost);
  EXPECT_EQ(attempts[0].held_s, 5);
  EXPECT_EQ(attempts[0].epochs.at(0).wall_s, 4);
  EXPECT_FALSE(attempts[1].lost);
  EXPECT_EQ(attempts[1].held_s, std::nullopt);
  EXPECT_EQ(attempts[1].epochs.at(0).wall_s, 6);
  EXPECT_EQ(run_in(state).status, RunStatus::kRunning);
}

TEST(Fold, TakesTheLatestOwnerHeartbeatAndPrecision) {
  record::Start start = start_record();
  start.precision = "bf16";  // what `auto` became
  const auto beat = [](std::int64_t step) { return record::Heartbeat{.epoch = 1, .step = step, .node_seconds = 1}; };
  const State state = fold({event("run", "R1", 0, run_body()), event("owner", "R1", 0, to_json(owner(1, 0))),
                            event("owner", "R1", 0, to_json(owner(2, 1))), journal("R1", 1, 1, start),
                            journal("R1", 1, 2, record::FirstStep{2.5}), journal("R1", 1, 3, record::Early{{2.3, 2.2}}),
                            journal("R1", 1, 4, beat(10)), journal("R1", 1, 5, beat(20))});
  const RunState& run = run_in(state);
  EXPECT_EQ(run.owner, owner(2, 1));
  EXPECT_EQ(run.precision, "bf16");
  EXPECT_EQ(run.attempts[0].heartbeat->step, 20);
  EXPECT_EQ(run.attempts[0].first_step->startup_s, 2.5);
  EXPECT_THAT(run.attempts[0].early->losses, ElementsAre(2.3, 2.2));
}

TEST(Fold, ARunKeepsThePriceOfItsEvents) {
  // A price is in the event, not looked up: whatever the price book says today, the bill is the old one.
  ::setenv("REGATTA_PRICES", "/nowhere/prices.yaml", 1);
  const State state = fold(finished_run("R1", "C1"));
  ::unsetenv("REGATTA_PRICES");
  EXPECT_EQ(run_in(state).price, sample_price());
  EXPECT_EQ(run_in(state).bill->total, *parse_usd("0.000125"));
}

TEST(Fold, APriceEventFillsInAPrice) {
  const State without = fold({event("run", "R1", 0, run_body(nullptr))});
  EXPECT_EQ(run_in(without).price, std::nullopt);
  const State with =
      fold({event("run", "R1", 0, run_body(nullptr)), event("price", "R1", 0, {{"price", to_json(sample_price())}})});
  EXPECT_EQ(run_in(with).price, sample_price());
}

TEST(Fold, KeepsKindsItDoesNotKnow) {
  auto events = finished_run("R1", "C1");
  events.insert(events.begin() + 4, event("energy_meter", "R1", 1, {{"joules", 12}}, 3));
  Event newer = event("prophecy", "R9", 0, {{"x", 1}}, 20);
  newer.schema = 7;
  events.push_back(newer);
  const State state = fold(events);
  ASSERT_EQ(state.unknown.size(), 2U);
  EXPECT_EQ(state.unknown[0].body.at("joules"), 12);
  EXPECT_EQ(to_json(run_in(state)), to_json(run_in(fold(finished_run("R1", "C1"))))) << "and nothing else changes";

  const State journalled =
      fold({event("run", "R1", 0, run_body()), journal("R1", 1, 1, record::Unknown{"thermals", {{"c", 71}}})});
  EXPECT_EQ(run_in(journalled).attempts[0].last_seq, 1) << "a journal line of an unknown type is a sign of life";
}

TEST(Fold, ReplayTwiceIsEqual) {
  const TemporaryFolder folder;
  Ledger ledger(folder.path() / "ledger.db");
  for (int i = 0; i < 3; ++i) ledger.append(finished_run("R" + std::to_string(i), "C" + std::to_string(i)));
  ledger.append({event("run", "lone", 0, run_body()), event("prophecy", "lone", 0, Json::object())});
  const Json once = whole(load_state(ledger));
  EXPECT_EQ(whole(load_state(ledger)), once);
  EXPECT_EQ(whole(load_state(Ledger(folder.path() / "ledger.db"))), once);
  EXPECT_EQ(once.at("runs").size(), 4U);
  EXPECT_EQ(once.at("runs")[0], to_json(run_in(fold(finished_run("R0", "C0")), "R0")))
      << "and as it was before it was stored";
}

TEST(Fold, NamesTheEventAndTheKeyOfDamage) {
  const auto without = [](Json body, const char* key) {
    body.erase(key);
    return body;
  };
  const auto with = [](Json body, const char* key, const Json& value) {
    body[key] = value;
    return body;
  };
  const Event run = event("run", "R1", 0, run_body());
  Event newer = run;
  newer.schema = kEventSchema + 1;
  const Json end = {{"status", "done"}, {"reason", ""}, {"result", nullptr}, {"bill", nullptr}};
  struct Case {
    std::vector<Event> events;
    const char* words;
  };
  const Case cases[] = {
      {{event("run", "R1", 0, without(run_body(), "ranks"))}, "ledger event 1 (run): missing key ranks"},
      {{event("run", "R1", 0, with(run_body(), "nodes", "two"))}, "ledger event 1 (run): nodes: wrong type"},
      {{run, run}, "ledger event 2 (run): run R1 is recorded twice"},
      {{newer}, "schema 2 is newer than this version reads (1)"},
      {{event("owner", "R1", 0, to_json(owner()))}, "ledger event 1 (owner): run R1 is not known yet"},
      {{run, event("launch", "R1", 0, {{"argv", Json::array()}, {"at", to_text(at(0))}})},
       "attempt: expected 1 or more, found 0"},
      {{run, event("launch", "R1", 1, {{"argv", Json::array()}, {"at", "yesterday"}})}, "expected a time like"},
      {{run, event("journal", "R1", 1, {{"schema", 1}})}, "ledger event 2 (journal): missing key run_id"},
      {{run, event("exit", "R1", 1, {{"code", 0}})}, "ledger event 2 (exit): "},
      {{run, event("end", "R1", 0, with(end, "status", "great"))}, "status: expected one of"},
      {{run, event("end", "R1", 0, with(end, "status", "running"))}, "a run does not end as running"},
      {{run, event("end", "R1", 0, with(end, "bill", {{"total_usd", "3"}, {"parts", {{"a", "1"}, {"b", "1"}}}}))},
       "the parts sum to 2, the total is 3"},
  };
  for (const auto& one : cases) {
    State state;
    std::int64_t seq = 0;
    try {
      for (Event next : one.events) {
        next.seq = ++seq;
        apply(state, next);
      }
      ADD_FAILURE() << "no error: " << one.words;
    } catch (const IoError& error) {
      EXPECT_THAT(error.what(), HasSubstr(one.words));
    }
  }
}

std::vector<std::string> keys_of(const Json& json) {
  std::vector<std::string> keys;
  for (const auto& item : json.items()) keys.push_back(item.key());
  return keys;
}

TEST(RunJson, HasTheSameKeysWhateverIsKnown) {
  const Json bare =
      to_json(run_in(fold({event("run", "R1", 0, run_body(nullptr)),
                           event("launch", "R1", 1, {{"argv", Json::array()}, {"at", to_text(at(0))}})})));
  const Json full = to_json(run_in(fold(finished_run("R1", "C1"))));
  EXPECT_EQ(keys_of(bare), keys_of(full));
  EXPECT_EQ(keys_of(bare.at("attempts")[0]), keys_of(full.at("attempts")[0]));
  for (const char* key : {"comparison_id", "price", "owner", "result", "bill"})
    EXPECT_TRUE(bare.at(key).is_null()) << key;
  EXPECT_EQ(full.at("bill").at("parts"), Json({{"startup", "0.000025"}, {"compute", "0.0001"}}));
  EXPECT_EQ(full.at("attempts")[0].at("epochs")[1].at("test_accuracy"), 0.98);
}

TEST(RunJson, NonFiniteNumbersAreNull) {
  record::Epoch epoch = epoch_record(1, 4);
  epoch.train_loss = std::nan("");
  const Json json = to_json(run_in(fold({event("run", "R1", 0, run_body()), journal("R1", 1, 1, epoch)})));
  EXPECT_TRUE(json.at("attempts")[0].at("epochs")[0].at("train_loss").is_null());
}

}  // namespace
}  // namespace regatta::test
