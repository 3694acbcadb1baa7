#include "coordinator/process_table.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <sstream>
#include <thread>

#include "common/error.hpp"
#include "common/files.hpp"

namespace regatta {

namespace {

/// A file of /proc; empty when the process is gone.
std::string proc_file(const std::string& path) {
  try {
    return read_file(path);
  } catch (const IoError&) {
    return {};
  }
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::vector<std::string> arguments_of(const std::string& pid) {
  std::vector<std::string> arguments;
  std::istringstream text(proc_file("/proc/" + pid + "/cmdline"));
  for (std::string argument; std::getline(text, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

bool names_run(const std::vector<std::string>& arguments, const std::string& run_dir) {
  const std::array<std::string, 2> option = {"--run-dir", run_dir};
  return std::search(arguments.begin(), arguments.end(), option.begin(), option.end()) != arguments.end();
}

bool gone_before(const std::string& run_dir, std::chrono::steady_clock::time_point deadline) {
  while (!processes_of_run(run_dir).empty()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace

std::string boot_id() {
  std::string id = read_file("/proc/sys/kernel/random/boot_id");
  id.erase(id.find_last_not_of('\n') + 1);
  return id;
}

std::optional<std::int64_t> start_time_of(std::int64_t pid) {
  const std::string stat = proc_file("/proc/" + std::to_string(pid) + "/stat");
  const auto name_end = stat.rfind(')');  // field 2 is the program's name and may hold anything, also spaces
  if (name_end == std::string::npos) return {};
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  fields >> field;  // 3: state
  if (field == "Z" || field == "X") return {};
  for (int f = 4; f <= 22; ++f) fields >> field;
  return number(field);
}

std::optional<Timestamp> started_at(std::int64_t pid) {
  const auto ticks = start_time_of(pid);
  std::istringstream stat(proc_file("/proc/stat"));
  for (std::string line; ticks && std::getline(stat, line);) {
    if (!line.starts_with("btime ")) continue;
    const auto boot = number(std::string_view(line).substr(6));
    if (!boot) return {};
    return Timestamp(std::chrono::seconds(*boot) + std::chrono::seconds(*ticks / ::sysconf(_SC_CLK_TCK)));
  }
  return {};
}

std::vector<std::int64_t> processes_of_run(const std::string& run_dir) {
  std::vector<std::int64_t> found;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", gone)) {
    const std::string name = entry.path().filename();
    const auto pid = number(name);
    if (pid && *pid != ::getpid() && names_run(arguments_of(name), run_dir) && start_time_of(*pid))
      found.push_back(*pid);
  }
  return found;
}

bool wait_for_end_of_run(const std::string& run_dir, std::chrono::milliseconds patience) {
  if (gone_before(run_dir, std::chrono::steady_clock::now() + patience)) return true;
  for (const auto pid : processes_of_run(run_dir)) ::kill(static_cast<pid_t>(pid), SIGKILL);
  return gone_before(run_dir, std::chrono::steady_clock::now() + std::chrono::seconds(2));
}

}  // namespace regatta
