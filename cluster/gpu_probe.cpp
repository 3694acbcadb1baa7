#include "cluster/gpu_probe.hpp"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "cluster/launcher.hpp"
#include "cluster/scratch.hpp"
#include "common/files.hpp"

namespace regatta {

namespace {

constexpr auto kAnswerDeadline = std::chrono::minutes(1);  // a driver that wakes eight GPUs takes some ten seconds
constexpr auto kAnswerLook = std::chrono::milliseconds(10);

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
    const Scratch scratch("regatta-gpus");
    const fs::path answer = scratch.path() / "answer";
    LocalProcess process({worker.string(), "--gpus"}, answer);
    const auto deadline = std::chrono::steady_clock::now() + kAnswerDeadline;
    std::optional<ExitStatus> ended;
    while (!(ended = process.poll()) && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(kAnswerLook);
    if (!ended) return {.trouble = question + " gave no answer within a minute"};
    if (ended->code != 0)
      return {.trouble = fmt::format("{}: {}\n  {}", question, describe_exit(*ended), read_file(answer))};
    return read_answer(read_file(answer));
  } catch (const Error& error) {
    return {.trouble = question + ": " + error.what()};
  }
}

}  // namespace regatta
