// fork and exec by hand, because posix_spawn and Boost.Process cannot set the death signal (see D-06). Other threads
// may hold locks at the fork, so the child calls only async-signal-safe functions: all memory is prepared before. A
// failed exec travels back as errno through a close-on-exec pipe; its end of file means that the program runs.
#include "cluster/spawn.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "common/error.hpp"

namespace regatta {

namespace {

constexpr int kFirstOther = STDERR_FILENO + 1;

/// Closes on destruction.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }
  void close() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_;
};

/// Above the standard three, so that the child's dup2 never finds source and target equal.
int lifted(int descriptor) {
  if (descriptor < 0 || descriptor >= kFirstOther) return descriptor;
  const int higher = ::fcntl(descriptor, F_DUPFD_CLOEXEC, kFirstOther);
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return higher;
}

int open_checked(const char* path, int flags) {
  const int descriptor = lifted(::open(path, flags | O_CLOEXEC, 0644));
  if (descriptor < 0) throw LaunchError(std::string("cannot open ") + path + ": " + errno_text(errno));
  return descriptor;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (const auto& text : texts)
    result.push_back(const_cast<char*>(text.c_str()));  // exec's old signature; not written to
  result.push_back(nullptr);
  return result;
}

struct Prepared {
  char* const* argv;
  char* const* environment;
  int input, log, errors;
  long descriptor_limit;
  pid_t parent;
};

/// Everything else is closed at exec. close_range with this flag is Linux 5.11.
void close_at_exec(long limit) {
  if (::close_range(kFirstOther, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  for (int descriptor = kFirstOther; descriptor < limit; ++descriptor) ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

/// Runs in the child; async-signal-safe calls only.
[[noreturn]] void become(const Prepared& prepared) {
  ::setsid();
  // Linux sends it once for each thread of the parent. mpirun takes a second SIGTERM within 5 s for impatience and
  // leaves without its ranks; a worker ends with its launcher by itself, so that nobody stays.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != prepared.parent) ::_exit(128 + SIGTERM);  // it died before the line above
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  ::dup2(prepared.input, STDIN_FILENO);
  ::dup2(prepared.log, STDOUT_FILENO);
  ::dup2(prepared.log, STDERR_FILENO);
  close_at_exec(prepared.descriptor_limit);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execvpe(prepared.argv[0], prepared.argv, prepared.environment);
  const int error = errno;
  // If even this fails, the parent reads end of file and then sees exit code 127.
  [[maybe_unused]] const ssize_t written = ::write(prepared.errors, &error, sizeof error);
  ::_exit(127);
}

/// Signals wait until the child has put its handlers back; a handler of ours must not run in it.
pid_t fork_into(const Prepared& prepared) {
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t child = ::fork();
  if (child == 0) become(prepared);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return child;
}

/// errno of the failed exec, or 0.
int read_error(int pipe) {
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(pipe, &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  return got == sizeof error ? error : 0;
}

std::string advice(const std::string& program, int error) {
  if (error != ENOENT) return "";
  if (program == "mpirun") return "; install Open MPI (Debian: openmpi-bin), or use one rank";
  return program.find('/') == std::string::npos ? "; is it in PATH?" : "; is it built?";
}

}  // namespace

pid_t spawn(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
            const std::filesystem::path& log, const std::filesystem::path& input_file) {
  REGATTA_ENSURE(!argv.empty() && !argv.front().empty(), "a launch needs a program");
  const Descriptor input(open_checked(input_file.c_str(), O_RDONLY));
  const Descriptor output(open_checked(log.c_str(), O_WRONLY | O_CREAT | O_APPEND));
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw LaunchError("cannot make a pipe: " + errno_text(errno));
  const Descriptor from_child(lifted(ends[0]));
  Descriptor to_parent(lifted(ends[1]));

  const auto arguments = pointers(argv);
  const auto variables = pointers(environment);
  constexpr long kMostDescriptors = 65536;  // for kernels without close_range only
  const Prepared prepared{.argv = arguments.data(),
                          .environment = variables.data(),
                          .input = input.number(),
                          .log = output.number(),
                          .errors = to_parent.number(),
                          .descriptor_limit = std::min(::sysconf(_SC_OPEN_MAX), kMostDescriptors),
                          .parent = ::getpid()};
  const pid_t child = fork_into(prepared);
  if (child < 0) throw LaunchError("cannot start " + argv[0] + ": fork: " + errno_text(errno));
  to_parent.close();
  if (const int error = read_error(from_child.number()); error != 0) {
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    throw LaunchError("cannot start " + argv[0] + ": " + errno_text(error) + advice(argv[0], error));
  }
  return child;
}

}  // namespace regatta
