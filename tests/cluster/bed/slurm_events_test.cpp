// What Slurm may do to a job, and what becomes of the run: event -> Slurm's state -> ledger -> exit code -> bill.
#include <fmt/format.h>

#include "tests/cluster/bed/slurm_bed.hpp"

namespace regatta::test {
namespace {

using testing::HasSubstr;

struct Row {
  std::string event, slurm, ledger, status;
  std::string reason;
  int exit_code = 0;  // of regatta run
  double usd = 0, of_slurm = 0;
};

class SlurmEvents : public SlurmTest {
 protected:
  SlurmEvents() : SlurmTest({{"SLURMD_TIMEOUT", "10"}}) {}

  /// Seconds of the job's first start, as Slurm's own list of ended starts has them.
  double first_start_s(const std::string& id) {
    std::ifstream file(bed().folder() / "slurm/log/jobcomp.txt");
    for (std::string line; std::getline(file, line);) {
      if (!line.starts_with("JobId=" + id + " ")) continue;
      const auto time = [&](const char* key) {
        const auto at = line.find(key) + std::string(key).size();
        return parse_timestamp(line.substr(at, 19) + ".000000Z");
      };
      return seconds(time(" EndTime=") - time(" StartTime="));
    }
    return -1;
  }

  Row hit(const std::string& event, const std::string& pool, const std::function<void(const std::string&)>& act,
          Millis limit = std::chrono::seconds(60)) {
    std::filesystem::remove_all(home());
    auto run = start_run(job("max_time: 300"), pool);
    EXPECT_TRUE(past_epoch_one()) << run->err();
    const std::string id = queued_job();
    act(id);
    const auto ended = run->wait(limit);
    EXPECT_FALSE(ended.timed_out) << event << ": " << ended.text();
    const RunState recorded = only_run();
    const AttemptState& attempt = recorded.attempts.at(0);
    Row row{
        .event = event, .status = to_text(recorded.status), .reason = recorded.reason, .exit_code = ended.exit_code};
    const auto view = job_view(id);
    row.slurm = view->state + (view->restarts > 0 ? ", restarted" : "");
    for (const auto& one : Ledger(home() / "ledger.db").events_of(recorded.id.value))
      if (one.kind == "job")
        row.ledger += one.body["state"].get<std::string>().substr(0, 4) + " ";
      else if (one.kind == "exit" || one.kind == "lost")
        row.ledger += one.kind + (attempt.exit_code ? fmt::format(" {}", *attempt.exit_code) : "");
    row.usd = usd(recorded);
    EXPECT_TRUE(wait_until([&] { return first_start_s(id) >= 0; }));
    row.of_slurm = kUsdPerNodeSecond * 4 * first_start_s(id);
    EXPECT_NEAR(row.usd, row.of_slurm, kUsdPerNodeSecond * 4 * 2) << event << ": within 2 s of Slurm's own";
    slurm({"scancel", "-u", "root"});
    EXPECT_TRUE(wait_until([&] { return queued_job().empty(); }, std::chrono::seconds(60)));
    return row;
  }

  static void print(const std::vector<Row>& rows) {
    std::printf("%-14s | %-20s | %-44s | %-8s | %4s | %10s | %10s | %s\n", "event", "Slurm", "ledger", "run", "exit",
                "bill $", "Slurm's $", "reason");
    for (const auto& row : rows)
      std::printf("%-14s | %-20s | %-44s | %-8s | %4d | %10.6f | %10.6f | %s\n", row.event.c_str(), row.slurm.c_str(),
                  row.ledger.c_str(), row.status.c_str(), row.exit_code, row.usd, row.of_slurm, row.reason.c_str());
  }
};

TEST_F(SlurmEvents, ScancelIsRecordedAndBilled) {
  const Row row = hit("scancel", "", [&](const std::string& id) { slurm({"scancel", id}); });
  print({row});
  EXPECT_EQ(row.slurm, "CANCELLED");
  EXPECT_EQ(row.status, "stopped") << "its ranks stopped cleanly on SIGTERM";
  EXPECT_THAT(row.reason, HasSubstr("Slurm: cancelled"));
  EXPECT_EQ(row.exit_code, 1);
  expect_nothing_left();
}

TEST_F(SlurmEvents, ARankThatIsKilledEndsTheJobAndIsNamed) {
  const Row row = hit("killed rank", "", [&](const std::string&) {
    bed().run_on("n3", {"pkill", "-9", "-x", "regatta-worker"});
  });
  print({row});
  EXPECT_EQ(row.status, "failed");
  EXPECT_THAT(row.reason, HasSubstr("rank 2 on n3: Killed"));
  expect_nothing_left();
}

// Must show 6 of the issue.
TEST_F(SlurmEvents, LongTableOfAllEvents) {
  std::vector<Row> rows;
  rows.push_back(hit("scancel", "", [&](const std::string& id) { slurm({"scancel", id}); }));
  EXPECT_EQ(rows.back().status, "stopped");
  rows.push_back(hit("preemption", ", partition: low", [&](const std::string&) {
    slurm({"sbatch", "-p", "main", "-N4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 5"});
  }));
  EXPECT_EQ(rows.back().status, "stopped");
  EXPECT_THAT(rows.back().reason, HasSubstr("preempted"));
  rows.push_back(hit("requeue", "", [&](const std::string& id) { slurm({"scontrol", "requeue", id}); }));
  EXPECT_EQ(rows.back().status, "lost");
  rows.push_back(hit(
      "time limit", ", time: \"1\"", [](const std::string&) {}, std::chrono::seconds(150)));
  EXPECT_EQ(rows.back().status, "stopped");
  EXPECT_THAT(rows.back().reason, HasSubstr("time limit"));
  rows.push_back(hit(
      "node failure", "", [&](const std::string&) { bed().act("poweroff", "n3"); }, std::chrono::seconds(150)));
  EXPECT_THAT(rows.back().status, testing::AnyOf("failed", "lost"));
  for (const auto& row : rows) EXPECT_EQ(row.exit_code, 1) << row.event;
  print(rows);
  expect_nothing_left({"n0", "n1", "n2", "n4"});
}

}  // namespace
}  // namespace regatta::test
