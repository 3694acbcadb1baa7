// Every event gets a fixed source_seq, so two imports at once, or the same one again, leave one copy.
//
// Nobody saw the launch. It is counted from the process start that the journal tells: the start line's time less its
// startup_s. From there on, wall stamps of one clock: rank 0's.

#include "coordinator/import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

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

// Heartbeats are at most 10 s apart where a step is shorter; a journal of another host that rested for six of them has
// no writer.
constexpr Duration kQuiet = std::chrono::seconds(60);

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

/// How long a journal may rest while its ranks on other hosts live. Steps and evaluations of minutes rest it as long,
/// and so may a wait for a rank.
Duration quiet_limit(const Plan& plan, const std::vector<Event>& lines) {
  Duration longest{0};
  for (std::size_t i = 1; i < lines.size(); ++i) longest = std::max<Duration>(longest, lines[i].at - lines[i - 1].at);
  return std::max({kQuiet, 6 * longest, 3 * from_seconds(plan.training.train.deadline_s.value_or(0))});
}

/// When the journal was last written: as its last line says, and no later than its file does (the clock of rank 0's
/// host may be ahead).
Timestamp last_write(const AttemptState& attempt, const fs::path& journal) {
  std::error_code unknown;
  const auto changed = fs::last_write_time(journal, unknown);
  if (unknown) return *attempt.last_line_at;
  const auto on_file = std::chrono::file_clock::to_sys(changed);
  return std::min(*attempt.last_line_at, std::chrono::time_point_cast<Timestamp::duration>(on_file));
}

/// A rank of the start line that still lives here, or whose host cannot be asked and whose journal is fresh.
struct Writer {
  std::string name;                ///< "rank 1 on n2"
  std::optional<Timestamp> until;  ///< it counts as living; nothing: while its process is there
};
std::optional<Writer> writer_of(const AttemptState& attempt, Timestamp written, Duration quiet, Timestamp now) {
  if (!attempt.start) return {};
  const Timestamp until = written + std::chrono::ceil<std::chrono::seconds>(quiet);
  std::optional<Writer> elsewhere;
  for (const auto& rank : attempt.start->ranks) {
    if (rank.host == host_name()) {
      const auto since = started_at(rank.pid);
      if (since && *since <= *attempt.started_at + std::chrono::seconds(1))  // else: a later process with the same id
        return Writer{fmt::format("rank {} (process {} here)", rank.rank, rank.pid), {}};
    } else if (!elsewhere && !attempt.stop && now < until) {
      elsewhere = Writer{fmt::format("rank {} on {}", rank.rank, rank.host), until};
    }
  }
  return elsewhere;
}

/// What to do about a run that has a writer.
std::string advice(const Writer& writer, Timestamp written, Timestamp now) {
  if (!writer.until) return "import it when it has ended; if it hangs, end that process";
  const double rested_s = std::max(0.0, seconds(now - written));
  const double left_s = std::max(0.0, seconds(*writer.until - now));
  return fmt::format(
      "its journal rests for {:.0f} s, and its host cannot be asked; without another line it counts as "
      "lost in {:.0f} s, at {}: import it then",
      rested_s, std::ceil(left_s), to_text(*writer.until).substr(0, 19) + "Z");
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
                            {"message", "its ranks ended without a stop line: killed, or their host is lost"}});
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
    const auto plan = std::ranges::find(plans_, attempt.attempt, &Plan::attempt);
    const Duration quiet = quiet_limit(*plan, lines);
    const Timestamp now = wall_now();
    const Timestamp written = last_write(attempt, attempt_folder(run_dir_, attempt.attempt) / "journal.jsonl");
    const auto writer = writer_of(attempt, written, quiet, now);
    if (writer && !finished_in_order(state(), attempt))
      throw DataError(run_dir_.string() + ": this run " + (writer->until ? "may still be" : "is still being") +
                      " written by " + writer->name + "\n  " + advice(*writer, written, now));
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
