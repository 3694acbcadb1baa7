#include "coordinator/import.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.hpp"
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

record::Shares shares_record(const Json& plan, std::int64_t weight, std::int64_t from_step) {
  const auto ranks = plan["placement"]["ranks"].get<std::size_t>();
  return {.from_epoch = 1, .from_step = from_step, .weights = std::vector<std::int64_t>(ranks, weight)};
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
  const std::string said = data_error_of([&] { imported(); });
  EXPECT_THAT(said, HasSubstr("may still be written by rank 0 on another-host"));
  EXPECT_THAT(said, HasSubstr("counts as lost in 60 s, at 20"));
}

// Nobody can ask the other hosts; the journal's rest is told by its file where the clock of rank 0's host is ahead.
TEST_F(ImportTest, AJournalOfAnotherHostThatRestsForAMinuteIsLost) {
  const auto journal = files_.run_dir() / "attempt-1" / "journal.jsonl";
  const auto rests_for = [&](std::chrono::seconds time) {
    std::filesystem::last_write_time(journal, std::filesystem::file_time_type::clock::now() - time);
  };
  files_.write_attempt(1, {{start_record(1, "another-host"), wall_now() + std::chrono::hours(1)}});
  rests_for(std::chrono::seconds(40));
  EXPECT_THAT(data_error_of([&] { imported(); }), HasSubstr("rests for 40 s"));
  EXPECT_TRUE(ledger_.events().empty());
  rests_for(std::chrono::seconds(61));
  EXPECT_EQ(imported().status, RunStatus::kLost);
  EXPECT_THAT(imported().reason, HasSubstr("without a stop line"));
}

// Its steps take a minute: nothing for so long means nothing.
TEST_F(ImportTest, AJournalWithLongPausesMayRestLonger) {
  const Timestamp last = wall_now() - std::chrono::seconds(200);
  const Lines slow = {{start_record(1, "another-host"), last - std::chrono::seconds(60)}, {epoch_record(1, 50), last}};
  files_.write_attempt(1, slow);
  EXPECT_THAT(data_error_of([&] { imported(); }), HasSubstr("counts as lost in 160 s"));
  files_.write_attempt(1, {{slow[0].first, slow[0].second - std::chrono::seconds(161)},
                           {slow[1].first, slow[1].second - std::chrono::seconds(161)}});
  EXPECT_EQ(imported().status, RunStatus::kLost);
}

TEST_F(ImportTest, ALaterProcessWithTheSameIdIsNoRank) {
  Process later({"/bin/sleep", "60"});
  ASSERT_TRUE(wait_until([&] { return started_at(later.pid()).has_value(); }));
  files_.write_attempt(1, {{start_record(later.pid(), host_name()), at(3)}});
  EXPECT_EQ(imported().status, RunStatus::kLost);
}

struct Nonsense {
  const char* name;
  std::function<void(Json& plan, Lines& lines)> apply;
  const char* says;
};
void PrintTo(const Nonsense& nonsense, std::ostream* out) {
  *out << nonsense.name;
}

class ImportOfNonsense : public ImportTest, public testing::WithParamInterface<Nonsense> {};

/// The record of type T in line `i`.
template <class T>
T& record_at(Lines& lines, std::size_t i) {
  return std::get<T>(lines.at(i).first);
}

TEST_P(ImportOfNonsense, IsRefusedAndNothingIsRecorded) {
  Json plan = to_json(files_.plan());
  Lines lines = good_lines();
  GetParam().apply(plan, lines);
  files_.write_attempt(1, lines);
  write_file_atomically(files_.run_dir() / "attempt-1" / "plan.json", plan.dump());
  files_.write_result();
  EXPECT_THAT(data_error_of([&] { imported(); }), HasSubstr(GetParam().says));
  EXPECT_TRUE(ledger_.events().empty());
}

