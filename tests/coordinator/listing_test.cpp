#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "coordinator/ledger.hpp"
#include "coordinator/question.hpp"
#include "coordinator/run_listing.hpp"
#include "coordinator/run_words.hpp"
#include "samples.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// A finished comparison, then a lone run that waits, an hour later.
State sample_state() {
  auto events = finished_run("01JZR1AAAAAAAAAAAAAAAAAAAA", "01JZC1AAAAAAAAAAAAAAAAAAAA");
  events.push_back(event("run", "01JZR2AAAAAAAAAAAAAAAAAAAA", 0, run_body(nullptr), 3600));
  return fold(events);
}

std::string failure_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kFailure);
    return error.what();
  }
  return "no Error";
}

TEST(List, NewestFirstWithFigures) {
  const State state = sample_state();
  const auto entries = list_entries(state, {});
  ASSERT_EQ(entries.size(), 2U);
  // clang-format off
  EXPECT_EQ(to_table(entries, false),
            "id                            when (UTC)           job        configuration  status   epochs  accuracy  s/epoch       cost\n"
            "01JZR2AAAAAAAAAAAAAAAAAAAA    2025-07-01 13:00:00  mnist-cnn  one-core       waiting       0         -        -          -\n"
            "01JZC1AAAAAAAAAAAAAAAAAAAA    2025-07-01 12:00:00  mnist-cnn  1 run                                              $0.000125\n"
            "  01JZR1AAAAAAAAAAAAAAAAAAAA  2025-07-01 12:00:01  mnist-cnn  one-core       done          2   98.00 %     4.00  $0.000125\n");
  // clang-format on
}

TEST(List, LimitCountsEntries) {
  const State state = sample_state();
  const auto entries = list_entries(state, 1);
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].runs[0]->id.value, "01JZR2AAAAAAAAAAAAAAAAAAAA");
}

TEST(List, RunsStandInTheJobsOrderThenByRepeat) {
  std::vector<Event> events = {event("comparison", "C1", 0, comparison_body("C1"))};
  const std::pair<const char*, std::pair<int, int>> made[] = {
      {"A", {0, 1}}, {"B", {1, 1}}, {"C", {0, 2}}, {"D", {1, 2}}};
  for (const auto& [id, place] : made) {
    Json body = run_body(nullptr, "C1");
    body["order"] = place.first;
    body["repeat"] = place.second;
    events.push_back(event("run", id, 0, body));
  }
  const State state = fold(events);
  const auto entries = list_entries(state, {});
  std::string order;
  for (const auto* run : entries.at(0).runs) order += run->id.value;
  EXPECT_EQ(order, "ACBD");
  const Json shown = to_json(*entries.at(0).comparison, state);
  order.clear();
  for (const auto& run : shown.at("runs")) order += run.at("run_id").get<std::string>();
  EXPECT_EQ(order, "ACBD") << "show agrees with list";
  EXPECT_EQ(shown.at("argv"), Json({"run"}));
  EXPECT_TRUE(shown.at("cluster").is_null());
}

TEST(List, JsonHasOneShapeForComparisonsAndLoneRuns) {
  const State state = sample_state();
  const Json json = to_json(list_entries(state, {}));
  ASSERT_EQ(json.size(), 2U);
  EXPECT_TRUE(json[0].at("comparison_id").is_null());
  EXPECT_TRUE(json[0].at("runs")[0].at("seconds_per_epoch").is_null());
  EXPECT_EQ(json[1].at("comparison_id"), "01JZC1AAAAAAAAAAAAAAAAAAAA");
  EXPECT_EQ(json[1].at("usd_total"), "0.000125");
  EXPECT_EQ(json[1].at("runs")[0].at("seconds_per_epoch"), 4.0);
  EXPECT_EQ(json[1].at("runs")[0].at("test_accuracy"), 0.98);
}

TEST(ShowPage, NobodysWordsSteerATerminalOrLookLikeAField) {
  State state = sample_state();
  RunState& run = state.runs.at("01JZR1AAAAAAAAAAAAAAAAAAAA");
  run.configuration = "a\x1b[2J";
  run.reason = "gone\nstatus         done";
  run.price->source = "list\x1b[31m";
  run.attempts[0].start->ranks[0].host = "n1\x1b[2J";
  const std::string page = to_page(run, false) + to_table(list_entries(state, {}), false);
  EXPECT_EQ(page.find('\x1b'), std::string::npos) << page;
  EXPECT_THAT(page, HasSubstr("gone\n               status         done\n"));
}

TEST(FindSubject, ByIdOrUniquePrefixInAnyCase) {
  const State state = sample_state();
  EXPECT_EQ(find_subject(state, "01JZR1AAAAAAAAAAAAAAAAAAAA").run->id.value, "01JZR1AAAAAAAAAAAAAAAAAAAA");
  EXPECT_EQ(find_subject(state, "01jzr2").run->id.value, "01JZR2AAAAAAAAAAAAAAAAAAAA");
  EXPECT_EQ(find_subject(state, "01JZC").comparison->id.value, "01JZC1AAAAAAAAAAAAAAAAAAAA");
}

