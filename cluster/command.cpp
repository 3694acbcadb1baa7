#include "cluster/command.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "common/error.hpp"
#include "common/files.hpp"

namespace regatta {

namespace {

constexpr std::size_t kMostOutput = 4 << 20;

std::string path_of_descriptor(int descriptor) {
  return "/proc/self/fd/" + std::to_string(descriptor);
}

}  // namespace

Command::Command(const std::vector<std::string>& argv, const std::vector<std::string>& environment, Duration deadline)
    : output_(::memfd_create("regatta-command", MFD_CLOEXEC)), deadline_(std::chrono::steady_clock::now() + deadline) {
  if (output_ < 0) throw LaunchError("cannot make a file in memory: " + errno_text(errno));
  try {
    process_ = std::make_unique<LocalProcess>(argv, environment, path_of_descriptor(output_));
  } catch (...) {
    ::close(output_);
    throw;
  }
}

Command::~Command() {
  process_.reset();
  ::close(output_);
}

std::optional<CommandResult> Command::poll() {
  const bool late = std::chrono::steady_clock::now() > deadline_;
  auto status = process_->poll();
  const bool timed_out = !status && late;
  if (timed_out) {
    process_->kill();
    status = process_->poll();
  }
  if (!status) return {};
  std::string text(kMostOutput, '\0');
  const ssize_t got = ::pread(output_, text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return CommandResult{.code = status->code, .timed_out = timed_out, .text = std::move(text)};
}

CommandResult Command::wait() {
  for (;;) {
    if (auto result = poll()) return *std::move(result);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace regatta
