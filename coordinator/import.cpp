// Every event gets a fixed source_seq, so two imports at once, or the same one again, leave one copy.
//
// Nobody saw the launch. It is counted from the process start that the journal tells: the start line's time less its
// startup_s. From there on, wall stamps of one clock: rank 0's.

#include "coordinator/import.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/launcher.hpp"
#include "common/files.hpp"
#include "coordinator/import_rules.hpp"
#include "coordinator/ingest.hpp"
#include "coordinator/ownership.hpp"
#include "coordinator/process_table.hpp"
#include "jobs/spec_reader.hpp"

namespace regatta {

namespace {

namespace fs = std::filesystem;

// Heartbeats are at most 10 s apart; a journal of another host that rested for six of them has no writer.
constexpr auto kQuiet = std::chrono::seconds(60);

Plan read_plan(const fs::path& file) {
  std::string where;
  try {
    const Json json = parse_json(read_file(file), file.string());
    where = file.string() + ": ";
    Plan plan = plan_from_json(json);
    check_imported_plan(plan);
    return plan;
  } catch (const IoError& error) {
    throw DataError(where + error.what());
  }
}

std::vector<Plan> read_plans(const fs::path& run_dir) {
  std::vector<Plan> plans;
  for (int attempt = 1; fs::is_directory(attempt_folder(run_dir, attempt)); ++attempt) {
    const fs::path file = attempt_folder(run_dir, attempt) / "plan.json";
    plans.push_back(read_plan(file));
    if (plans.back().run != plans.front().run || plans.back().attempt != attempt)
      throw DataError(file.string() + ": expected attempt " + std::to_string(attempt) + " of run " +
                      plans.front().run.value + ", found attempt " + std::to_string(plans.back().attempt) + " of run " +
                      plans.back().run.value);
  }
  if (plans.empty())
    throw DataError(run_dir.string() + ": this is no run: it has no folder attempt-1\n" +
                    "  name the folder of one run, such as ~/.regatta/runs/ID or a worker's --run-dir");
  return plans;
}

/// The row's place in the job file beside the run; 0 when that cannot be told.
int order_of(const fs::path& run_dir, const std::string& configuration) {
  try {
    const auto rows = read_job_file(run_dir / "job.yaml").configurations;
    const auto at = std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.name == configuration; });
    return at == rows.end() ? 0 : static_cast<int>(at - rows.begin());
  } catch (const Error&) {
    return 0;
  }
}

/// A rank of the start line that still lives here, or whose host cannot be asked and whose journal is fresh.
std::optional<std::string> writer_of(const AttemptState& attempt, Timestamp now) {
  if (!attempt.start) return {};
  for (const auto& rank : attempt.start->ranks) {
    if (rank.host == host_name()) {
      const auto since = started_at(rank.pid);
      if (since && *since <= *attempt.started_at + std::chrono::seconds(1))  // else: a later process with the same id
        return fmt::format("rank {} (process {})", rank.rank, rank.pid);
    } else if (!attempt.stop && now - *attempt.last_line_at < kQuiet) {
      return fmt::format("rank {} on {}", rank.rank, rank.host);
    }
  }
  return {};
}

Event coordinator_event(const RunId& run, int attempt, std::int64_t seq, const char* kind, Timestamp at, Json body) {
  return {.at = at,
          .run_id = run.value,
          .attempt = attempt,
          .source = "coordinator",
          .source_seq = seq,
          .kind = kind,
          .body = std::move(body)};
}

Event ending_of(const RunId& run, const AttemptState& attempt) {
  const double startup_s = attempt.start->startup_s;
  const Timestamp last = std::max(*attempt.last_line_at, *attempt.started_at);
  const double held_s = startup_s + seconds(last - *attempt.started_at);
  if (attempt.stop)
    return coordinator_event(run, attempt.attempt, 2, "exit", last,
                             {{"code", attempt.stop->exit_code},
                              {"signal", nullptr},
                              {"reason", describe_exit({.code = attempt.stop->exit_code})},
                              {"message", attempt.stop->message},
                              {"held_s", held_s},
                              {"startup_s", startup_s}});
  return coordinator_event(run, attempt.attempt, 2, "lost", last,
                           {{"last_sign", to_text(last)},
                            {"held_s", held_s},
                            {"startup_s", startup_s},
                            {"message", "its ranks ended without a stop line"}});
}

