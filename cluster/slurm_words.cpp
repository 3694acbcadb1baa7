#include "cluster/slurm_words.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <sstream>
#include <string_view>

#include "common/error.hpp"

namespace regatta {

namespace {

using Fields = std::map<std::string, std::string>;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

/// "JobId=12 JobName=a ...": keys begin a word, values may hold '='. A value with blanks (a job's name) goes on until
/// the next word with '='.
Fields fields_of(const std::string& line) {
  Fields fields;
  std::string last;
  for (const auto& word : split(line, ' ')) {
    const auto equals = word.find('=');
    const bool is_key = equals != std::string::npos && equals > 0;
    if (is_key)
      fields.emplace(last = word.substr(0, equals), word.substr(equals + 1));
    else if (!last.empty() && !word.empty())
      fields[last] += " " + word;
  }
  return fields;
}

std::string text_of(const Fields& fields, const char* key) {
  const auto found = fields.find(key);
  if (found == fields.end() || found->second == "(null)" || found->second == "None") return {};
  return found->second;
}

int number_of(const std::string& text, const char* key) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    throw IoError(std::string(key) + ": expected a number, found \"" + text + "\"");
  return value;
}

std::optional<Timestamp> time_of(const std::string& text, const char* key) {
  if (text.empty() || text == "Unknown" || text == "N/A" || text == "None") return {};
  try {
    return parse_timestamp(text + ".000000Z");
  } catch (const Error&) {
    throw IoError(std::string(key) + ": expected a time as 2026-11-22T04:35:12, found \"" + text + "\"");
  }
}

/// "75:0"
void set_exit(SlurmView& view, const std::string& text) {
  const auto colon = text.find(':');
  if (colon == std::string::npos) throw IoError("ExitCode: expected CODE:SIGNAL, found \"" + text + "\"");
  view.exit_code = number_of(text.substr(0, colon), "ExitCode");
  view.exit_signal = number_of(text.substr(colon + 1), "ExitCode");
}

/// "CANCELLED by 0" and "CANCELLED+" are CANCELLED.
std::string state_word(const std::string& text) {
  const auto end = std::find_if(text.begin(), text.end(), [](char c) { return c == ' ' || c == '+'; });
  return {text.begin(), end};
}

bool contains(const std::string& text, std::string_view words) {
  return text.find(words) != std::string::npos;
}

template <std::size_t n>
bool contains_any(const std::string& text, const std::array<std::string_view, n>& words) {
  return std::any_of(words.begin(), words.end(), [&](auto word) { return contains(text, word); });
}

}  // namespace

std::optional<SlurmView> parse_scontrol_job(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("JobId=")) continue;  // a warning before the answer
    const Fields fields = fields_of(line);
    SlurmView view{.id = text_of(fields, "JobId"),
                   .name = text_of(fields, "JobName"),
                   .state = state_word(text_of(fields, "JobState")),
                   .reason = text_of(fields, "Reason"),
                   .nodes = text_of(fields, "NodeList"),
                   .submitted = time_of(text_of(fields, "SubmitTime"), "SubmitTime"),
                   .started = time_of(text_of(fields, "StartTime"), "StartTime"),
                   .ended = time_of(text_of(fields, "EndTime"), "EndTime"),
                   .preempted = time_of(text_of(fields, "PreemptTime"), "PreemptTime")};
    if (view.state.empty()) throw IoError("JobState: expected a state, found nothing");
    if (const auto restarts = text_of(fields, "Restarts"); !restarts.empty())
      view.restarts = number_of(restarts, "Restarts");
    if (const auto exit = text_of(fields, "ExitCode"); !exit.empty()) set_exit(view, exit);
    return view;
  }
  return {};
}

std::optional<SlurmView> parse_sacct(const std::string& text) {
  std::optional<SlurmView> last;
  for (const auto& line : split(text, '\n')) {
    auto parts = split(line, '|');
    constexpr std::size_t kFields = 8;
    if (parts.size() == kFields - 1) parts.emplace_back();  // an empty last one
    if (parts.size() != kFields) continue;                  // a warning
    SlurmView view{.id = parts[0],
                   .name = parts[1],
                   .state = state_word(parts[2]),
                   .nodes = parts[7] == "None assigned" ? "" : parts[7],
                   .submitted = time_of(parts[4], "Submit"),
                   .started = time_of(parts[5], "Start"),
                   .ended = time_of(parts[6], "End")};
    set_exit(view, parts[3]);
    if (last) view.restarts = last->restarts + 1;
    last = view;
  }
  return last;
}

