// The resolved training as JSON, keys as in the job file. Every key that belongs beside the chosen kind or format is
// written, whatever the job file left out; null or a word stands for what is absent.

#include <algorithm>

#include "common/hash.hpp"
#include "jobs/spec.hpp"
#include "jobs/spec_reader.hpp"
#include "jobs/spec_words.hpp"

namespace regatta {

namespace {

template <class T>
Json or_word(const std::optional<T>& value, const char* word) {
  return value ? Json(*value) : Json(word);
}

/// A number, or nothing for the word.
std::optional<double> number_or_word(const Json& json, const char* key, const char* word) {
  const Json& value = json_at(json, key);
  if (value.is_string() && value.get<std::string>() == word) return {};
  return json_get<double>(json, key);
}

/// A length of time, or nothing for the word.
std::optional<double> seconds_or_word(const Json& json, const char* key, const char* word) {
  return number_or_word(json, key, word) ? std::optional(json_seconds(json, key)) : std::nullopt;
}

std::int64_t size_from(const Json& json, const char* key) {
  const auto size = json_get<std::int64_t>(json, key);
  if (size < 1) json_bad(key, "at least 1", std::to_string(size));
  return size;
}

std::vector<std::int64_t> sizes_from(const Json& json, const char* key, std::size_t least, std::size_t most) {
  auto sizes = json_get<std::vector<std::int64_t>>(json, key);
  const bool positive = std::all_of(sizes.begin(), sizes.end(), [](std::int64_t size) { return size >= 1; });
  if (!positive || sizes.size() < least || sizes.size() > most)
    json_bad(key, std::to_string(least) + " to " + std::to_string(most) + " sizes of at least 1",
             json_at(json, key).dump());
  return sizes;
}

Json model_json(const ModelSpec& spec) {
  const ModelSpec model = with_default_sizes(spec);
  Json json{{"kind", to_text(model.kind)}};
  switch (model.kind) {
    case ModelKind::kMlp:
      json["hidden"] = model.hidden;
      break;
    case ModelKind::kCnn:
    case ModelKind::kResnet18:
      json["channels"] = model.channels;
      break;
    case ModelKind::kLstm:
      json["embedding"] = *model.embedding;
      json["hidden_size"] = *model.hidden_size;
      json["layers"] = *model.layers;
      break;
  }
  json["weights"] = model.weights ? Json(model.weights->string()) : Json(nullptr);
  return json;
}

ModelSpec model_from(const Json& json) {
  ModelSpec model{.kind = kModelKinds.from_json(json, "kind")};
  if (model.kind == ModelKind::kMlp) model.hidden = sizes_from(json, "hidden", 1, 64);
  if (model.kind == ModelKind::kCnn) model.channels = sizes_from(json, "channels", 2, 2);
  if (model.kind == ModelKind::kResnet18) model.channels = sizes_from(json, "channels", 4, 4);
  if (model.kind == ModelKind::kLstm) {
    model.embedding = size_from(json, "embedding");
    model.hidden_size = size_from(json, "hidden_size");
    model.layers = size_from(json, "layers");
  }
  if (const auto weights = json_maybe<std::string>(json, "weights")) model.weights = *weights;
  return model;
}

Json data_json(const DataSpec& data) {
  Json json{{"format", to_text(data.format)}};
  if (data.format == DataFormat::kSynthetic) {
    json["samples"] = data.synthetic.samples;
    if (data.synthetic.length > 0) {
      json["length"] = data.synthetic.length;
      json["vocabulary"] = data.synthetic.vocabulary;
    } else {
      json["shape"] = data.synthetic.shape;
      json["classes"] = data.synthetic.classes;
    }
  } else {
    json["path"] = data.path.string();
  }
  if (data.format == DataFormat::kText) json["length"] = data.length;
  if (data.format == DataFormat::kImageFolder) json["size"] = data.size;
  if (data.format == DataFormat::kImageFolder) json["augment"] = data.augment;
  json["on_error"] = to_text(data.on_error);
  json["stage"] = to_text(data.stage);
  json["memory"] = value_or_null(data.memory_bytes);
  return json;
}

DataSpec data_from(const Json& json) {
  DataSpec data{.format = kDataFormats.from_json(json, "format")};
  if (data.format == DataFormat::kSynthetic) {
    data.synthetic.samples = json_get<std::int64_t>(json, "samples");
    if (json.contains("length")) {
      data.synthetic.length = json_get<std::int64_t>(json, "length");
      data.synthetic.vocabulary = json_get<std::int64_t>(json, "vocabulary");
    } else {
      data.synthetic.shape = json_get<std::vector<std::int64_t>>(json, "shape");
      data.synthetic.classes = json_get<std::int64_t>(json, "classes");
    }
  } else {
    data.path = json_get<std::string>(json, "path");
  }
  if (data.format == DataFormat::kText) data.length = json_get<std::int64_t>(json, "length");
  if (data.format == DataFormat::kImageFolder) data.size = json_get<std::vector<std::int64_t>>(json, "size");
  if (data.format == DataFormat::kImageFolder) data.augment = json_get<std::vector<std::string>>(json, "augment");
  data.on_error = kOnErrors.from_json(json, "on_error");
  data.stage = kStages.from_json(json, "stage");
  data.memory_bytes = json_maybe<std::int64_t>(json, "memory");
  return data;
}

Json optimizer_json(const OptimizerSpec& optimizer) {
  Json json{{"kind", to_text(optimizer.kind)}, {"lr", optimizer.lr}};
  if (optimizer.kind == OptimizerKind::kSgd) {
    json["momentum"] = optimizer.momentum;
    json["nesterov"] = optimizer.nesterov;
  } else {
    json["betas"] = optimizer.betas;
    json["eps"] = optimizer.eps;
  }
  json["weight_decay"] = optimizer.weight_decay;
  return json;
}

OptimizerSpec optimizer_from(const Json& json) {
  OptimizerSpec optimizer = default_optimizer(kOptimizerKinds.from_json(json, "kind"));
  optimizer.lr = json_get<double>(json, "lr");
  optimizer.weight_decay = json_get<double>(json, "weight_decay");
  if (optimizer.kind == OptimizerKind::kSgd) {
    optimizer.momentum = json_get<double>(json, "momentum");
    optimizer.nesterov = json_get<bool>(json, "nesterov");
    return optimizer;
  }
  const auto betas = json_get<std::vector<double>>(json, "betas");
  if (betas.size() != 2) throw IoError("betas: expected two numbers, found " + std::to_string(betas.size()));
  optimizer.betas = {betas[0], betas[1]};
  optimizer.eps = json_get<double>(json, "eps");
  return optimizer;
}

Json schedule_json(const ScheduleSpec& schedule) {
  Json json{{"kind", to_text(schedule.kind)}, {"warmup_steps", schedule.warmup_steps}};
  if (schedule.kind == ScheduleKind::kStep) {
    json["step_epochs"] = value_or_null(schedule.step_epochs);
    json["gamma"] = value_or_null(schedule.gamma);
  }
  if (schedule.kind == ScheduleKind::kCosine) json["min_lr"] = schedule.min_lr.value_or(0);
  if (schedule.kind == ScheduleKind::kOneCycle) json["max_lr"] = value_or_null(schedule.max_lr);
  return json;
}

ScheduleSpec schedule_from(const Json& json) {
  return {.kind = kScheduleKinds.from_json(json, "kind"),
          .warmup_steps = json_get<std::int64_t>(json, "warmup_steps"),
          .step_epochs = json_maybe<std::int64_t>(json, "step_epochs"),
          .gamma = json_maybe<double>(json, "gamma"),
          .min_lr = json_maybe<double>(json, "min_lr"),
          .max_lr = json_maybe<double>(json, "max_lr")};
}

Json exchange_json(const ExchangeSpec& exchange) {
  Json outer = nullptr;
  if (exchange.outer)
    outer = {
        {"lr", exchange.outer->lr}, {"momentum", exchange.outer->momentum}, {"nesterov", exchange.outer->nesterov}};
  return {{"wire", to_text(exchange.wire)}, {"every", exchange.every}, {"outer", outer}};
}

ExchangeSpec exchange_from(const Json& json) {
  ExchangeSpec exchange{.wire = kWires.from_json(json, "wire"), .every = json_get<std::int64_t>(json, "every")};
  const Json& outer = json_at(json, "outer");
  if (!outer.is_null())
    exchange.outer = OuterSpec{.lr = json_get<double>(outer, "lr"),
                               .momentum = json_get<double>(outer, "momentum"),
                               .nesterov = json_get<bool>(outer, "nesterov")};
  return exchange;
}

Json train_json(const TrainSpec& train) {
  return {{"batch", train.batch},
          {"optimizer", optimizer_json(train.optimizer)},
          {"schedule", schedule_json(train.schedule)},
          {"precision", to_text(train.precision)},
          {"batch_norm", to_text(train.batch_norm)},
          {"clip_norm", or_word(train.clip_norm, "none")},
          {"accumulate", train.accumulate},
          {"exchange", exchange_json(train.exchange)},
          {"shares", to_text(train.shares)},
          {"evaluate", to_text(train.evaluate)},
          {"deadline", or_word(train.deadline_s, "auto")},
          {"seed", train.seed},
          {"tf32", train.tf32},
          {"micro_batch", train.micro_batch == kAutoMicroBatch ? Json("auto") : value_or_null(train.micro_batch)},
          {"checkpoint", kCheckpoints.text(train.checkpoint)}};
}

std::optional<std::int64_t> micro_batch_from(const Json& json) {
  const Json& value = json_at(json, "micro_batch");
  if (value.is_string() && value.get<std::string>() == "auto") return kAutoMicroBatch;
  if (value.is_null()) return {};
  return size_from(json, "micro_batch");
}

TrainSpec train_from(const Json& json) {
  TrainSpec train{.batch = json_get<std::int64_t>(json, "batch"),
                  .optimizer = optimizer_from(json_at(json, "optimizer")),
                  .schedule = schedule_from(json_at(json, "schedule")),
                  .precision = kPrecisions.from_json(json, "precision"),
                  .batch_norm = kBatchNorms.from_json(json, "batch_norm"),
                  .clip_norm = number_or_word(json, "clip_norm", "none"),
                  .accumulate = json_get<std::int64_t>(json, "accumulate"),
                  .exchange = exchange_from(json_at(json, "exchange")),
                  .shares = json.contains("shares") ? kShareRules.from_json(json, "shares") : ShareRule::kEqual,
                  .evaluate = kEvaluates.from_json(json, "evaluate"),
                  .deadline_s = seconds_or_word(json, "deadline", "auto"),
                  .seed = json_get<std::uint64_t>(json, "seed"),
                  .tf32 = json_get<bool>(json, "tf32"),
                  .micro_batch = micro_batch_from(json),
                  .checkpoint = kCheckpoints.from_json(json, "checkpoint")};
  if (train.batch < 1) throw IoError("batch: expected at least 1, found " + std::to_string(train.batch));
  return train;
}

Json stop_json(const StopSpec& stop) {
  return {{"epochs", value_or_null(stop.epochs)},
          {"target_accuracy", value_or_null(stop.target_accuracy)},
          {"target_loss", value_or_null(stop.target_loss)},
          {"max_time", value_or_null(stop.max_time_s)},
          {"max_cost_usd", stop.max_cost ? Json(to_decimal(*stop.max_cost)) : Json(nullptr)}};
}

StopSpec stop_from(const Json& json) {
  StopSpec stop{.epochs = json_maybe<std::int64_t>(json, "epochs"),
                .target_accuracy = json_maybe<double>(json, "target_accuracy"),
                .target_loss = json_maybe<double>(json, "target_loss")};
  if (json_maybe<double>(json, "max_time")) stop.max_time_s = json_seconds(json, "max_time");
  if (!json_at(json, "max_cost_usd").is_null()) stop.max_cost = json_usd(json, "max_cost_usd");
  return stop;
}

}  // namespace

Json to_json(const TrainingSpec& spec) {
  return {{"name", spec.name},
          {"model", model_json(spec.model)},
          {"data", data_json(spec.data)},
          {"train", train_json(spec.train)},
          {"stop", stop_json(spec.stop)}};
}

TrainingSpec training_spec_from_json(const Json& json) {
  return {.name = json_get<std::string>(json, "name"),
          .model = model_from(json_at(json, "model")),
          .data = data_from(json_at(json, "data")),
          .train = train_from(json_at(json, "train")),
          .stop = stop_from(json_at(json, "stop"))};
}

JobId job_id(const JobSpec& job) {
  Json json = to_json(TrainingSpec{job.name, job.model, job.data, job.train, job.stop});
  json["repeats"] = job.repeats;
  json["configurations"] = Json::array();
  for (const auto& configuration : job.configurations)
    json["configurations"].push_back({{"name", configuration.name},
                                      {"pool", configuration.pool},
                                      {"backend", to_text(configuration.backend)},
                                      {"ranks", or_word(configuration.ranks, "auto")},
                                      {"threads", configuration.threads},
                                      {"cpu_ranks", configuration.cpu_ranks},
                                      {"train", train_json(configuration.train)},
                                      {"stop", stop_json(configuration.stop)}});
  return JobId{xxh3_hex(json.dump())};
}

}  // namespace regatta
