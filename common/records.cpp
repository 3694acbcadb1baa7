#include "common/records.hpp"

#include <limits>
#include <numeric>

#include "common/enum_text.hpp"
#include "common/overloaded.hpp"

namespace regatta {

namespace {

constexpr EnumText<Phase, kPhases> kPhaseText{{{{Phase::kCompute, "compute"},
                                                {Phase::kDataWait, "data_wait"},
                                                {Phase::kExchange, "exchange"},
                                                {Phase::kStragglerWait, "straggler_wait"},
                                                {Phase::kOptimizer, "optimizer"},
                                                {Phase::kEvaluation, "evaluation"},
                                                {Phase::kCheckpoint, "checkpoint"},
                                                {Phase::kOther, "other"}}}};

double number_or_nan(const Json& json, const char* key) {
  return json_at(json, key).is_null() ? std::numeric_limits<double>::quiet_NaN() : json_get<double>(json, key);
}

Json to_json(const RankPlace& place) {
  return {{"rank", place.rank},
          {"local_rank", place.local_rank},
          {"host", place.host},
          {"cores", place.cores},
          {"pid", place.pid}};
}

RankPlace rank_place_from_json(const Json& json) {
  return {.rank = json_get<int>(json, "rank"),
          .local_rank = json_get<int>(json, "local_rank"),
          .host = json_get<std::string>(json, "host"),
          .cores = json_get<std::vector<int>>(json, "cores"),
          .pid = json_get<std::int64_t>(json, "pid")};
}

// One pair of functions a type: body to JSON members, and back.

Json body_json(const record::Start& start) {
  Json ranks = Json::array();
  for (const auto& place : start.ranks) ranks.push_back(to_json(place));
  Json json{{"ranks", ranks},
            {"backend", start.backend},
            {"threads", start.threads},
            {"precision", start.precision},
            {"exchanger", start.exchanger},
            {"regatta", start.regatta},
            {"torch", start.torch},
            {"mpi", start.mpi},
            {"parameters", start.parameters},
            {"gradient_bytes", start.gradient_bytes},
            {"buckets", start.buckets},
            {"bucket_plan_hash", start.bucket_plan_hash},
            {"dataset_key", start.dataset_key},
            {"kernels", start.kernels},
            {"lanes", start.lanes},
            {"micro_batch", value_or_null(start.micro_batch)},
            {"weights_xxh3", start.weights_xxh3},
            {"startup_s", start.startup_s},
            {"warnings", start.warnings}};
  if (!start.staged.is_null()) json["staged"] = start.staged;
  return json;
}

record::Start start_from(const Json& json) {
  record::Start start{.backend = json_get<std::string>(json, "backend"),
                      .threads = json_get<int>(json, "threads"),
                      .precision = json_get<std::string>(json, "precision"),
                      .exchanger = json_get<std::string>(json, "exchanger"),
                      .regatta = json_get<std::string>(json, "regatta"),
                      .torch = json_get<std::string>(json, "torch"),
                      .mpi = json_get<std::string>(json, "mpi"),
                      .staged = json.contains("staged") ? json["staged"] : Json(nullptr),
                      .parameters = json_get<std::int64_t>(json, "parameters"),
                      .gradient_bytes = json_get<std::int64_t>(json, "gradient_bytes"),
                      .buckets = json_get<int>(json, "buckets"),
                      .bucket_plan_hash = json_get<std::string>(json, "bucket_plan_hash"),
                      .dataset_key = json_get<std::string>(json, "dataset_key"),
                      .kernels = json.contains("kernels") ? json["kernels"] : Json(nullptr),
                      .lanes = json.contains("lanes") ? json["lanes"] : Json(nullptr),
                      .micro_batch = json_maybe<std::int64_t>(json, "micro_batch"),
                      .weights_xxh3 = json_maybe<std::string>(json, "weights_xxh3").value_or(""),
                      .startup_s = json_seconds(json, "startup_s"),
                      .warnings = json_get<std::vector<std::string>>(json, "warnings")};
  for (const auto& place : json_at(json, "ranks")) start.ranks.push_back(rank_place_from_json(place));
  return start;
}

Json body_json(const record::FirstStep& first) {
  return {{"startup_s", first.startup_s}};
}

Json body_json(const record::Early& early) {
  Json losses = Json::array();
  for (const double loss : early.losses) losses.push_back(number_or_null(loss));
  Json json{{"losses", losses}};
  if (!early.step_s.empty()) json["step_s"] = early.step_s;
  return json;
}

record::Early early_from(const Json& json) {
  record::Early early;
  for (const auto& loss : json_at(json, "losses")) {
    if (!loss.is_null() && !loss.is_number()) throw IoError("losses: expected numbers, found " + loss.dump());
    early.losses.push_back(loss.is_null() ? std::numeric_limits<double>::quiet_NaN() : loss.get<double>());
  }
  if (json.contains("step_s")) early.step_s = json_get<std::vector<double>>(json, "step_s");
  return early;
}

Json body_json(const record::Shares& shares) {
  Json json{{"from_epoch", shares.from_epoch}, {"from_step", shares.from_step}, {"weights", shares.weights}};
  if (!shares.seconds_per_sample.empty()) json["seconds_per_sample"] = shares.seconds_per_sample;
  return json;
}

record::Shares shares_from(const Json& json) {
  record::Shares shares{.from_epoch = json_get<int>(json, "from_epoch"),
                        .from_step = json_maybe<std::int64_t>(json, "from_step").value_or(0),
                        .weights = json_get<std::vector<std::int64_t>>(json, "weights")};
  for (const std::int64_t weight : shares.weights)
    if (weight < 0) json_bad("weights", "weights of at least 0", std::to_string(weight));
  if (json.contains("seconds_per_sample"))
    shares.seconds_per_sample = json_get<std::vector<double>>(json, "seconds_per_sample");
  for (const double s : shares.seconds_per_sample)
    if (!(s >= 0)) json_bad("seconds_per_sample", "seconds of at least 0", std::to_string(s));
  if (!shares.seconds_per_sample.empty() && shares.seconds_per_sample.size() != shares.weights.size())
    json_bad("seconds_per_sample", "one a weight, " + std::to_string(shares.weights.size()),
             std::to_string(shares.seconds_per_sample.size()));
  return shares;
}

Json body_json(const record::Heartbeat& beat) {
  return {{"epoch", beat.epoch},
          {"step", beat.step},
          {"loss", number_or_null(beat.loss)},
          {"samples", beat.samples},
          {"node_seconds", beat.node_seconds}};
}

Json to_json(const record::Stragglers& stragglers) {
  return {{"ranks", stragglers.ranks},
          {"hosts", stragglers.hosts},
          {"waited_s", stragglers.waited_s},
          {"cost_usd", stragglers.cost ? Json(to_decimal(*stragglers.cost)) : Json(nullptr)}};
}

record::Stragglers stragglers_from(const Json& json) {
  record::Stragglers stragglers{.ranks = json_get<std::vector<int>>(json, "ranks"),
                                .hosts = json_get<std::vector<std::string>>(json, "hosts"),
                                .waited_s = json_seconds(json, "waited_s")};
  if (stragglers.ranks.empty()) json_bad("stragglers.ranks", "at least one", "none");
  if (!json_at(json, "cost_usd").is_null()) stragglers.cost = json_usd(json, "cost_usd");
  return stragglers;
}

Json body_json(const record::Epoch& epoch) {
  Json json{
      {"epoch", epoch.epoch},
      {"first_step", epoch.first_step},
      {"last_step", epoch.last_step},
      {"complete", epoch.complete},
      {"samples", epoch.samples},
      {"wall_s", epoch.wall_s},
      {"train_s", epoch.train_s},
      {"train_loss", number_or_null(epoch.train_loss)},
      {"test_loss", epoch.test_loss ? number_or_null(*epoch.test_loss) : Json(nullptr)},
      {"test_accuracy", value_or_null(epoch.test_accuracy)},
      {"learning_rate", epoch.learning_rate},
      {"samples_per_s", number_or_null(epoch.samples_per_s)},
      {"step_s", epoch.step_s ? Json{{"median", epoch.step_s->median}, {"p99", epoch.step_s->p99}} : Json(nullptr)},
      {"seconds", to_json(epoch.seconds)},
      {"seconds_kind", epoch.seconds_kind},
      {"exchange_hidden_s", epoch.exchange_hidden_s},
      {"bytes_exchanged", epoch.bytes_exchanged},
      {"device_memory_peak_bytes", value_or_null(epoch.device_memory_peak_bytes)},
      {"energy_j", epoch.energy_j},
      {"cost_usd", epoch.cost ? Json(to_decimal(*epoch.cost)) : Json(nullptr)}};
  if (epoch.stragglers) json["stragglers"] = to_json(*epoch.stragglers);
  return json;
}

record::Epoch epoch_from(const Json& json) {
  record::Epoch epoch{.epoch = json_get<int>(json, "epoch"),
                      .first_step = json_get<std::int64_t>(json, "first_step"),
                      .last_step = json_get<std::int64_t>(json, "last_step"),
                      .complete = json_get<bool>(json, "complete"),
                      .samples = json_get<std::int64_t>(json, "samples"),
                      .wall_s = json_seconds(json, "wall_s"),
                      .train_s = json_seconds(json, "train_s"),
                      .train_loss = number_or_nan(json, "train_loss"),
                      .test_loss = json_maybe<double>(json, "test_loss"),
                      .test_accuracy = json_maybe<double>(json, "test_accuracy"),
                      .learning_rate = json_get<double>(json, "learning_rate"),
                      .samples_per_s = number_or_nan(json, "samples_per_s"),
                      .seconds = phase_seconds_from_json(json_at(json, "seconds")),
                      .seconds_kind = json_get<std::string>(json, "seconds_kind"),
                      .exchange_hidden_s = json_get<double>(json, "exchange_hidden_s"),
                      .bytes_exchanged = json_get<std::int64_t>(json, "bytes_exchanged"),
                      .device_memory_peak_bytes = json_maybe<std::int64_t>(json, "device_memory_peak_bytes"),
                      .energy_j = json_at(json, "energy_j")};
  if (!json_at(json, "cost_usd").is_null()) epoch.cost = json_usd(json, "cost_usd");
  if (const auto steps = json.find("step_s"); steps != json.end() && !steps->is_null())
    epoch.step_s = record::StepTimes{json_seconds(*steps, "median"), json_seconds(*steps, "p99")};
  if (const auto late = json.find("stragglers"); late != json.end() && !late->is_null())
    epoch.stragglers = stragglers_from(*late);
  return epoch;
}

Json body_json(const record::Stop& stop) {
  Json body{{"reason", stop.reason}, {"exit_code", stop.exit_code}, {"message", stop.message},
            {"epochs", stop.epochs}, {"steps", stop.steps},         {"node_seconds", stop.node_seconds}};
  if (stop.cost_decision)
    body["cost_decision"] = {{"limit_usd", to_decimal(stop.cost_decision->limit)},
                             {"accrued_usd", to_decimal(stop.cost_decision->accrued)}};
  if (stop.memory)
    body["memory"] = {{"peak_bytes", stop.memory->peak_bytes},
                      {"held_bytes", stop.memory->held_bytes},
                      {"blocks_reused", stop.memory->blocks_reused},
                      {"blocks_made", stop.memory->blocks_made},
                      {"returned_bytes", stop.memory->returned_bytes}};
  return body;
}

record::Stop stop_from(const Json& json) {
  record::Stop stop{json_get<std::string>(json, "reason"),  json_get<int>(json, "exit_code"),
                    json_get<std::string>(json, "message"), json_get<int>(json, "epochs"),
                    json_get<std::int64_t>(json, "steps"),  json_get<double>(json, "node_seconds")};
  if (const auto decision = json.find("cost_decision"); decision != json.end())
    stop.cost_decision = record::CostDecision{json_usd(*decision, "limit_usd"), json_usd(*decision, "accrued_usd")};
  if (const auto memory = json.find("memory"); memory != json.end() && !memory->is_null())
    stop.memory = record::Memory{.peak_bytes = json_get<std::int64_t>(*memory, "peak_bytes"),
                                 .held_bytes = json_get<std::int64_t>(*memory, "held_bytes"),
                                 .blocks_reused = json_get<std::int64_t>(*memory, "blocks_reused"),
                                 .blocks_made = json_get<std::int64_t>(*memory, "blocks_made"),
                                 .returned_bytes = json_get<std::int64_t>(*memory, "returned_bytes")};
  return stop;
}

Json body_json(const record::Unknown& unknown) {
  return unknown.body;
}

RecordBody body_from(const std::string& type, const Json& json) {
  using namespace record;
  if (type == "start") return start_from(json);
  if (type == "first_step") return FirstStep{json_seconds(json, "startup_s")};
  if (type == "early") return early_from(json);
  if (type == "shares") return shares_from(json);
  if (type == "heartbeat")
    return Heartbeat{json_get<int>(json, "epoch"), json_get<std::int64_t>(json, "step"), number_or_nan(json, "loss"),
                     json_get<std::int64_t>(json, "samples"), json_get<double>(json, "node_seconds")};
  if (type == "epoch") return epoch_from(json);
  if (type == "stop") return stop_from(json);
  Unknown unknown{type, json};
  for (const char* key : {"schema", "run_id", "attempt", "seq", "at", "type"}) unknown.body.erase(key);
  return unknown;
}

}  // namespace

const char* to_text(Phase phase) {
  return kPhaseText.text(phase);
}

double PhaseSeconds::sum() const {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

PhaseSeconds& PhaseSeconds::operator+=(const PhaseSeconds& other) {
  for (std::size_t phase = 0; phase < kPhases; ++phase) values[phase] += other.values[phase];
  return *this;
}

PhaseSeconds& PhaseSeconds::operator-=(const PhaseSeconds& other) {
  for (std::size_t phase = 0; phase < kPhases; ++phase) values[phase] -= other.values[phase];
  return *this;
}

Json to_json(const PhaseSeconds& phases) {
  Json json = Json::object();
  for (const auto& [phase, word] : kPhaseText.words) json[word] = phases[phase];
  return json;
}

PhaseSeconds phase_seconds_from_json(const Json& json) {
  PhaseSeconds phases;
  for (const auto& [phase, word] : kPhaseText.words) phases[phase] = json_get<double>(json, word);
  return phases;
}

std::string type_of(const RecordBody& body) {
  return std::visit(Overloaded{[](const record::Start&) -> std::string { return "start"; },
                               [](const record::FirstStep&) -> std::string { return "first_step"; },
                               [](const record::Early&) -> std::string { return "early"; },
                               [](const record::Shares&) -> std::string { return "shares"; },
                               [](const record::Heartbeat&) -> std::string { return "heartbeat"; },
                               [](const record::Epoch&) -> std::string { return "epoch"; },
                               [](const record::Stop&) -> std::string { return "stop"; },
                               [](const record::Unknown& unknown) { return unknown.type; }},
                    body);
}

Json to_json(const JournalLine& line) {
  Json json = {{"schema", kJournalSchema}, {"run_id", line.run_id.value}, {"attempt", line.attempt},
               {"seq", line.seq},          {"at", to_text(line.at)},      {"type", type_of(line.body)}};
  json.update(std::visit([](const auto& body) { return body_json(body); }, line.body));
  return json;
}

JournalLine journal_line_from_json(const Json& json) {
  const int schema = json_get<int>(json, "schema");
  if (schema < 1 || schema > kJournalSchema)
    throw IoError("schema " + std::to_string(schema) + " is newer than this version reads (" +
                  std::to_string(kJournalSchema) + "); use the version that wrote it");
  return {.run_id = RunId{json_get<std::string>(json, "run_id")},
          .attempt = json_get<int>(json, "attempt"),
          .seq = json_get<std::int64_t>(json, "seq"),
          .at = parse_timestamp(json_get<std::string>(json, "at")),
          .body = body_from(json_get<std::string>(json, "type"), json)};
}

std::vector<JournalLine> parse_journal(std::string_view text, std::size_t* consumed) {
  std::vector<JournalLine> lines;
  std::size_t at = 0;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', at)) {
    const std::string where = "journal line " + std::to_string(lines.size() + 1);
    const Json json = parse_json(text.substr(at, end - at), where);
    try {
      lines.push_back(journal_line_from_json(json));
    } catch (const IoError& error) {
      throw IoError(where + ": " + error.what());
    }
    at = end + 1;
  }
  if (consumed != nullptr) *consumed = at;
  return lines;
}

}  // namespace regatta
