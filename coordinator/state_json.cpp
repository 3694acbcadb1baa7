// Owners, bills and whole runs as JSON.

#include "coordinator/state.hpp"

namespace regatta {

namespace {

/// A record's members, without the envelope of its journal line.
template <class Record>
Json record_json(const std::optional<Record>& body) {
  if (!body) return nullptr;
  Json json = to_json(JournalLine{.body = *body});
  for (const char* key : {"schema", "run_id", "attempt", "seq", "at", "type"}) json.erase(key);
  return json;
}

Json time_json(const std::optional<Timestamp>& at) {
  return at ? Json(to_text(*at)) : Json(nullptr);
}

Json to_json(const JobState& job) {
  return {{"name", job.name},
          {"id", job.id},
          {"state", job.state},
          {"nodes", job.nodes},
          {"submitted_at", time_json(job.submitted_at)},
          {"held_from", time_json(job.held_from)},
          {"held_to", time_json(job.held_to)}};
}

Json to_json(const AttemptState& attempt) {
  Json shares = Json::array(), epochs = Json::array();
  for (const auto& line : attempt.shares) shares.push_back(record_json(std::optional(line)));
  for (const auto& epoch : attempt.epochs) epochs.push_back(record_json(std::optional(epoch)));
  return {{"attempt", attempt.attempt},
          {"argv", attempt.argv},
          {"launched_at", time_json(attempt.launched_at)},
          {"started_at", time_json(attempt.started_at)},
          {"last_line_at", time_json(attempt.last_line_at)},
          {"held_s", value_or_null(attempt.held_s)},
          {"startup_s", value_or_null(attempt.startup_s)},
          {"hold_s", value_or_null(attempt.hold_s)},
          {"queue_s", value_or_null(attempt.queue_s)},
          {"job", attempt.job ? to_json(*attempt.job) : Json(nullptr)},
          {"lost", attempt.lost},
          {"exit_code", value_or_null(attempt.exit_code)},
          {"signal", value_or_null(attempt.signal)},
          {"exit_reason", attempt.exit_reason},
          {"faults", attempt.faults},
          {"exit_message", attempt.exit_message},
          {"start", record_json(attempt.start)},
          {"first_step", record_json(attempt.first_step)},
          {"early", record_json(attempt.early)},
          {"shares", shares},
          {"epochs", epochs},
          {"heartbeat", record_json(attempt.heartbeat)},
          {"stop", record_json(attempt.stop)}};
}

}  // namespace

Json to_json(const Owner& owner) {
  return {{"host", owner.host},
          {"boot_id", owner.boot_id},
          {"pid", owner.pid},
          {"start_time", owner.start_time},
          {"fence", owner.fence}};
}

Owner owner_from_json(const Json& json) {
  return {.host = json_get<std::string>(json, "host"),
          .boot_id = json_get<std::string>(json, "boot_id"),
          .pid = json_get<std::int64_t>(json, "pid"),
          .start_time = json_get<std::int64_t>(json, "start_time"),
          .fence = json_get<std::int64_t>(json, "fence")};
}

Json to_json(const Bill& bill) {
  Json parts = Json::object();
  for (const auto& [name, amount] : bill.parts) parts[name] = to_decimal(amount);
  return {{"total_usd", to_decimal(bill.total)}, {"parts", parts}};
}

Bill bill_from_json(const Json& json) {
  Bill bill{.total = json_usd(json, "total_usd")};
  NanoUsd sum{};
  const Json& parts = json_at(json, "parts");
  for (const auto& item : parts.items()) {
    bill.parts.emplace_back(item.key(), json_usd(parts, item.key().c_str()));
    sum += bill.parts.back().second;
  }
  if (sum != bill.total)
    throw IoError("bill: the parts sum to " + to_decimal(sum) + ", the total is " + to_decimal(bill.total));
  return bill;
}

Json to_json(const RunState& run) {
  Json attempts = Json::array();
  for (const auto& attempt : run.attempts) attempts.push_back(to_json(attempt));
  return {{"run_id", run.id.value},
          {"comparison_id", run.comparison ? Json(run.comparison->value) : Json(nullptr)},
          {"job_name", job_name(run)},
          {"configuration", run.configuration},
          {"repeat", run.repeat},
          {"order", run.order},
          {"status", to_text(run.status)},
          {"reason", run.reason},
          {"created_at", to_text(run.created_at)},
          {"run_dir", run.run_dir},
          {"pool", run.pool},
          {"backend", run.backend},
          {"nodes", run.nodes},
          {"ranks", run.ranks},
          {"threads", run.threads},
          {"cpu_ranks", run.cpu_ranks},
          {"cores_per_node", run.cores_per_node},
          {"gpus_per_node", run.gpus_per_node},
          {"contended", run.contended},
          {"precision", run.precision},
          {"dataset_key", run.dataset_key},
          {"test_count", run.test_count},
          {"choice", run.choice ? to_json(*run.choice) : Json(nullptr)},
          {"price", run.price ? to_json(*run.price) : Json(nullptr)},
          {"training", run.training},
          {"owner", run.owner ? to_json(*run.owner) : Json(nullptr)},
          {"attempts", attempts},
          {"result", run.result},
          {"bill", run.bill ? to_json(*run.bill) : Json(nullptr)}};
}

Json to_json(const ComparisonState& comparison, const State& state) {
  Json runs = Json::array();
  for (const auto* run : runs_of(comparison, state)) runs.push_back(to_json(*run));
  return {{"comparison_id", comparison.id.value},
          {"job_id", comparison.job_id},
          {"job_name", comparison.job_name},
          {"created_at", to_text(comparison.created_at)},
          {"argv", comparison.argv},
          {"job_text", comparison.job_text},
          {"cluster", value_or_null(comparison.cluster)},
          {"runs", runs}};
}

}  // namespace regatta
