#include "tests/system/system.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <fstream>
#include <sstream>

#include "common/files.hpp"
#include "coordinator/ledger.hpp"

namespace regatta::test {

const char* const kOneCore = "{name: one-core, pool: here, ranks: 1}";
const char* const kTwoCores = "{name: two-cores, pool: here, ranks: 2}";

std::string tiny_job(const std::vector<std::string>& rows, int epochs, const std::string& name) {
  std::string text = "name: " + name +
                     "\n"
                     "model: {kind: mlp, hidden: [32]}\n"
                     "data: {format: synthetic, samples: 640, shape: [1, 28, 28], classes: 10}\n"
                     "train: {batch: 64, optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}}\n"
                     "stop: {epochs: " +
                     std::to_string(epochs) + "}\nconfigurations:\n";
  for (const auto& row : rows) text += "  - " + row + "\n";
  return text;
}

std::string endless_job(const std::vector<std::string>& rows, const std::string& name) {
  return tiny_job(rows, 1'000'000, name);
}

SystemTest::~SystemTest() {
  for (const pid_t pid : ranks()) ::kill(pid, SIGKILL);  // after a failed test only
}

fs::path SystemTest::binary(const std::string& name) {
  return fs::path(REGATTA_BIN_DIR) / name;
}

std::vector<std::string> SystemTest::command(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), binary("regatta"));
  arguments.insert(arguments.end(), {"--home", home()});
  return arguments;
}

ProcessResult SystemTest::regatta(std::vector<std::string> arguments, Millis deadline) const {
  return run(command(std::move(arguments)), options_, deadline);
}

Json SystemTest::regatta_json(std::vector<std::string> arguments) const {
  arguments.emplace_back("--json");
  const auto result = regatta(std::move(arguments));
  EXPECT_EQ(result.exit_code, 0) << result.text();
  return parse_json(result.out, "stdout");
}

State SystemTest::state() const {
  State first, second;
  for (const auto& event : Ledger(home() / "ledger.db").events()) {  // read once: a run may go on appending
    apply(first, event);
    apply(second, event);
  }
  EXPECT_EQ(first.runs.size(), second.runs.size());
  for (const auto& [id, run_state] : first.runs) EXPECT_EQ(to_json(run_state), to_json(second.runs.at(id)));
  return first;
}

std::vector<RunState> SystemTest::runs() const {
  const State now = state();
  std::vector<RunState> result;
  for (const auto& [id, comparison] : now.comparisons)
    for (const auto& run_id : comparison.runs) result.push_back(now.runs.at(run_id.value));
  return result;
}

fs::path SystemTest::wait_for_journal(const std::string& type, Millis deadline) const {
  fs::path found;
  const auto look = [&] {
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(home() / "runs", missing)) {
      std::ifstream file(entry.path() / "attempt-1" / "journal.jsonl");
      std::ostringstream text;
      text << file.rdbuf();
      if (text.str().find("\"type\":\"" + type + "\"") != std::string::npos) found = entry.path();
    }
    return !found.empty();
  };
  EXPECT_TRUE(wait_until(look, deadline)) << "no journal with a line of type " << type;
  return found;
}

std::vector<pid_t> SystemTest::ranks() const {
  std::vector<pid_t> pids;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator("/proc", unreadable)) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr != name.data() + name.size()) continue;
    std::ifstream file(entry.path() / "cmdline", std::ios::binary);
    std::ostringstream content;
    content << file.rdbuf();  // takes the error of a process that went away meanwhile for the end of its file
    const std::string words = content.str();
    const std::string program = fs::path(words.substr(0, words.find('\0'))).filename();
    if (program != "regatta" && words.find(home().string()) != std::string::npos && is_running(pid))
      pids.push_back(pid);
  }
  return pids;
}

std::vector<pid_t> pids_in_journal(const fs::path& run_dir) {
  std::vector<pid_t> pids;
  for (const auto& line : parse_journal(read_file(run_dir / "attempt-1" / "journal.jsonl")))
    if (const auto* start = std::get_if<record::Start>(&line.body))
      for (const auto& place : start->ranks) pids.push_back(static_cast<pid_t>(place.pid));
  return pids;
}

}  // namespace regatta::test
