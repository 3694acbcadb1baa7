#include "coordinator/ingest.hpp"

#include <fmt/format.h>

#include "cluster/slurm_words.hpp"
#include "common/files.hpp"
#include "coordinator/run_bill.hpp"

namespace regatta {

namespace {

namespace fs = std::filesystem;

struct Result {
  Json body = nullptr;  ///< null: not there, or `trouble`
  std::string trouble;
};

/// result.json is written last and whole (temporary, rename), so half of one is damage, and another attempt's is old.
Result read_result(const RunState& run, int attempt) {
  const fs::path file = fs::path(run.run_dir) / "result.json";
  const auto expect = [&](const char* key, const auto& expected, const auto& found) {
    if (found != expected)
      throw IoError(fmt::format("{}: {}: expected {}, found {}", file.string(), key, expected, found));
  };
  try {
    Json body = parse_json(read_file(file), file.string());
    expect("run_id", run.id.value, json_get<std::string>(body, "run_id"));
    expect("attempt", attempt, json_get<int>(body, "attempt"));
    return {.body = std::move(body)};
  } catch (const IoError& error) {
    return {.trouble = error.what()};
  }
}

struct Ending {
  RunStatus status = RunStatus::kFailed;
  std::string reason;
  Json result = nullptr;
};

std::string joined(const std::string& reason, const std::string& message) {
  return reason.empty() || message.empty() ? reason + message : reason + ": " + message;
}

Ending ending_of(const RunState& run) {
  if (run.attempts.empty()) return {RunStatus::kCancelled, "never launched"};
  const AttemptState& last = run.attempts.back();
  if (last.lost) return {RunStatus::kLost, last.exit_message};
  if (last.exit_reason == kCancelledInQueue && !last.asked_to_stop) return {RunStatus::kCancelled, last.exit_reason};
  const int code = last.exit_code.value_or(static_cast<int>(ExitCode::kFailure));
  // By us (vitals.cpp) or by the batch system, and that is why it stopped.
  const bool killed = last.exit_reason.starts_with("killed: ") || last.exit_reason.starts_with("Slurm: ");
  const std::string normal = last.stop && !killed ? last.stop->reason : last.exit_reason;
  Result result = read_result(run, last.attempt);
  if (code == static_cast<int>(ExitCode::kStoppedOnRequest))
    return {RunStatus::kStopped, normal, std::move(result.body)};
  if (code != static_cast<int>(ExitCode::kDone) && last.asked_to_stop)
    return {RunStatus::kStopped, last.exit_reason, std::move(result.body)};
  if (code != static_cast<int>(ExitCode::kDone))
    return {RunStatus::kFailed, joined(last.exit_reason, last.exit_message)};
  if (!result.trouble.empty()) return {RunStatus::kFailed, "exit code 0, but " + result.trouble};
  return {RunStatus::kDone, normal, std::move(result.body)};
}

}  // namespace

fs::path attempt_folder(const fs::path& run_dir, int attempt) {
  return run_dir / ("attempt-" + std::to_string(attempt));
}

Event run_event(const Plan& plan, const fs::path& run_dir, int order, Timestamp at) {
  const Placement& place = plan.placement;
  Json body = {{"comparison_id", plan.comparison ? Json(plan.comparison->value) : Json(nullptr)},
               {"configuration", place.configuration},
               {"repeat", plan.repeat},
               {"order", order},
               {"run_dir", run_dir.string()},
               {"pool", place.pool},
               {"backend", to_text(place.backend)},
               {"nodes", place.nodes},
               {"ranks", place.ranks},
               {"threads", place.threads},
               {"cpu_ranks", place.cpu_ranks},
               {"cores_per_node", place.cores_per_node},
               {"gpus_per_node", place.gpus_per_node},
               {"contended", place.contended},
               {"price", plan.price ? to_json(*plan.price) : Json(nullptr)},
               {"training", to_json(plan.training)},
               {"dataset_key", plan.dataset.key},
               {"test_count", plan.dataset.test_count},
               {"choice", plan.choice ? to_json(*plan.choice) : Json(nullptr)}};
  return {.at = at,
          .run_id = plan.run.value,
          .source = "coordinator",
          .source_seq = 1,
          .kind = "run",
          .body = std::move(body)};
}

std::vector<Event> journal_events(const fs::path& attempt_dir, const RunId& run, int attempt, std::int64_t after) {
  const fs::path file = attempt_dir / "journal.jsonl";
  if (!fs::exists(file)) return {};
  const std::string text = read_file(file);
  std::vector<Event> events;
  try {
    std::size_t begin = 0;
    std::int64_t expected = 1;
    for (const auto& line : parse_journal(text)) {
      const std::size_t end = text.find('\n', begin);
      const std::string where = "journal line " + std::to_string(expected);
      if (line.seq != expected)
        throw IoError(where + ": seq: expected the line's number, found " + std::to_string(line.seq));
      if (line.run_id != run || line.attempt != attempt)
        throw IoError(where + ": expected run " + run.value + " attempt " + std::to_string(attempt) + ", found run " +
                      line.run_id.value + " attempt " + std::to_string(line.attempt));
      if (line.seq > after)
        events.push_back({.at = line.at,
                          .run_id = run.value,
                          .attempt = attempt,
                          .source = "journal",
                          .source_seq = line.seq,
                          .kind = "journal",
                          .body = parse_json(text.substr(begin, end - begin), where)});  // with keys we do not know
      begin = end + 1;
      ++expected;
    }
  } catch (const IoError& error) {
    throw IoError(file.string() + ": " + error.what());
  }
  return events;
}

bool has_result(const RunState& run, int attempt) {
  return read_result(run, attempt).trouble.empty();
}

bool finished_in_order(const RunState& run, const AttemptState& attempt) {
  return attempt.stop && attempt.stop->exit_code == static_cast<int>(ExitCode::kDone) &&
         read_result(run, attempt.attempt).trouble.empty();
}

Event end_event(const RunState& run, Timestamp at) {
  const Ending ending = ending_of(run);
  return {.at = at,
          .run_id = run.id.value,
          .source = "coordinator",
          .kind = "end",
          .body = {{"status", to_text(ending.status)},
                   {"reason", ending.reason},
                   {"result", ending.result},
                   {"bill", run.price ? to_json(run_bill(run, *run.price)) : Json(nullptr)}}};
}

Event refused_event(const RunId& run, const std::string& why, Timestamp at) {
  return {.at = at,
          .run_id = run.value,
          .source = "coordinator",
          .kind = "end",
          .body = {{"status", to_text(RunStatus::kRefused)}, {"reason", why}, {"result", nullptr}, {"bill", nullptr}}};
}

}  // namespace regatta
