// The fold. LEDGER.md says what each kind does to the state; `kKinds` below is the same table as code.

#include "coordinator/state.hpp"

#include <algorithm>
#include <tuple>

#include "common/enum_text.hpp"

namespace regatta {

namespace {

constexpr EnumText<RunStatus, 8> kStatusText{{{{RunStatus::kWaiting, "waiting"},
                                               {RunStatus::kRunning, "running"},
                                               {RunStatus::kDone, "done"},
                                               {RunStatus::kStopped, "stopped"},
                                               {RunStatus::kFailed, "failed"},
                                               {RunStatus::kLost, "lost"},
                                               {RunStatus::kCancelled, "cancelled"},
                                               {RunStatus::kRefused, "refused"}}}};

RunState& run_of(State& state, const Event& event) {
  const auto found = state.runs.find(event.run_id);
  if (found == state.runs.end()) throw IoError("run " + event.run_id + " is not known yet");
  return found->second;
}

/// Made by the attempt's first event, whichever it is: attempts stay in order, and none is there without an event.
AttemptState& attempt_of(State& state, const Event& event) {
  auto& attempts = run_of(state, event).attempts;
  if (event.attempt < 1) throw IoError("attempt: expected 1 or more, found " + std::to_string(event.attempt));
  const auto at = std::find_if(attempts.begin(), attempts.end(),
                               [&](const AttemptState& known) { return known.attempt >= event.attempt; });
  if (at != attempts.end() && at->attempt == event.attempt) return *at;
  return *attempts.insert(at, AttemptState{.attempt = event.attempt});
}

// Files with seconds and prices that cannot be are refused today. An older ledger may have some, and it has to open all
// the same: what is out of range counts as the end of the range.

void tame_seconds(Json& body) {
  for (auto& [key, value] : body.items()) {
    if (key == "seconds" && value.is_object())
      for (auto& phase : value) phase = seconds(counted_time(phase.is_number() ? phase.get<double>() : 0));
    else if (key.ends_with("_s") && key != "samples_per_s" && value.is_number())
      value = seconds(counted_time(value.get<double>()));
  }
}

JournalLine recorded_line(const Json& body) {
  try {
    return journal_line_from_json(body);
  } catch (const IoError&) {
    Json tamed = body;
    if (tamed.is_object()) tame_seconds(tamed);
    return journal_line_from_json(tamed);
  }
}

Price recorded_price(Json json) {
  const NanoUsd stated = json_usd(json, "usd_per_node_hour");
  json["usd_per_node_hour"] = to_decimal(std::clamp(stated, NanoUsd{}, kMostUsdPerNodeHour));
  return price_from_json(json);
}

template <class T>
std::optional<Id<T>> maybe_id(const Json& body, const char* key) {
  const auto text = json_maybe<std::string>(body, key);
  return text ? std::optional(Id<T>{*text}) : std::nullopt;
}

std::optional<Price> maybe_price(const Json& body) {
  const Json& price = json_at(body, "price");
  return price.is_null() ? std::nullopt : std::optional(recorded_price(price));
}

std::optional<Timestamp> maybe_time(const Json& body, const char* key) {
  const auto text = json_maybe<std::string>(body, key);
  return text ? std::optional(parse_timestamp(*text)) : std::nullopt;
}

void apply_comparison(State& state, const Event& event) {
  ComparisonState comparison{.id = ComparisonId{json_get<std::string>(event.body, "comparison_id")},
                             .job_id = json_get<std::string>(event.body, "job_id"),
                             .job_name = json_get<std::string>(event.body, "job_name"),
                             .job_text = json_get<std::string>(event.body, "job_text"),
                             .cluster = json_maybe<std::string>(event.body, "cluster"),
                             .argv = json_get<std::vector<std::string>>(event.body, "argv"),
                             .created_at = parse_timestamp(json_get<std::string>(event.body, "at"))};
  const std::string key = comparison.id.value;
  if (!state.comparisons.emplace(key, std::move(comparison)).second)
    throw IoError("comparison " + key + " is recorded twice");
}

void apply_run(State& state, const Event& event) {
  const Json& body = event.body;
  RunState run{.id = RunId{event.run_id},
               .comparison = maybe_id<ComparisonTag>(body, "comparison_id"),
               .configuration = json_get<std::string>(body, "configuration"),
               .pool = json_get<std::string>(body, "pool"),
               .backend = json_get<std::string>(body, "backend"),
               .run_dir = json_get<std::string>(body, "run_dir"),
               .dataset_key = json_get<std::string>(body, "dataset_key"),
               .repeat = json_get<int>(body, "repeat"),
               .order = json_get<int>(body, "order"),
               .nodes = json_get<int>(body, "nodes"),
               .ranks = json_get<int>(body, "ranks"),
               .threads = json_get<int>(body, "threads"),
               .cores_per_node = json_get<int>(body, "cores_per_node"),
               .gpus_per_node = json_maybe<int>(body, "gpus_per_node").value_or(0),
               .cpu_ranks = json_maybe<int>(body, "cpu_ranks").value_or(0),
               .contended = json_get<bool>(body, "contended"),
               .price = maybe_price(body),
               .training = json_at(body, "training"),
               .test_count = json_get<std::int64_t>(body, "test_count"),
               .created_at = event.at};
  run.precision = json_get<std::string>(json_at(run.training, "train"), "precision");
  if (body.contains("choice") && !body["choice"].is_null()) run.choice = choice_from_json(body["choice"]);
  if (!state.runs.emplace(event.run_id, run).second) throw IoError("run " + event.run_id + " is recorded twice");
  if (!run.comparison) return;
  const auto comparison = state.comparisons.find(run.comparison->value);
  if (comparison != state.comparisons.end()) comparison->second.runs.push_back(run.id);
}

void apply_owner(State& state, const Event& event) {
  run_of(state, event).owner = owner_from_json(event.body);
}

void apply_launch(State& state, const Event& event) {
  auto& attempt = attempt_of(state, event);
  attempt.argv = json_get<std::vector<std::string>>(event.body, "argv");
  attempt.launched_at = parse_timestamp(json_get<std::string>(event.body, "at"));
  if (const auto name = json_maybe<std::string>(event.body, "job_name")) attempt.job = JobState{.name = *name};
  run_of(state, event).status = RunStatus::kRunning;
}

void apply_job(State& state, const Event& event) {
  auto& attempt = attempt_of(state, event);
  if (!attempt.job) throw IoError("a job of an attempt that was launched without one");
  JobState& job = *attempt.job;
  job.id = json_get<std::string>(event.body, "id");
  job.state = json_get<std::string>(event.body, "state");
  job.nodes = json_get<std::string>(event.body, "nodes");
  job.submitted_at = maybe_time(event.body, "submitted_at");
  job.held_from = maybe_time(event.body, "held_from");
  job.held_to = maybe_time(event.body, "held_to");
}

void apply_journal(State& state, const Event& event) {
  auto& run = run_of(state, event);
  auto& attempt = attempt_of(state, event);
  const JournalLine line = recorded_line(event.body);
  attempt.last_line_at = line.at;
  attempt.last_seq = line.seq;
  if (const auto* start = std::get_if<record::Start>(&line.body)) {
    attempt.start = *start;
    attempt.started_at = line.at;
    run.precision = start->precision;  // what `auto` became
  } else if (const auto* first = std::get_if<record::FirstStep>(&line.body)) {
    attempt.first_step = *first;
  } else if (const auto* early = std::get_if<record::Early>(&line.body)) {
    attempt.early = *early;
  } else if (const auto* shares = std::get_if<record::Shares>(&line.body)) {
    attempt.shares.push_back(*shares);
  } else if (const auto* epoch = std::get_if<record::Epoch>(&line.body)) {
    attempt.epochs.push_back(*epoch);
  } else if (const auto* beat = std::get_if<record::Heartbeat>(&line.body)) {
    attempt.heartbeat = *beat;
  } else if (const auto* stop = std::get_if<record::Stop>(&line.body)) {
    attempt.stop = *stop;
  }
}

void apply_fault(State& state, const Event& event) {
  attempt_of(state, event).faults.push_back(json_get<std::string>(event.body, "message"));
}

void apply_exit(State& state, const Event& event) {
  auto& attempt = attempt_of(state, event);
  attempt.exit_code = json_get<int>(event.body, "code");
  attempt.signal = json_maybe<int>(event.body, "signal");
  attempt.exit_reason = json_get<std::string>(event.body, "reason");
  attempt.exit_message = json_get<std::string>(event.body, "message");
  attempt.asked_to_stop = json_maybe<bool>(event.body, "asked_to_stop").value_or(false);
  attempt.held_s = json_get<double>(event.body, "held_s");
  attempt.startup_s = json_maybe<double>(event.body, "startup_s");
  attempt.hold_s = json_maybe<double>(event.body, "hold_s");
  attempt.queue_s = json_maybe<double>(event.body, "queue_s");
}

void apply_lost(State& state, const Event& event) {
  auto& attempt = attempt_of(state, event);
  attempt.lost = true;
  attempt.exit_reason = "lost";
  attempt.exit_message = json_get<std::string>(event.body, "message");
  attempt.held_s = json_get<double>(event.body, "held_s");
  attempt.startup_s = json_maybe<double>(event.body, "startup_s");
  attempt.hold_s = json_maybe<double>(event.body, "hold_s");
  attempt.queue_s = json_maybe<double>(event.body, "queue_s");
}

void apply_end(State& state, const Event& event) {
  auto& run = run_of(state, event);
  const auto status = kStatusText.from_json(event.body, "status");
  if (!is_final(status)) throw IoError(std::string("status: a run does not end as ") + to_text(status));
  run.status = status;
  run.reason = json_get<std::string>(event.body, "reason");
  run.result = json_at(event.body, "result");
  const Json& bill = json_at(event.body, "bill");
  run.bill = bill.is_null() ? std::nullopt : std::optional(bill_from_json(bill));
}

void apply_price(State& state, const Event& event) {
  run_of(state, event).price = maybe_price(event.body);
}

void apply_contended(State& state, const Event& event) {
  run_of(state, event).contended = true;
}

struct Kind {
  const char* name;
  void (*apply)(State&, const Event&);
};
constexpr Kind kKinds[] = {{"comparison", apply_comparison},
                           {"run", apply_run},
                           {"owner", apply_owner},
                           {"launch", apply_launch},
                           {"job", apply_job},
                           {"journal", apply_journal},
                           {"fault", apply_fault},
                           {"exit", apply_exit},
                           {"lost", apply_lost},
                           {"end", apply_end},
                           {"price", apply_price},
                           {"contended", apply_contended}};

}  // namespace

const char* to_text(RunStatus status) {
  return kStatusText.text(status);
}

bool is_final(RunStatus status) {
  return status != RunStatus::kWaiting && status != RunStatus::kRunning;
}

std::vector<const RunState*> runs_of(const ComparisonState& comparison, const State& state) {
  std::vector<const RunState*> runs;
  for (const auto& id : comparison.runs) runs.push_back(&state.runs.at(id.value));
  std::stable_sort(runs.begin(), runs.end(), [](const RunState* a, const RunState* b) {
    return std::tie(a->order, a->repeat) < std::tie(b->order, b->repeat);
  });
  return runs;
}

bool is_alone(const RunState& run, const State& state) {
  return !run.comparison || !state.comparisons.contains(run.comparison->value);
}

std::string job_name(const RunState& run) {
  const auto name = run.training.is_object() ? run.training.find("name") : run.training.end();
  return name != run.training.end() && name->is_string() ? name->get<std::string>() : "";
}

void apply(State& state, const Event& event) {
  const auto* kind =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) { return event.kind == k.name; });
  if (kind == std::end(kKinds)) {
    state.unknown.push_back(event);
    return;
  }
  try {
    if (event.schema > kEventSchema)
      throw IoError("schema " + std::to_string(event.schema) + " is newer than this version reads (" +
                    std::to_string(kEventSchema) + ")");
    kind->apply(state, event);
  } catch (const IoError& error) {
    throw IoError("ledger event " + std::to_string(event.seq) + " (" + event.kind + "): " + error.what());
  }
}

}  // namespace regatta