std::vector<SlurmListed> parse_squeue(const std::string& text) {
  std::vector<SlurmListed> jobs;
  for (const auto& line : split(text, '\n')) {
    const auto parts = split(line, '|');
    if (parts.size() >= 3) jobs.push_back({parts[0], parts[1], parts[2]});
  }
  return jobs;
}

std::optional<std::string> parse_sbatch(const std::string& text) {
  std::optional<std::string> id;
  for (const auto& line : split(text, '\n')) {
    const std::string number = line.substr(0, line.find(';'));  // "12;cluster"
    if (!number.empty() && std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; }))
      id = number;
  }
  return id;
}

bool is_over(const SlurmView& view) {
  constexpr std::array<std::string_view, 10> kEnds{"COMPLETED", "FAILED",    "CANCELLED",     "TIMEOUT",  "NODE_FAIL",
                                                   "PREEMPTED", "BOOT_FAIL", "OUT_OF_MEMORY", "DEADLINE", "REVOKED"};
  return std::find(kEnds.begin(), kEnds.end(), view.state) != kEnds.end();
}

bool holds_nodes(const SlurmView& view) {
  constexpr std::array<std::string_view, 6> kWaits{"PENDING",     "REQUEUED",     "REQUEUE_HOLD",
                                                   "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"};
  return !is_over(view) && std::find(kWaits.begin(), kWaits.end(), view.state) == kWaits.end();
}

bool is_refusal(const std::string& said) {
  // What Slurm says when it could not be asked, or could not answer: it may have taken the job all the same.
  constexpr std::array<std::string_view, 8> kNoAnswer{"Unable to contact slurm controller",
                                                      "Socket timed out",
                                                      "Zero Bytes were transmitted",
                                                      "Connection refused",
                                                      "Connection reset",
                                                      "Connection timed out",
                                                      "slurm_receive_msg",
                                                      "controller not responding"};
  constexpr std::array<std::string_view, 2> kLater{"Resource temporarily unavailable", "Slurm temporarily unable"};
  return !contains_any(said, kNoAnswer) && !contains_any(said, kLater);
}

bool is_unknown_job(const std::string& said) {
  return contains(said, "Invalid job id specified");
}

std::string slurm_error_words(const std::string& said) {
  std::vector<std::string> lines;
  for (auto line : split(said, '\n')) {
    for (const std::string_view prefix :
         {"sbatch: ", "scontrol: ", "squeue: ", "srun: ", "slurm_load_jobs ", "error: "})
      if (line.starts_with(prefix)) line = line.substr(prefix.size());
    if (!line.empty() && std::find(lines.begin(), lines.end(), line) == lines.end()) lines.push_back(line);
  }
  std::string words;
  for (const auto& line : lines) words += (words.empty() ? "" : "; ") + line;
  return words;
}

std::string slurm_ending(const SlurmView& view) {
  if (view.preempted || view.state == "PREEMPTED") return "Slurm: preempted by a job of higher priority";
  if (view.state == "TIMEOUT") return "Slurm: the time limit";
  if (view.state == "CANCELLED") return view.nodes.empty() ? kCancelledInQueue : "Slurm: cancelled (scancel)";
  if (view.state == "NODE_FAIL") return "Slurm: a node failed";
  if (view.state == "BOOT_FAIL") return "Slurm: a node did not boot";
  if (view.state == "OUT_OF_MEMORY") return "Slurm: out of the job's memory";
  if (view.state == "DEADLINE") return "Slurm: the job's deadline";
  return {};
}

std::string first_srun_error(const std::string& log) {
  // "srun: error: n3: task 2: Killed"
  constexpr std::string_view kError = "srun: error: ", kTask = ": task ";
  for (const auto& line : split(log, '\n')) {
    const auto task = line.find(kTask);
    if (!line.starts_with(kError) || task == std::string::npos) continue;
    const std::string host = line.substr(kError.size(), task - kError.size());
    const std::string rest = line.substr(task + kTask.size());
    const auto colon = rest.find(": ");
    if (colon == std::string::npos) continue;
    return "rank " + rest.substr(0, colon) + " on " + host + ": " + rest.substr(colon + 2);
  }
  return {};
}

}  // namespace regatta
