#include "cluster/gpu_probe.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "cluster/launcher.hpp"
#include "common/files.hpp"

namespace regatta {

namespace {

constexpr auto kAnswerDeadline = std::chrono::minutes(1);  // a driver that wakes eight GPUs takes some ten seconds
constexpr auto kAnswerLook = std::chrono::milliseconds(10);

/// A file under the folder for temporary files, gone with this object.
class ScratchFile {
 public:
  ScratchFile() {
    std::string name = (fs::temp_directory_path() / "regatta-gpus-XXXXXX").string();
    const int descriptor = ::mkstemp(name.data());
    if (descriptor < 0) throw IoError(name + ": " + errno_text(errno));
    ::close(descriptor);
    path_ = name;
  }
  ~ScratchFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// The line that is the answer; libraries may have said something before it.
GpuReport read_answer(const std::string& said) {
  const auto begin = said.rfind("\n{") == std::string::npos ? said.find('{') : said.rfind("\n{") + 1;
  if (begin == std::string::npos) throw IoError(said.empty() ? "it said nothing" : "it said: " + said);
  return gpu_report_from_json(parse_json(said.substr(begin), "its answer"));
}

}  // namespace

GpuReport ask_for_gpus(const fs::path& worker) {
  const std::string question = worker.string() + " --gpus";
  try {
    const ScratchFile answer;
    LocalProcess process({worker.string(), "--gpus"}, answer.path());
    const auto deadline = std::chrono::steady_clock::now() + kAnswerDeadline;
    std::optional<ExitStatus> ended;
    while (!(ended = process.poll()) && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(kAnswerLook);
    if (!ended) return {.trouble = question + " gave no answer within a minute"};
    if (ended->code != 0)
      return {.trouble = fmt::format("{}: {}\n  {}", question, describe_exit(*ended), read_file(answer.path()))};
    return read_answer(read_file(answer.path()));
  } catch (const Error& error) {
    return {.trouble = question + ": " + error.what()};
  }
}

}  // namespace regatta
