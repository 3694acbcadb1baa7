// plan.json, one object:
//   schema 1, run_id ULID, comparison_id ULID or null, job_id 32 hex digits, attempt >= 1, repeat >= 1
//   training   {name, model, data, train, stop}: the job file's keys, every default spelled out
//   dataset    {format, train_count, test_count, classes, sample_shape, mean, deviation, alphabet, skipped, damaged,
//   files,
//              key}: dataset_index_json.cpp; of an image folder the files stand in manifest.tsv beside plan.json
//   data_placement  node_shared (decoded once a node) | streamed (read sample by sample); absent means node_shared
//   weights    {path, bytes, xxh3} of the file that training starts from, or null
//   placement  {configuration, pool, backend, nodes, ranks, threads, cpu_ranks, cores_per_node, gpus_per_node,
//              contended, cores}; ranks are all, of which the last cpu_ranks run on cores beside GPUs; absent
//              gpus_per_node and cpu_ranks mean 0
//   shares     [weight by rank], of the first step
//   share_changes  null: as training.train.shares says; or [{from_step, weights}], the `shares` lines of a journal, for
//              the same bits again; absent means null
//   buckets    {first_bytes, other_bytes}
//   kernels    null: measured by the worker; or what multiplies for linear layers, see linear_kernels.hpp; absent means
//   null
//   lanes      null: measured by the worker where there are several nodes; or see lane_choice.hpp; absent
//              means null
//   trial      null: a run; {least_steps, most_steps, seconds}: a trial, which ends after so many; absent means null
//   choice     null: nothing was left to measurement; or how `auto` was decided, see choice.hpp; absent means null
//   price      {usd_per_node_hour, billing, ...} or null
//   power      {idle_w, busy_w, source} or null; absent means null
//   spent_usd  decimal text: cost of the run's earlier attempts
//   launched_at  RFC 3339 or null: since when the attempt is billed
// Unknown keys are ignored; another schema is refused.

#include "jobs/plan.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "common/enum_text.hpp"
#include "common/error.hpp"
#include "common/hash.hpp"
#include "jobs/data_placement.hpp"
#include "jobs/shares.hpp"
#include "jobs/spec_reader.hpp"
#include "jobs/spec_words.hpp"

