#include "coordinator/import.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/ingest.hpp"
#include "coordinator/process_table.hpp"
#include "run_files.hpp"
#include "samples.hpp"

namespace regatta::test {
namespace {

using testing::HasSubstr;

constexpr const char* kImportedRun = "01JZR1AAAAAAAAAAAAAAAAAAAA";

using Lines = std::vector<std::pair<RecordBody, Timestamp>>;

/// The processes started at 2 s (startup_s is 1), the last line came at 12 s.
Lines good_lines() {
  return {{start_record(), at(3)},
          {epoch_record(1, 4, 0.97), at(7)},
          {epoch_record(2, 4), at(11)},
          {stop_record(), at(12)}};
}

std::string data_error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const DataError& error) {
    return error.what();
  }
  return "no DataError";
}

/// Every key of a JSON value, with the path to it; members of arrays share one path.
void paths(const Json& json, const std::string& at, std::set<std::string>& found) {
  found.insert(at);
  if (json.is_object())
    for (const auto& item : json.items()) paths(item.value(), at + "." + item.key(), found);
  if (json.is_array())
    for (const auto& item : json) paths(item, at + "[]", found);
}

class ImportTest : public testing::Test {
 protected:
  RunState imported(const std::optional<Price>& price = sample_price()) {
    import_run(ledger_, files_.run_dir(), price);
    return load_state(ledger_).runs.at(kImportedRun);
  }
  TemporaryFolder folder_;
  Ledger ledger_{folder_.path() / "ledger.db"};
  RunFiles files_{sample_plan(kImportedRun)};
};