TEST(FindSubject, SaysWhatIsWrongWithAnId) {
  const State state = sample_state();
  EXPECT_THAT(failure_of([&] { find_subject(state, "01JZR"); }),
              HasSubstr("begins 2 ids; give more letters:\n  01JZR1"));
  EXPECT_THAT(failure_of([&] { find_subject(state, "01JZC1AAAAB"); }),
              HasSubstr("nearest: 01JZC1AAAAAAAAAAAAAAAAAAAA; `regatta list`"));
  const auto unlike = failure_of([&] { find_subject(state, "7ZZZ"); });
  EXPECT_THAT(unlike, HasSubstr("no run or comparison \"7ZZZ\"\n  `regatta list` shows all"));
  EXPECT_THAT(failure_of([&] { find_subject(state, ""); }), HasSubstr("no run or comparison"));
}

TEST(LatestSubject, IsTheNewestComparisonOrLoneRun) {
  Asked asked{.ledger = "/x/ledger.db", .state = sample_state()};
  EXPECT_EQ(latest_subject(asked).run->id.value, "01JZR2AAAAAAAAAAAAAAAAAAAA");
  asked.state.runs.erase("01JZR2AAAAAAAAAAAAAAAAAAAA");
  EXPECT_EQ(latest_subject(asked).comparison->id.value, "01JZC1AAAAAAAAAAAAAAAAAAAA");
  asked.state = {};
  EXPECT_THAT(failure_of([&] { latest_subject(asked); }), HasSubstr("nothing is recorded in /x/ledger.db yet"));
}

TEST(AskLedger, MakesNoLedgerWhereThereIsNone) {
  const TemporaryFolder folder;
  ::unsetenv("REGATTA_LEDGER");
  CommandLine line;
  line.home = folder.path() / "home";
  EXPECT_TRUE(ask_ledger(line).state.runs.empty());
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "home"));
}

TEST(AskLedger, ReadsWhereNothingMayBeWritten) {
  const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms{0755});
  const fs::path home = folder.path() / "home?#%41";  // what a URI would take for something else
  { Ledger(home / "ledger.db").append(finished_run("01JZR1AAAAAAAAAAAAAAAAAAAA", "01JZC1AAAAAAAAAAAAAAAAAAAA")); }
  fs::permissions(home / "ledger.db", fs::perms{0444});
  fs::permissions(home, fs::perms{0555});
  CommandLine line;
  line.home = home;
  ::unsetenv("REGATTA_LEDGER");
  const bool root = ::geteuid() == 0;
  constexpr uid_t kNobody = 65'534;
  ASSERT_EQ(root ? ::seteuid(kNobody) : 0, 0);
  std::size_t runs = 0;
  std::string trouble;
  try {
    runs = ask_ledger(line).state.runs.size();
  } catch (const Error& error) {
    trouble = error.what();
  }
  ASSERT_EQ(root ? ::seteuid(0) : 0, 0);
  EXPECT_EQ(runs, 1U) << trouble;
  fs::permissions(home, fs::perms{0755});
  EXPECT_EQ(std::distance(fs::directory_iterator(home), fs::directory_iterator()), 1) << "no trace";
}

TEST(AskLedger, SeesWhatStandsInTheLogOfARunningCoordinator) {
  const TemporaryFolder folder;
  Ledger writer(folder.path() / "ledger.db");
  writer.append(finished_run("01JZR1AAAAAAAAAAAAAAAAAAAA", "01JZC1AAAAAAAAAAAAAAAAAAAA"));
  const Ledger reader(folder.path() / "ledger.db", Ledger::Access::kRead);
  EXPECT_EQ(load_state(reader).runs.size(), 1U);
}

TEST(ShowPage, TellsARunsStory) {
  const State state = sample_state();
  const std::string page = to_page(state.runs.at("01JZR1AAAAAAAAAAAAAAAAAAAA"), false);
  for (const char* words :
       {"status         done: epochs", "pool here: 1 node, 1 rank x 1 thread, mpi",
        "$0.09 a node and hour, by slot, measured: a test's own, 2025-07-01", "held           10.0 s",
        "memory         rank 0's large tensors: at most 36.6 MB, held 44.3 MB; blocks reused 1799, made 26; given back "
        "0.5 MB",
        "command        regatta-worker --plan p", "98.00 %", "total    0.000125000", "compute  0.000100000"})
    EXPECT_THAT(page, HasSubstr(words));
  EXPECT_THAT(to_page(state.comparisons.begin()->second, state, false), HasSubstr("regatta compare 01JZC1"));
}

TEST(ShowPage, HasACommandThatCanBePasted) {
  RunState run = sample_state().runs.at("01JZR1AAAAAAAAAAAAAAAAAAAA");
  run.attempts.at(0).argv = {"mpirun", "--mca", "plm_rsh_agent", "ssh -F /c", "/a b/regatta-worker", "two\nlines"};
  EXPECT_THAT(to_page(run, false), HasSubstr("command        mpirun --mca plm_rsh_agent 'ssh -F /c' "
                                             "'/a b/regatta-worker' $'two\\012lines'\n"));
}

}  // namespace
}  // namespace regatta::test