INSTANTIATE_TEST_SUITE_P(
    All, ImportOfNonsense,
    testing::Values(
        Nonsense{"WallOfCenturies", [](Json&, Lines& lines) { record_at<record::Epoch>(lines, 1).wall_s = 1e10; },
                 "wall_s: expected "},
        Nonsense{"WallBeyondReason", [](Json&, Lines& lines) { record_at<record::Epoch>(lines, 1).wall_s = 1e308; },
                 "wall_s: expected "},
        Nonsense{"NegativeWall", [](Json&, Lines& lines) { record_at<record::Epoch>(lines, 2).wall_s = -1; },
                 "wall_s: expected "},
        Nonsense{"PhaseOfCenturies",
                 [](Json&, Lines& lines) { record_at<record::Epoch>(lines, 1).seconds[Phase::kExchange] = 1e10; },
                 "exchange: expected "},
        Nonsense{"NegativePhase",
                 [](Json&, Lines& lines) { record_at<record::Epoch>(lines, 1).seconds[Phase::kOther] = -3; },
                 "other: expected "},
        Nonsense{"StartupOfCenturies", [](Json&, Lines& lines) { record_at<record::Start>(lines, 0).startup_s = 1e10; },
                 "startup_s: expected "},
        Nonsense{"EpochTwice", [](Json&, Lines& lines) { lines[2] = lines[1]; }, "line 3: epoch: expected 2, found 1"},
        Nonsense{"EpochFarAway", [](Json&, Lines& lines) { record_at<record::Epoch>(lines, 1).epoch = 1'000'000'000; },
                 "line 2: epoch: expected 1, found 1000000000"},
        Nonsense{"TimeRunsBack", [](Json&, Lines& lines) { lines[2].second = at(5); },
                 "line 3: at: expected no earlier"},
        Nonsense{"ACenturyLater", [](Json&, Lines& lines) { lines[3].second = at(3e9); },
                 "line 4: at (seconds since the start line): expected "},
        Nonsense{"MoreRanksThanPlanned",
                 [](Json&, Lines& lines) { record_at<record::Start>(lines, 0).ranks.resize(3); },
                 "line 1: ranks: expected 1, as the plan says, found 3"},
        Nonsense{"SharesOfNobody",
                 [](Json& plan, Lines& lines) {
                   lines.insert(lines.begin() + 1, {shares_record(plan, 0, 0), at(4)});
                 },
                 "line 2: weights: expected one above 0"},
        Nonsense{"SharesThatRunBack",
                 [](Json& plan, Lines& lines) {
                   lines.insert(lines.begin() + 1, {shares_record(plan, 1, 50), at(4)});
                   lines.insert(lines.begin() + 2, {shares_record(plan, 1, 3), at(4)});
                 },
                 "line 3: from_step: expected step 50 or a later one"},
        Nonsense{"SharesOfNoTime",
                 [](Json& plan, Lines& lines) {
                   record::Shares shares = shares_record(plan, 1, 0);
                   shares.seconds_per_sample.assign(shares.weights.size(), 1e300);
                   lines.insert(lines.begin() + 1, {shares, at(4)});
                 },
                 "line 2: seconds_per_sample: expected 0, or 1e-12 to 1e9"},
        Nonsense{"EnergyBelowNothing",
                 [](Json&, Lines& lines) {
                   record_at<record::Epoch>(lines, 1).energy_j = {
                       {"value", -5}, {"kind", "measured"}, {"error_pct", 5}, {"source", "RAPL"}};
                 },
                 "line 2: energy_j.value: expected 0 to 1e15 J"},
        Nonsense{"PiecesOfNoSample", [](Json&, Lines& lines) { record_at<record::Start>(lines, 0).micro_batch = -7; },
                 "line 1: micro_batch: expected at least 1"},
        Nonsense{"GpusBeyondTheSchema", [](Json& plan, Lines&) { plan["placement"]["gpus_per_node"] = 1'025; },
                 "placement.gpus_per_node: expected at most 1024"},
        Nonsense{"ThreadsBeyondTheSchema", [](Json& plan, Lines&) { plan["placement"]["threads"] = 4'097; },
                 "threads: expected "},
        Nonsense{"PriceBeyondReason",
                 [](Json& plan, Lines&) {
                   plan["price"] = to_json(sample_price());
                   plan["price"]["usd_per_node_hour"] = "50000.000000001";
                 },
                 "usd_per_node_hour: expected 0 to 50000 USD, found "},
        Nonsense{"NegativePrice",
                 [](Json& plan, Lines&) {
                   plan["price"] = to_json(sample_price());
                   plan["price"]["usd_per_node_hour"] = "-1";
                 },
                 "usd_per_node_hour: expected 0 to 50000 USD, found "},
        Nonsense{"EscapeInAName", [](Json& plan, Lines&) { plan["placement"]["configuration"] = "a\x1b[2J"; },
                 "placement.configuration: expected 1 to 64 letters"},
        Nonsense{"LineBreakInAPool", [](Json& plan, Lines&) { plan["placement"]["pool"] = "here\nthere"; },
                 "placement.pool: expected 1 to 64 letters"}),
    [](const auto& param) { return param.param.name; });

TEST_F(ImportTest, AClockThatIsSetBackALittleIsNoNonsense) {
  Lines lines = good_lines();
  lines[2].second = at(6.5);
  files_.write_attempt(1, lines);
  files_.write_result();
  EXPECT_EQ(imported().status, RunStatus::kDone);
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
