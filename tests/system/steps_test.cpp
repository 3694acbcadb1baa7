// Where the time of a step goes, of real runs: what the ranks kept against what the journal counted, and the two front
// doors to it.

#include <algorithm>
#include <map>

#include "common/files.hpp"
#include "common/step_laps.hpp"
#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using testing::AllOf, testing::HasSubstr, testing::Not;

class StepsTest : public SystemTest {
 protected:
  RunState train(const std::string& configuration, int epochs = 3) {
    const auto result =
        regatta({"run", folder_.write("job.yaml", tiny_job({configuration}, epochs)).string(), "--quiet"});
    EXPECT_EQ(result.exit_code, 0) << result.text();
    return runs().back();
  }
  static fs::path file_of(const RunState& run, int rank) {
    return fs::path(run.run_dir) / "attempt-1" / steps_file_name(rank);
  }
  static std::vector<RankSteps> files_of(const RunState& run) {
    std::vector<RankSteps> ranks;
    for (int rank = 0; rank < run.ranks; ++rank) ranks.push_back(rank_steps_from_text(read_file(file_of(run, rank))));
    return ranks;
  }
};

double seconds_of(const RankSteps& rank, std::int64_t first, std::int64_t last, std::vector<Activity> activities) {
  Duration sum{};
  for (const StepLaps& step : rank.steps)
    for (const ActivityLap& lap : step.laps)
      if (step.step >= first && step.step <= last &&
          std::find(activities.begin(), activities.end(), lap.activity) != activities.end())
        sum += lap.time;
  return seconds(sum);
}

TEST_F(StepsTest, AgreeWithTheJournal) {
  const RunState run = train(kTwoCores);
  const std::vector<RankSteps> ranks = files_of(run);
  const record::Epoch& epoch = run.attempts.at(0).epochs.at(1);  // steps 11 to 20 of 30
  std::istringstream rows(read_file(fs::path(run.run_dir) / "attempt-1/ranks.jsonl"));
  for (std::string line; std::getline(rows, line);) {
    const Json row = parse_json(line, "a row");
    if (row.at("epoch") != 2) continue;
    const RankSteps& rank = ranks.at(row.at("rank").get<std::size_t>());
    ASSERT_EQ(rank.steps.size(), 20U);
    const auto counted = [&](const char* phase) { return row.at("seconds").at(phase).get<double>(); };
    EXPECT_NEAR(seconds_of(rank, 11, 20, {Activity::kForward, Activity::kBackward}), counted("compute"), 1e-6);
    EXPECT_NEAR(seconds_of(rank, 11, 20, {Activity::kApply}), counted("optimizer"), 1e-6);
    for (std::size_t i = 0; i + 1 < rank.steps.size(); ++i)
      EXPECT_EQ(rank.steps[i].end(), rank.steps[i + 1].begin) << "the laps of a step sum to its wall";
  }
  std::vector<double> walls;
  for (const StepLaps& step : ranks[0].steps)
    if (step.step <= 20) walls.push_back(seconds(step.wall()));
  std::sort(walls.begin(), walls.end());
  EXPECT_NEAR(walls.at(5), epoch.step_s->median, 0.02 * walls[5]);
}

TEST_F(StepsTest, LieOnOneTimeLine) {
  const RunState run = train(kTwoCores);
  const std::string file = (folder_.path() / "trace.json").string();
  const auto result = regatta({"show", run.id.value, "--trace", file});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  EXPECT_THAT(result.out, AllOf(HasSubstr(file + ": 20 steps of 2 ranks"), HasSubstr("ui.perfetto.dev")));
  const Json trace = parse_json(read_file(file), file);
  std::map<int, double> end;
  std::map<int, std::map<std::int64_t, std::pair<double, double>>> meets;  // by rank and step: begin, end
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X") continue;
    const std::string name = event.at("name");
    const int rank = event.at("pid");
    const double ts = event.at("ts"), dur = event.at("dur");
    if (name.starts_with("step ")) continue;
    EXPECT_GE(ts, end[rank] - 1e-3) << event;
    end[rank] = ts + dur;
    if (name == "meet") meets[rank].emplace(event.at("args").at("step"), std::pair(ts, ts + dur));
  }
  ASSERT_EQ(meets.size(), 2U);
  for (const auto& [step, meet] : meets[0]) {  // nobody leaves a step before all have come there
    const auto& other = meets[1].at(step);
    EXPECT_LE(meet.first, other.second) << "step " << step;
    EXPECT_LE(other.first, meet.second) << "step " << step;
  }
}