TEST_F(ImportTest, ARunByHandIsBilledFromProcessStartToStop) {
  files_.write_attempt(1, good_lines());
  files_.write_result();
  const RunState run = imported();
  EXPECT_EQ(run.status, RunStatus::kDone);
  EXPECT_EQ(run.reason, "epochs");
  EXPECT_EQ(run.comparison, std::nullopt);
  EXPECT_EQ(run.run_dir, std::filesystem::canonical(files_.run_dir()));
  EXPECT_EQ(run.created_at, at(2));
  ASSERT_EQ(run.attempts.size(), 1U);
  EXPECT_EQ(run.attempts[0].held_s, 10);
  EXPECT_EQ(run.attempts[0].startup_s, 1);
  EXPECT_EQ(run.attempts[0].exit_code, 0);
  EXPECT_EQ(run.attempts[0].epochs.size(), 2U);
  EXPECT_EQ(run.bill->total, NanoUsd{10 * 12'500});
}

TEST_F(ImportTest, TwiceChangesNothing) {
  files_.write_attempt(1, good_lines());
  files_.write_result();
  EXPECT_TRUE(import_run(ledger_, files_.run_dir(), sample_price()).is_new);
  const auto events = ledger_.events().size();
  const Json before = to_json(load_state(ledger_).runs.at(kImportedRun));
  Price other = sample_price();
  other.usd_per_node_hour = *parse_usd("99");
  EXPECT_FALSE(import_run(ledger_, files_.run_dir(), other).is_new);
  EXPECT_EQ(ledger_.events().size(), events);
  EXPECT_EQ(to_json(load_state(ledger_).runs.at(kImportedRun)), before) << "an old run keeps its price";
}

TEST_F(ImportTest, HasTheKeysAndValuesOfAFollowedRun) {
  files_.write_attempt(1, good_lines());
  files_.write_result();
  Json by_hand = to_json(imported());

  // The same run as a coordinator records it.
  Plan plan = files_.plan();
  plan.price = sample_price();
  auto events = std::vector<Event>{run_event(plan, std::filesystem::canonical(files_.run_dir()), 0, at(1)),
                                   event("launch", kImportedRun, 1, {{"argv", Json::array()}, {"at", to_text(at(2))}})};
  for (auto& line : journal_events(attempt_folder(files_.run_dir(), 1), plan.run, 1, 0))
    events.push_back(std::move(line));
  events.push_back(
      event("exit", kImportedRun, 1,
            {{"code", 0}, {"signal", nullptr}, {"reason", "done"}, {"message", ""}, {"held_s", 10}, {"startup_s", 1}}));
  State state = fold(events);
  apply(state, end_event(state.runs.at(kImportedRun), at(12)));
  Json followed = to_json(state.runs.at(kImportedRun));

  std::set<std::string> keys_by_hand, keys_followed;
  paths(by_hand, "", keys_by_hand);
  paths(followed, "", keys_followed);
  EXPECT_EQ(keys_by_hand, keys_followed);
  by_hand.erase("created_at");
  followed.erase("created_at");
  EXPECT_EQ(by_hand, followed);
}

TEST_F(ImportTest, ThePlansOwnPriceStays) {
  Plan plan = sample_plan(kImportedRun);
  plan.price = sample_price();
  plan.comparison = ComparisonId{"01JZC1AAAAAAAAAAAAAAAAAAAA"};  // made by `regatta run` into another ledger
  RunFiles files(plan);
  files.write_attempt(1, good_lines());
  files.write_result();
  Price other = sample_price();
  other.usd_per_node_hour = *parse_usd("99");
  import_run(ledger_, files.run_dir(), other);
  const State state = load_state(ledger_);
  EXPECT_EQ(state.runs.at(kImportedRun).price, sample_price());
  EXPECT_EQ(state.runs.at(kImportedRun).comparison, plan.comparison);
  EXPECT_TRUE(state.comparisons.empty());
}

TEST_F(ImportTest, WithoutAnyPriceCostsAreNull) {
  files_.write_attempt(1, good_lines());
  files_.write_result();
  const RunState run = imported({});
  EXPECT_EQ(run.price, std::nullopt);
  EXPECT_EQ(run.bill, std::nullopt);
}

TEST_F(ImportTest, AFailedRunKeepsItsCodeAndMessage) {
  record::Stop stop = stop_record(14, "error");
  stop.message = "loss is nan at step 7";
  files_.write_attempt(1, {{start_record(), at(3)}, {stop, at(5)}});
  const RunState run = imported();
  EXPECT_EQ(run.status, RunStatus::kFailed);
  EXPECT_EQ(run.attempts[0].exit_code, 14);
  EXPECT_THAT(run.reason, HasSubstr("loss is nan at step 7"));
}

TEST_F(ImportTest, WithoutAStopLineAndWithoutALivingRankItIsLost) {
  files_.write_attempt(1, {{start_record(), at(3)}, {epoch_record(1, 4), at(7)}});
  const RunState run = imported();
  EXPECT_EQ(run.status, RunStatus::kLost);
  EXPECT_EQ(run.attempts[0].held_s, 5);
  EXPECT_EQ(run.bill->total, NanoUsd{5 * 12'500});
}

TEST_F(ImportTest, EveryAttemptCounts) {
  files_.write_attempt(1, {{start_record(), at(3)}, {epoch_record(1, 4), at(7)}});
  files_.write_attempt(2, {{start_record(), at(20)}, {epoch_record(1, 4), at(24)}, {stop_record(), at(25)}});
  files_.write_result(2);
  const RunState run = imported();
  EXPECT_EQ(run.status, RunStatus::kDone);
  ASSERT_EQ(run.attempts.size(), 2U);
  EXPECT_TRUE(run.attempts[0].lost);
  EXPECT_EQ(run.attempts[1].exit_code, 0);
  EXPECT_EQ(run.bill->total, NanoUsd{(5 + 6) * 12'500});
}

TEST_F(ImportTest, ARunThatIsStillWrittenIsRefused) {
  Process rank({"/bin/sleep", "60"});
  ASSERT_TRUE(wait_until([&] { return started_at(rank.pid()).has_value(); }));
  files_.write_attempt(1, {{start_record(rank.pid(), host_name()), wall_now()}});
  EXPECT_THAT(data_error_of([&] { imported(); }), HasSubstr("still being written by rank 0"));
  EXPECT_TRUE(ledger_.events().empty()) << "nothing is half done";
  rank.signal(SIGKILL);
  rank.wait();
  EXPECT_EQ(imported().status, RunStatus::kLost);
}

TEST_F(ImportTest, ARunOnAnotherHostIsWrittenWhileItsJournalIsFresh) {
  files_.write_attempt(1, {{start_record(1, "another-host"), wall_now()}});
  EXPECT_THAT(data_error_of([&] { imported(); }), HasSubstr("rank 0 on another-host"));
}

TEST_F(ImportTest, ALaterProcessWithTheSameIdIsNoRank) {
  Process later({"/bin/sleep", "60"});
  ASSERT_TRUE(wait_until([&] { return started_at(later.pid()).has_value(); }));
  files_.write_attempt(1, {{start_record(later.pid(), host_name()), at(3)}});
  EXPECT_EQ(imported().status, RunStatus::kLost);
}

TEST_F(ImportTest, FoldersThatAreNoRunAreRefused) {
  EXPECT_THAT(data_error_of([&] { import_run(ledger_, folder_.path(), {}); }), HasSubstr("no folder attempt-1"));
  EXPECT_THAT(data_error_of([&] { import_run(ledger_, folder_.path() / "nothing", {}); }), HasSubstr("cannot open"));
  folder_.write("bad/attempt-1/plan.json", "{}");
  EXPECT_THAT(data_error_of([&] { import_run(ledger_, folder_.path() / "bad", {}); }), HasSubstr("plan.json: "));
  files_.write_attempt(1, {});
  EXPECT_THAT(data_error_of([&] { imported(); }), HasSubstr("nothing to import"));
  EXPECT_TRUE(ledger_.events().empty());
}

}  // namespace
}  // namespace regatta::test
