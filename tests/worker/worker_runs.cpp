#include "tests/worker/worker_runs.hpp"

#include <fmt/format.h>

#include "common/files.hpp"

namespace regatta::test {

fs::path WorkerRuns::job(int epochs, const std::string& train) {
  return folder_.write("job.yaml", fmt::format(R"(name: tiny
model: {{kind: mlp, hidden: [16]}}
data: {{format: synthetic, samples: 640, shape: [1, 8, 8], classes: 4}}
train: {{batch: 64, optimizer: {{kind: sgd, lr: 0.01}}, seed: 1{}}}
stop: {{epochs: {}}}
configurations:
  - {{name: one, ranks: 1}}
  - {{name: two, ranks: 2}}
)",
                                               train.empty() ? "" : ", " + train, epochs));
}

std::vector<std::string> WorkerRuns::launch(int ranks, const std::string& program,
                                            std::vector<std::string> arguments) const {
  std::vector<std::string> argv = {"mpirun", "-np", std::to_string(ranks), "--oversubscribe", program};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  argv.insert(argv.end(), {"--run-dir", run_dir().string()});
  return argv;
}

std::vector<JournalLine> WorkerRuns::journal() const {
  const fs::path path = run_dir() / "attempt-1/journal.jsonl";
  if (!fs::exists(path)) return {};
  return parse_journal(read_file(path));
}

bool WorkerRuns::journal_has(const std::string& type) const {
  return wait_until(
      [&] {
        for (const auto& line : journal())
          if (type_of(line.body) == type) return true;
        return false;
      },
      std::chrono::seconds(60));
}

Json WorkerRuns::result() const {
  return parse_json(read_file(run_dir() / "result.json"), "result.json");
}

std::string WorkerRuns::rank_log(int rank) const {
  return read_file(run_dir() / fmt::format("attempt-1/rank-{}.log", rank));
}

std::vector<pid_t> WorkerRuns::pids() const {
  std::vector<pid_t> pids;
  for (const auto& line : journal())
    if (const auto* start = std::get_if<record::Start>(&line.body))
      for (const auto& place : start->ranks) pids.push_back(static_cast<pid_t>(place.pid));
  return pids;
}

int count_of(const std::string& text, const std::string& where) {
  int count = 0;
  for (auto at = where.find(text); at != std::string::npos; at = where.find(text, at + 1)) ++count;
  return count;
}

}  // namespace regatta::test
