#include "coordinator/ingest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "run_files.hpp"
#include "samples.hpp"

namespace regatta::test {
namespace {

using testing::HasSubstr;

constexpr const char* kIngestedRun = "01JZR1AAAAAAAAAAAAAAAAAAAA";

TEST(RunEvent, SaysThePlan) {
  Plan plan = sample_plan(kIngestedRun, 2);
  plan.comparison = ComparisonId{"C1"};
  plan.price = sample_price();
  plan.repeat = 3;
  const State state = fold({run_event(plan, "/runs/x", 1, at(5))});
  const RunState& run = state.runs.at(kIngestedRun);
  EXPECT_EQ(run.configuration, "two-cores");
  EXPECT_EQ(run.comparison, ComparisonId{"C1"});
  EXPECT_EQ(run.repeat, 3);
  EXPECT_EQ(run.order, 1);
  EXPECT_EQ(run.ranks, 2);
  EXPECT_EQ(run.cores_per_node, 2);
  EXPECT_EQ(run.run_dir, "/runs/x");
  EXPECT_EQ(run.backend, "mpi");
  EXPECT_EQ(run.precision, "fp32");
  EXPECT_EQ(run.price, sample_price());
  EXPECT_EQ(run.test_count, plan.dataset.test_count);
  EXPECT_EQ(run.dataset_key, plan.dataset.key);
  EXPECT_EQ(run.training.at("train").at("batch"), 128);
}

class JournalEvents : public testing::Test {
 protected:
  std::vector<Event> events(std::int64_t after = 0, int attempt = 1) const {
    return journal_events(attempt_folder(files_.run_dir(), attempt), RunId{kIngestedRun}, attempt, after);
  }
  void append(const std::string& text) const {
    std::ofstream(attempt_folder(files_.run_dir(), 1) / "journal.jsonl", std::ios::app) << text;
  }
  std::string message() const {
    try {
      events();
    } catch (const IoError& error) {
      return error.what();
    }
    return "no IoError";
  }
  RunFiles files_{sample_plan(kIngestedRun)};
};

TEST_F(JournalEvents, AreTheWholeLinesAfterTheGivenOne) {
  EXPECT_TRUE(events().empty()) << "no file yet";
  files_.write_attempt(1, {{start_record(), at(3)}, {epoch_record(1, 4), at(7)}, {stop_record(), at(8)}},
                       R"({"torn": )");
  ASSERT_EQ(events().size(), 3U);
  ASSERT_EQ(events(1).size(), 2U);
  EXPECT_EQ(events(1)[0].source_seq, 2);
  EXPECT_EQ(events(1)[0].source, "journal");
  EXPECT_EQ(events(1)[0].at, at(7));
  EXPECT_EQ(events(1)[0].body.at("type"), "epoch");
  EXPECT_TRUE(events(3).empty());
}

TEST_F(JournalEvents, KeepKeysThatNobodyKnows) {
  files_.write_attempt(1, {{start_record(), at(3)}});
  append(
      R"({"schema":1,"run_id":"01JZR1AAAAAAAAAAAAAAAAAAAA","attempt":1,"seq":2,"at":"2025-07-01T12:00:04.000000Z","type":"first_step","startup_s":2.0,"weather":"fine"})"
      "\n");
  ASSERT_EQ(events().size(), 2U);
  EXPECT_EQ(events()[1].body.at("weather"), "fine");
}

TEST_F(JournalEvents, RefuseDamage) {
  files_.write_attempt(1, {{start_record(), at(3)}}, "rubbish\n");
  EXPECT_THAT(message(), HasSubstr("journal.jsonl: journal line 2: "));
  files_.write_attempt(
      1, {{start_record(), at(3)}},
      to_json(JournalLine{.run_id = RunId{kIngestedRun}, .seq = 3, .body = stop_record()}).dump() + "\n");
  EXPECT_THAT(message(), HasSubstr("journal line 2: seq: expected the line's number, found 3"));
  files_.write_attempt(1, {},
                       to_json(JournalLine{.run_id = RunId{"other"}, .seq = 1, .body = stop_record()}).dump() + "\n");
  EXPECT_THAT(message(), HasSubstr("found run other attempt 1"));
}

struct EndCase {
  const char* name;
  int code;
  const char* result;  ///< nullptr: no file
  const char* status;
  const char* reason;
};
void PrintTo(const EndCase& c, std::ostream* out) {
  *out << c.name;
}

class EndEvent : public testing::TestWithParam<EndCase> {};

TEST_P(EndEvent, FollowsExitCodeAndResult) {
  const EndCase& c = GetParam();
  const TemporaryFolder folder;
  if (c.result != nullptr) folder.write("result.json", c.result);
  Json body = run_body();
  body["run_dir"] = folder.path().string();
  const State state =
      fold({event("run", "R1", 0, body), event("launch", "R1", 1, {{"argv", Json::array()}, {"at", to_text(at(2))}}),
            journal("R1", 1, 1, start_record()),
            journal("R1", 1, 2, stop_record(c.code, c.code == 75 ? "signal" : "epochs")),
            event("exit", "R1", 1,
                  {{"code", c.code},
                   {"signal", nullptr},
                   {"reason", "words"},
                   {"message", "more"},
                   {"held_s", 4},
                   {"startup_s", 1}})});
  const Event end = end_event(state.runs.at("R1"), at(9));
  EXPECT_EQ(end.body.at("status"), c.status);
  EXPECT_THAT(end.body.at("reason").get<std::string>(), HasSubstr(c.reason));
  EXPECT_EQ(end.body.at("result").is_null(), std::string(c.status) != "done");
  EXPECT_EQ(end.body.at("bill").at("total_usd"), "0.00005") << "4 s at 12,500 nano-dollars";
}

INSTANTIATE_TEST_SUITE_P(
    All, EndEvent,
    testing::Values(EndCase{"Done", 0, R"({"run_id": "R1", "attempt": 1})", "done", "epochs"},
                    EndCase{"NoResult", 0, nullptr, "failed", "exit code 0, but "},
                    EndCase{"HalfAResult", 0, R"({"run_id": )", "failed", "not JSON"},
                    EndCase{"AnothersResult", 0, R"({"run_id": "R2"})", "failed", "expected R1, found R2"},
                    EndCase{"OldResult", 0, R"({"run_id": "R1", "attempt": 2})", "failed",
                            "attempt: expected 1, found 2"},
                    EndCase{"Stopped", 75, nullptr, "stopped", "signal"},
                    EndCase{"Deadline", 13, nullptr, "failed", "words: more"},
                    EndCase{"Killed", 137, R"({"run_id": "R1", "attempt": 1})", "failed", "words: more"}),
    [](const auto& one) { return one.param.name; });

TEST(EndEventOfAKilledRun, SaysWhyItWasKilled) {
  const State state = fold({event("run", "R1", 0, run_body()),
                            event("launch", "R1", 1, {{"argv", Json::array()}, {"at", to_text(at(2))}}),
                            journal("R1", 1, 1, start_record()), journal("R1", 1, 2, stop_record(75, "signal")),
                            event("exit", "R1", 1,
                                  {{"code", 75},
                                   {"signal", nullptr},
                                   {"reason", "killed: no sign of life from the ranks for 30 s"},
                                   {"message", ""},
                                   {"held_s", 4},
                                   {"startup_s", 1}})});
  const Event end = end_event(state.runs.at("R1"), at(9));
  EXPECT_EQ(end.body.at("status"), "stopped");
  EXPECT_EQ(end.body.at("reason"), "killed: no sign of life from the ranks for 30 s");
}

TEST(EndEventWithoutPrice, HasNoBill) {
  const State state = fold({event("run", "R1", 0, run_body(nullptr))});
  const Event end = end_event(state.runs.at("R1"), at(9));
  EXPECT_EQ(end.body.at("status"), "cancelled");
  EXPECT_TRUE(end.body.at("bill").is_null());
}

}  // namespace
}  // namespace regatta::test