namespace regatta {

namespace {

constexpr EnumText<bool, 2> kDataPlacements{{{{false, "node_shared"}, {true, "streamed"}}}};
template <class T>
T at_least_one(const Json& json, const char* key) {
  const T value = json_get<T>(json, key);
  if (value < 1) json_bad(key, "at least 1", std::to_string(value));
  return value;
}

/// The object `key` as `read` understands it; errors get the key in front.
template <class Read>
auto read_part(const Json& json, const char* key, Read read) {
  const Json& part = json_at(json, key);
  try {
    return read(part);
  } catch (const IoError& error) {
    throw IoError(std::string(key) + ": " + error.what());
  }
}

/// On one node no two ranks have a core in common; on several, ranks of different nodes have cores of the same number.
std::vector<std::vector<int>> read_cores(const Json& json, int ranks, int nodes) {
  auto cores = json_get<std::vector<std::vector<int>>>(json, "cores");
  if (!cores.empty() && cores.size() != static_cast<std::size_t>(ranks))
    json_bad("cores", "no list or one for each of " + std::to_string(ranks) + " ranks", json_at(json, "cores").dump());
  std::set<int> taken;
  for (std::size_t rank = 0; rank < cores.size(); ++rank) {
    const std::string key = "cores[" + std::to_string(rank) + "]";
    if (cores[rank].empty()) json_bad(key, "a list of cores", "[]");
    if (nodes > 1) taken.clear();
    for (const int core : cores[rank]) {
      if (core < 0) json_bad(key, "core numbers from 0", std::to_string(core));
      if (!taken.insert(core).second) json_bad(key, "cores that no other rank has", std::to_string(core) + " twice");
    }
  }
  return cores;
}

Json to_json(const Placement& placement) {
  return {{"configuration", placement.configuration},
          {"pool", placement.pool},
          {"backend", kBackends.text(placement.backend)},
          {"nodes", placement.nodes},
          {"ranks", placement.ranks},
          {"threads", placement.threads},
          {"cpu_ranks", placement.cpu_ranks},
          {"cores_per_node", placement.cores_per_node},
          {"gpus_per_node", placement.gpus_per_node},
          {"contended", placement.contended},
          {"cores", placement.cores}};
}

Placement placement_from_json(const Json& json) {
  Placement placement;
  placement.configuration = json_get<std::string>(json, "configuration");
  placement.pool = json_get<std::string>(json, "pool");
  placement.backend = kBackends.from_json(json, "backend");
  placement.nodes = at_least_one<int>(json, "nodes");
  placement.ranks = at_least_one<int>(json, "ranks");
  placement.threads = at_least_one<int>(json, "threads");
  placement.cores_per_node = at_least_one<int>(json, "cores_per_node");
  placement.gpus_per_node = json_maybe<int>(json, "gpus_per_node").value_or(0);
  if (placement.gpus_per_node < (placement.backend == Backend::kNccl ? 1 : 0))
    json_bad("gpus_per_node", "GPUs, for backend nccl", std::to_string(placement.gpus_per_node));
  placement.cpu_ranks = json_maybe<int>(json, "cpu_ranks").value_or(0);
  const int most_beside = placement.backend == Backend::kNccl ? placement.ranks - 1 : 0;
  if (placement.cpu_ranks < 0 || placement.cpu_ranks > most_beside)
    json_bad("cpu_ranks", "0 to " + std::to_string(most_beside) + ", beside ranks on GPUs",
             std::to_string(placement.cpu_ranks));
  placement.contended = json_get<bool>(json, "contended");
  placement.cores = read_cores(json, placement.ranks, placement.nodes);
  if (placement.nodes > placement.ranks)
    json_bad("nodes", "at most as many as there are ranks, " + std::to_string(placement.ranks),
             std::to_string(placement.nodes));
  return placement;
}

std::vector<std::int64_t> read_shares(const Json& json, const char* key, int ranks) {
  auto shares = json_get<std::vector<std::int64_t>>(json, key);
  const std::string found = json_at(json, key).dump();
  if (shares.size() != static_cast<std::size_t>(ranks))
    json_bad(key, "a weight for each of " + std::to_string(ranks) + " ranks", found);
  for (const std::int64_t weight : shares)
    if (weight < 0) json_bad(key, "weights of at least 0", std::to_string(weight));
  if (std::all_of(shares.begin(), shares.end(), [](std::int64_t weight) { return weight == 0; }))
    json_bad(key, "a weight above 0", found);
  return shares;
}

Json to_json(const std::vector<ShareChange>& changes) {
  Json json = Json::array();
  for (const ShareChange& change : changes)
    json.push_back({{"from_step", change.from_step}, {"weights", change.weights}});
  return json;
}

std::vector<ShareChange> share_changes_from_json(const Json& json, int ranks) {
  if (!json.is_array()) throw IoError("wrong type: expected a list");
  std::vector<ShareChange> changes;
  std::int64_t after = 0;
  for (const Json& change : json) {
    changes.push_back({at_least_one<std::int64_t>(change, "from_step"), read_shares(change, "weights", ranks)});
    if (changes.back().from_step <= after)
      json_bad("from_step", "steps that rise", std::to_string(changes.back().from_step));
    after = changes.back().from_step;
  }
  return changes;
}

BucketLimits buckets_from_json(const Json& json) {
  return {.first_bytes = at_least_one<std::int64_t>(json, "first_bytes"),
          .other_bytes = at_least_one<std::int64_t>(json, "other_bytes")};
}

Json to_json(const TrialLimits& trial) {
  return {{"least_steps", trial.least_steps}, {"most_steps", trial.most_steps}, {"seconds", trial.seconds}};
}

TrialLimits trial_from_json(const Json& json) {
  return {.least_steps = at_least_one<std::int64_t>(json, "least_steps"),
          .most_steps = at_least_one<std::int64_t>(json, "most_steps"),
          .seconds = json_seconds(json, "seconds")};
}

std::string read_ulid(const Json& json, const char* key) {
  auto text = json_get<std::string>(json, key);
  if (!is_ulid(text)) json_bad(key, "a ULID", "\"" + text + "\"");
  return text;
}

std::string read_hash(const Json& json, const char* key) {
  auto text = json_get<std::string>(json, key);
  if (!parse_hash(text)) json_bad(key, "32 hex digits", "\"" + text + "\"");
  return text;
}

Json weights_json(const std::optional<IndexedFile>& weights) {
  if (!weights) return nullptr;
  return {{"path", weights->path.string()}, {"bytes", weights->bytes}, {"xxh3", weights->xxh3}};
}

IndexedFile weights_from_json(const Json& json) {
  return {.role = "weights",
          .path = json_get<std::string>(json, "path"),
          .bytes = at_least_one<std::int64_t>(json, "bytes"),
          .xxh3 = read_hash(json, "xxh3")};
}

/// What the parts must agree on.
void expect_agreement(const Plan& plan) {
  if (plan.training.train.batch < 1)
    json_bad("training: train.batch", "at least 1", std::to_string(plan.training.train.batch));
  if (plan.training.train.precision == Precision::kAuto)
    json_bad("training: train.precision", "the precision that was chosen", "auto");
  if (plan.training.train.precision == Precision::kFp16 && plan.placement.backend != Backend::kNccl)
    json_bad("training: train.precision", "fp16 on GPUs only, with backend nccl", to_text(plan.placement.backend));
  if (plan.training.model.weights.has_value() != plan.weights.has_value())
    json_bad("weights", plan.weights ? "null, as training.model has none" : "a file, as training.model has one",
             plan.weights ? plan.weights->path.string() : "null");
  const TrainSpec& train = plan.training.train;
  if (train.accumulate < 1 || train.accumulate > train.batch)
    json_bad("training: train.accumulate", "1 to the batch, " + std::to_string(train.batch),
             std::to_string(train.accumulate));
  if (!(train.optimizer.lr > 0))
    json_bad("training: train.optimizer.lr", "a number above 0", std::to_string(train.optimizer.lr));
  if (plan.training.stop.epochs && *plan.training.stop.epochs < 1)
    json_bad("training: stop.epochs", "at least 1", std::to_string(*plan.training.stop.epochs));
  if (plan.placement.threads > kMostThreads)
    json_bad("placement: threads", "at most " + std::to_string(kMostThreads), std::to_string(plan.placement.threads));
  if (plan.training.data.format != plan.dataset.format)
    json_bad("dataset: format", std::string(to_text(plan.training.data.format)) + " as in training",
             to_text(plan.dataset.format));
  if (plan.training.stop.max_cost && !plan.price) json_bad("price", "a price, for stop.max_cost_usd", "null");
}

}  // namespace

std::int64_t Plan::steps_per_epoch() const {
  return batches_per_epoch(dataset.train_count, training.train.batch);
}

Plan make_plan(const JobSpec& job, const ConfigurationSpec& configuration, const Placement& placement,
               const DatasetIndex& dataset, RunId run, std::optional<ComparisonId> comparison, int repeat, int attempt,
               std::optional<Price> price, std::int64_t host_bytes) {
  Plan plan;
  plan.run = std::move(run);
  plan.comparison = std::move(comparison);
  plan.job = job_id(job);
  plan.attempt = attempt;
  plan.repeat = repeat;
  plan.training = job.training(configuration);
  plan.dataset = dataset;
  plan.streamed = must_stream(dataset, memory_limit(job.data, host_bytes));
  plan.placement = placement;
  plan.shares.assign(static_cast<std::size_t>(placement.ranks), 1);
  plan.price = std::move(price);
  if (plan.training.stop.max_cost && !plan.price)
    throw ConfigError({job.source.finding(
        "stop.max_cost_usd", "needs a price (expected a price in the plan, found none)",
        "a worker started by hand knows no price: use regatta run, or stop by epochs or max_time")});
  return plan;
}

Json to_json(const Plan& plan) {
  return {{"schema", kPlanSchema},
          {"run_id", plan.run.value},
          {"comparison_id", plan.comparison ? Json(plan.comparison->value) : Json(nullptr)},
          {"job_id", plan.job.value},
          {"attempt", plan.attempt},
          {"repeat", plan.repeat},
          {"training", to_json(plan.training)},
          {"dataset", to_json(plan.dataset)},
          {"weights", weights_json(plan.weights)},
          {"data_placement", kDataPlacements.text(plan.streamed)},
          {"placement", to_json(plan.placement)},
          {"shares", plan.shares},
          {"share_changes", plan.share_changes ? to_json(*plan.share_changes) : Json(nullptr)},
          {"buckets", {{"first_bytes", plan.buckets.first_bytes}, {"other_bytes", plan.buckets.other_bytes}}},
          {"kernels", plan.kernels ? to_json(*plan.kernels) : Json(nullptr)},
          {"lanes", plan.lanes ? to_json(*plan.lanes) : Json(nullptr)},
          {"trial", plan.trial ? to_json(*plan.trial) : Json(nullptr)},
          {"choice", plan.choice ? to_json(*plan.choice) : Json(nullptr)},
          {"price", plan.price ? to_json(*plan.price) : Json(nullptr)},
          {"power", plan.power ? to_json(*plan.power) : Json(nullptr)},
          {"spent_usd", to_decimal(plan.spent)},
          {"launched_at", plan.launched_at ? Json(to_text(*plan.launched_at)) : Json(nullptr)}};
}

Plan plan_from_json(const Json& json) {
  if (const int schema = json_get<int>(json, "schema"); schema != kPlanSchema)
    json_bad("schema", std::to_string(kPlanSchema), std::to_string(schema) + ": written by another version of regatta");
  Plan plan;
  plan.run = RunId{read_ulid(json, "run_id")};
  if (!json_at(json, "comparison_id").is_null()) plan.comparison = ComparisonId{read_ulid(json, "comparison_id")};
  plan.job = JobId{read_hash(json, "job_id")};
  plan.attempt = at_least_one<int>(json, "attempt");
  plan.repeat = at_least_one<int>(json, "repeat");
  plan.training = read_part(json, "training", training_spec_from_json);
  plan.dataset = read_part(json, "dataset", dataset_index_from_json);
  if (json.contains("weights") && !json["weights"].is_null())
    plan.weights = read_part(json, "weights", weights_from_json);
  plan.streamed = json.contains("data_placement") && kDataPlacements.from_json(json, "data_placement");
  plan.placement = read_part(json, "placement", placement_from_json);
  plan.shares = read_shares(json, "shares", plan.placement.ranks);
  if (json.contains("share_changes") && !json["share_changes"].is_null())
    plan.share_changes = read_part(
        json, "share_changes", [&](const Json& part) { return share_changes_from_json(part, plan.placement.ranks); });
  plan.buckets = read_part(json, "buckets", buckets_from_json);
  if (json.contains("kernels") && !json["kernels"].is_null())
    plan.kernels = read_part(json, "kernels", linear_kernels_from_json);
  if (json.contains("lanes") && !json["lanes"].is_null()) plan.lanes = read_part(json, "lanes", lane_choice_from_json);
  if (json.contains("trial") && !json["trial"].is_null()) plan.trial = read_part(json, "trial", trial_from_json);
  if (json.contains("choice") && !json["choice"].is_null()) plan.choice = read_part(json, "choice", choice_from_json);
  if (!json_at(json, "price").is_null()) plan.price = read_part(json, "price", price_from_json);
  if (json.contains("power") && !json["power"].is_null()) plan.power = read_part(json, "power", power_from_json);
  plan.spent = json_usd(json, "spent_usd");
  if (const auto launched = json_maybe<std::string>(json, "launched_at")) plan.launched_at = parse_timestamp(*launched);
  expect_agreement(plan);
  return plan;
}

}  // namespace regatta
