#include "tests/support/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "common/error.hpp"

namespace fs = std::filesystem;

namespace regatta::test {

namespace {

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& changes) {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!changes.contains(text.substr(0, text.find('=')))) entries.push_back(text);
  }
  for (const auto& [name, value] : changes) entries.emplace_back(name).append("=").append(value);
  return entries;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (auto& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (fs::temp_directory_path() / "regatta-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern + ": " + errno_text(errno));
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;  // a destructor has nobody to tell
  fs::remove_all(path_, ignored);
}

fs::path TemporaryFolder::write(const std::string& name, const std::string& content) const {
  fs::path path = path_ / name;
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << content;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
  return path;
}

std::string ProcessResult::text() const {
  return "exit code " + std::to_string(exit_code) + (timed_out ? " (killed at the deadline)" : "") + "\nstdout:\n" +
         out + "\nstderr:\n" + err;
}

Process::Process(const std::vector<std::string>& argv, const ProcessOptions& options) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  const std::string out = folder_.path() / "out";
  const std::string err = folder_.path() / "err";
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (!options.folder.empty()) posix_spawn_file_actions_addchdir_np(&actions, options.folder.c_str());
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t every;  // a shell may have started the tests with SIGINT ignored
  sigfillset(&every);
  posix_spawnattr_setsigdefault(&attributes, &every);

  std::vector<std::string> arguments = argv;
  std::vector<std::string> variables = environment_with(options.environment);
  const int error = posix_spawnp(&pid_, arguments.at(0).c_str(), &actions, &attributes, pointers(arguments).data(),
                                 pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) throw std::runtime_error("cannot start " + argv[0] + ": " + errno_text(error));
}

Process::~Process() {
  ::kill(-pid_, SIGKILL);  // also what the program left behind in its group
  int status = 0;
  if (!status_) waitpid(pid_, &status, 0);
}

bool Process::running() {
  int status = 0;
  if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  return !status_;
}

void Process::signal(int number) const {
  if (!status_) ::kill(pid_, number);
}

std::string Process::out() const {
  return slurp(folder_.path() / "out");
}
std::string Process::err() const {
  return slurp(folder_.path() / "err");
}

ProcessResult Process::wait(Millis deadline) {
  ProcessResult result;
  result.timed_out = !wait_until([this] { return !running(); }, deadline);
  if (result.timed_out) {
    ::kill(-pid_, SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
    status_ = status;
  }
  if (WIFSIGNALED(*status_)) result.signal = WTERMSIG(*status_);
  result.exit_code = result.signal ? 128 + *result.signal : WEXITSTATUS(*status_);
  result.out = out();
  result.err = err();
  return result;
}

ProcessResult run(const std::vector<std::string>& argv, const ProcessOptions& options, Millis deadline) {
  return Process(argv, options).wait(deadline);
}

bool wait_until(const std::function<bool()>& condition, Millis deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return condition();
    std::this_thread::sleep_for(Millis(10));  // between two looks, not instead of one
  }
  return true;
}

bool is_running(pid_t pid) {
  const std::string stat = slurp("/proc/" + std::to_string(pid) + "/stat");
  const auto name_end = stat.rfind(')');  // the name may hold anything
  return name_end != std::string::npos && name_end + 2 < stat.size() && stat[name_end + 2] != 'Z';
}

}  // namespace regatta::test