TEST_F(StepsTest, AreShownByActivityAndBucket) {
  const RunState run = train(kTwoCores);
  const Json anatomy = regatta_json({"show", run.id.value, "--steps"});
  EXPECT_EQ(anatomy.at("run_id"), run.id.value);
  EXPECT_EQ(anatomy.at("steps").size(), 20U);
  double shares = 0;
  for (const Json& row : anatomy.at("activities")) shares += row.at("share").get<double>();
  EXPECT_NEAR(shares, 1, 1e-9);
  std::int64_t bytes = 0;
  for (const Json& bucket : anatomy.at("buckets")) bytes += bucket.at("bytes").get<std::int64_t>();
  EXPECT_EQ(bytes, run.attempts.at(0).start->gradient_bytes);
  const auto page = regatta({"show", run.comparison->value, "--steps"});  // a comparison of one run
  ASSERT_EQ(page.exit_code, 0) << page.text();
  EXPECT_THAT(page.out, AllOf(HasSubstr("steps 11 to 30 of 30"), HasSubstr("\nforward "), HasSubstr("\nbackward "),
                              HasSubstr("\npublish "), HasSubstr("\napply "), HasSubstr("\nstep "),
                              HasSubstr("\nbucket "), HasSubstr("rank 1")));
}

TEST_F(StepsTest, OfTheMpiExchangerHaveItsSumsByBucket) {
  options_.environment["REGATTA_WITHOUT"] = "node_exchanger";
  const RunState run = train(kTwoCores);
  const Json anatomy = regatta_json({"show", run.id.value, "--steps"});
  EXPECT_EQ(anatomy.at("exchanger"), "mpi");
  for (const Json& bucket : anatomy.at("buckets"))
    for (const Json& waited : bucket.at("wait_s")) EXPECT_GT(waited.get<double>(), 0);
}

TEST_F(StepsTest, ThatAreNotThereAreRefusedWithAReason) {
  const RunState run = train(kTwoCores, 1);
  const auto refused = [&](const std::string& says) {
    const auto result = regatta({"show", run.id.value, "--steps"});
    EXPECT_NE(result.exit_code, 0);
    EXPECT_THAT(result.out, testing::IsEmpty());
    EXPECT_THAT(result.err, AllOf(HasSubstr("regatta: "), HasSubstr(says)));
  };
  const std::string whole = read_file(file_of(run, 1));
  write_file_atomically(file_of(run, 1), whole.substr(0, whole.size() / 2));
  refused("steps-1.jsonl: line ");
  write_file_atomically(file_of(run, 1), read_file(file_of(run, 0)));
  refused("steps-1.jsonl: rank: expected 1, found 0");
  fs::remove(file_of(run, 1));
  refused("steps-1.jsonl: not there, though rank 0 has one");
  fs::remove(file_of(run, 0));
  refused("an older version trained it, or its folder was moved");

  options_.environment["REGATTA_WITHOUT"] = "step_trace";
  const RunState without = train(kOneCore, 1);
  EXPECT_FALSE(fs::exists(file_of(without, 0)));
  EXPECT_THAT(regatta({"show", without.id.value, "--steps"}).err, HasSubstr("REGATTA_WITHOUT=step_trace"));
}

}  // namespace
}  // namespace regatta::test