/// Reads one run's files; `add` appends to the events and folds them at once.
class Import {
 public:
  Import(fs::path run_dir, const std::optional<Price>& price)
      : run_dir_(std::move(run_dir)), plans_(read_plans(run_dir_)) {
    for (const auto& plan : plans_) read_journal(plan);
    if (journals_.empty())
      throw DataError(run_dir_.string() +
                      ": nothing to import: no journal tells of a start\n  see the rank-*.log files there");
    add_run(price);
    for (const auto& lines : journals_) add_attempt(lines);
    const Timestamp ended = events_.back().at;
    Event end = end_event(state(), ended);
    end.source_seq = 3;
    add(std::move(end));
  }

  const std::vector<Event>& events() const { return events_; }

 private:
  const RunState& state() const { return state_.runs.at(plans_.front().run.value); }

  void add(Event event) {
    apply(state_, event);
    events_.push_back(std::move(event));
  }

  void read_journal(const Plan& plan) {
    const fs::path folder = attempt_folder(run_dir_, plan.attempt);
    std::string where;
    try {
      auto events = journal_events(folder, plan.run, plan.attempt, 0);
      if (events.empty() || events.front().body.at("type") != "start") return;
      where = (folder / "journal.jsonl").string() + ", ";
      std::vector<JournalLine> lines;
      lines.reserve(events.size());
      for (const auto& event : events) lines.push_back(journal_line_from_json(event.body));
      check_imported_journal(plan, lines, epochs_);
      epochs_ += complete_epochs(lines);
      journals_.push_back(std::move(events));
    } catch (const IoError& error) {
      throw DataError(where + error.what() + "\n  nothing was recorded");
    }
  }

  Timestamp process_start(const std::vector<Event>& lines) const {
    const double startup_s = json_get<double>(lines.front().body, "startup_s");
    return lines.front().at - std::chrono::duration_cast<std::chrono::microseconds>(from_seconds(startup_s));
  }

  void add_run(const std::optional<Price>& price) {
    const Plan& plan = plans_.front();
    const Timestamp at = process_start(journals_.front());
    add(run_event(plan, run_dir_, order_of(run_dir_, plan.placement.configuration), at));
    if (!plan.price && price) add(coordinator_event(plan.run, 0, 2, "price", at, {{"price", to_json(*price)}}));
  }

  void add_attempt(const std::vector<Event>& lines) {
    const Timestamp launched = process_start(lines);
    add(coordinator_event(plans_.front().run, lines.front().attempt, 1, "launch", launched,
                          {{"argv", Json::array()}, {"at", to_text(launched)}}));
    for (const auto& line : lines) add(line);
    const AttemptState& attempt = state().attempts.back();
    if (const auto writer = writer_of(attempt, wall_now()); writer && !finished_in_order(state(), attempt))
      throw DataError(run_dir_.string() + ": this run is still being written by " + *writer +
                      "\n  import it when it has ended");
    add(ending_of(state().id, attempt));
  }

  fs::path run_dir_;
  std::vector<Plan> plans_;
  std::vector<std::vector<Event>> journals_;  ///< of the attempts that started
  int epochs_ = 0;                            ///< complete ones in them
  State state_;
  std::vector<Event> events_;
};

fs::path checked_folder(const fs::path& run_dir) {
  std::error_code error;
  fs::path folder = fs::canonical(run_dir, error);
  if (error) throw DataError(run_dir.string() + ": cannot open the run's folder: " + error.message());
  return folder;
}

}  // namespace

Plan plan_of_run(const fs::path& run_dir) {
  return read_plans(checked_folder(run_dir)).front();
}

Imported import_run(Ledger& ledger, const fs::path& run_dir, const std::optional<Price>& price) {
  const fs::path folder = checked_folder(run_dir);
  const RunId id = read_plans(folder).front().run;
  const State state = load_state(ledger);
  if (const auto known = state.runs.find(id.value); known != state.runs.end()) {
    if (!is_final(known->second.status))
      throw DataError(folder.string() + ": `regatta run` is recording this run now\n  see `regatta show " + id.value +
                      "`");
    return {.run = id, .is_new = false};
  }
  const Import import(folder, price);
  return {.run = id, .is_new = ledger.append(import.events()) > 0};
}

}  // namespace regatta
