#include "coordinator/batch_end.hpp"

#include "common/files.hpp"
#include "coordinator/attempt_times.hpp"
#include "coordinator/exit_message.hpp"
#include "coordinator/ingest.hpp"

namespace regatta {

namespace {

/// srun's code is the highest of its ranks', of which some are killed when the first has left with a code; rank 0 has
/// written which one was meant.
int code_meant(const AttemptState& attempt, const ExitStatus& status) {
  return status.code != 0 && attempt.stop ? attempt.stop->exit_code : status.code;
}

/// Slurm no longer knows the job, but its files say that it ended in order.
bool files_tell(const RunState& run, const AttemptState& attempt, const ExitStatus& status) {
  return status.forgotten && attempt.stop && has_result(run, attempt.attempt);
}

std::string message_of(const RunState& run, const AttemptState& attempt, int code) {
  const bool in_order =
      code == static_cast<int>(ExitCode::kDone) || code == static_cast<int>(ExitCode::kStoppedOnRequest);
  if (attempt.stop && (in_order || !attempt.stop->message.empty())) return attempt.stop->message;
  return in_order ? "" : last_error(attempt_folder(run.run_dir, attempt.attempt));
}

}  // namespace

Event job_event(const RunId& run, int attempt, const Allocation& seen, Timestamp at) {
  const auto time = [](const std::optional<Timestamp>& when) { return when ? Json(to_text(*when)) : Json(nullptr); };
  return {.at = at,
          .run_id = run.value,
          .attempt = attempt,
          .source = "coordinator",
          .kind = "job",
          .body = {{"id", seen.job},
                   {"state", seen.state},
                   {"nodes", seen.nodes},
                   {"submitted_at", time(seen.submitted)},
                   {"held_from", time(seen.held_from)},
                   {"held_to", time(seen.held_to)}}};
}

Allocation known_allocation(const JobState& job) {
  return {.job = job.id,
          .state = job.state,
          .nodes = job.nodes,
          .submitted = job.submitted_at,
          .held_from = job.held_from,
          .held_to = job.held_to};
}

Event batch_end_event(const RunState& run, const AttemptState& attempt, const ExitStatus& status,
                      const std::string& killed_because, bool asked_to_stop, Timestamp at) {
  Event event{.at = at, .run_id = run.id.value, .attempt = attempt.attempt, .source = "coordinator"};
  if (!status.lost.empty() && !files_tell(run, attempt, status)) {
    event.kind = "lost";
    std::string message = killed_because.empty() ? status.lost : killed_because;
    event.body = {{"last_sign", to_text(attempt.last_line_at.value_or(*attempt.launched_at))}, {"message", message}};
  } else {
    const ExitStatus meant{.code = code_meant(attempt, status), .signal = status.signal};
    std::string reason = killed_because;
    if (reason.empty()) reason = status.why.empty() ? describe_exit(meant) : status.why;
    event.kind = "exit";
    event.body = {{"code", meant.code},
                  {"signal", value_or_null(meant.signal)},
                  {"reason", reason},
                  {"message", message_of(run, attempt, meant.code)},
                  {"asked_to_stop", asked_to_stop}};
  }
  add_times(event.body, batch_times(attempt));
  return event;
}

void give_up(const std::string& run_dir, int attempt) {
  write_file_atomically(attempt_folder(run_dir, attempt) / kGivenUp, "");
}

}  // namespace regatta
