// The schema of job.yaml, key by key, in the order of SCHEMA.md. What ties several keys together is in spec_rules.cpp.
// A configuration's `train` and `stop` are read by the same functions into a copy of the job's own, so what it writes
// overrides and what it leaves out stays.

#include "jobs/spec_reader.hpp"

#include "common/files.hpp"
#include "common/yaml_reader.hpp"
#include "jobs/spec_rules.hpp"
#include "jobs/spec_words.hpp"

namespace regatta {

namespace {

// Far beyond any real job, and small enough that products of two stay within 64 bits.
constexpr std::int64_t kMostSamples = 1'000'000'000'000;
constexpr std::int64_t kWidest = 1'000'000;
constexpr double kMostRate = 1e30;  // an fp32 optimizer can hold it

void read_model(YamlMap& map, ModelSpec& model, const fs::path& folder) {
  const bool known = map.word("kind", "model", model.kind, kModelKinds).required("write kind: cnn, for example").good();
  const auto is = [&](ModelKind kind) { return !known || model.kind == kind; };
  const bool convolves = is(ModelKind::kCnn) || is(ModelKind::kResnet18);
  const std::size_t stages = model.kind == ModelKind::kCnn ? 2 : 4;
  map.integers("hidden", model.hidden).only(is(ModelKind::kMlp), "kind: mlp").count(1, 64).at_least(1).at_most(kWidest);
  map.integers("channels", model.channels)
      .only(convolves, "kind: cnn or resnet18")
      .count(stages, stages)
      .at_least(1)
      .at_most(kWidest);
  map.integer("embedding", model.embedding).only(is(ModelKind::kLstm), "kind: lstm").at_least(1).at_most(kWidest);
  map.integer("hidden_size", model.hidden_size).only(is(ModelKind::kLstm), "kind: lstm").at_least(1).at_most(kWidest);
  map.integer("layers", model.layers).only(is(ModelKind::kLstm), "kind: lstm").at_least(1).at_most(64);
  fs::path weights;
  if (map.path("weights", weights, folder).good()) model.weights = weights;
}

void read_data(YamlMap& map, DataSpec& data, const fs::path& folder) {
  const bool known =
      map.word("format", "data format", data.format, kDataFormats).required("write format: idx, for example").good();
  const auto is = [&](DataFormat format) { return !known || data.format == format; };
  const bool synthetic = known && data.format == DataFormat::kSynthetic;
  const bool text_like = known && (data.format == DataFormat::kText || map.written("length"));
  YamlField path = map.path("path", data.path, folder);
  path.only(!synthetic, "format: idx, imagefolder or text");
  if (known && !synthetic) path.required("write the dataset's file or folder, relative to this file");
  map.integers("size", data.size)
      .only(is(DataFormat::kImageFolder), "format: imagefolder")
      .count(2, 2)
      .at_least(1)
      .at_most(10'000);  // no larger than a file may be: kMostPixels
  YamlField augment = map.texts("augment", data.augment).only(is(DataFormat::kImageFolder), "format: imagefolder");
  for (const auto& word : data.augment) augment.check(word == "crop" || word == "flip", "words out of crop, flip");
  map.word("on_error", "reaction", data.on_error, kOnErrors);
  map.word("stage", "stage", data.stage, kStages);
  map.bytes("memory", data.memory_bytes).at_least(1);

  SyntheticSpec& made = data.synthetic;
  YamlField samples = map.integer("samples", made.samples).only(is(DataFormat::kSynthetic), "format: synthetic");
  samples.at_least(1).at_most(kMostSamples);
  YamlField shape = map.integers("shape", made.shape).only(is(DataFormat::kSynthetic), "format: synthetic");
  shape.count(3, 3).at_least(1).at_most(65'536);
  YamlField classes = map.integer("classes", made.classes).only(is(DataFormat::kSynthetic), "format: synthetic");
  classes.at_least(2).at_most(kWidest);
  std::int64_t length = 0;
  YamlField characters = map.integer("length", length)
                             .only(is(DataFormat::kText) || is(DataFormat::kSynthetic),
                                   "format: text, or format: synthetic with a vocabulary");
  characters.at_least(1).at_most(kWidest);
  (synthetic ? made.length : data.length) = length;
  YamlField vocabulary =
      map.integer("vocabulary", made.vocabulary).only(is(DataFormat::kSynthetic), "format: synthetic");
  vocabulary.at_least(2).at_most(256);  // one byte a symbol
  if (known && data.format == DataFormat::kText) characters.required("write length: 64, for example");
  if (!synthetic) return;
  samples.required("write samples: 12800, for example");
  if (text_like || vocabulary.written()) {
    shape.only(false, "classes, without length and vocabulary");
    classes.only(false, "shape, without length and vocabulary");
    characters.required("write length: 64, for example");
    vocabulary.required("write vocabulary: 65, for example");
  } else {
    shape.required("write shape: [1, 28, 28], or length and vocabulary for text");
    classes.required("write classes: 10, for example");
  }
}

void read_optimizer(YamlMap& map, OptimizerSpec& out) {
  OptimizerKind kind = out.kind;
  const bool known = map.word("kind", "optimizer", kind, kOptimizerKinds).good() || !map.written("kind");
  if (kind != out.kind) out = default_optimizer(kind);  // an override to another kind starts from that kind's defaults
  const bool sgd = !known || kind == OptimizerKind::kSgd;
  const bool adam = !known || kind != OptimizerKind::kSgd;
  map.number("lr", out.lr).above(0).at_most(kMostRate);
  map.number("momentum", out.momentum).only(sgd, "kind: sgd").at_least(0).below(1);
  map.flag("nesterov", out.nesterov).only(sgd, "kind: sgd");
  map.number("weight_decay", out.weight_decay).at_least(0);
  std::vector<double> betas;
  if (map.numbers("betas", betas).only(adam, "kind: adam or adamw").count(2, 2).at_least(0).below(1).good())
    out.betas = {betas[0], betas[1]};
  map.number("eps", out.eps).only(adam, "kind: adam or adamw").above(0);
}

void read_schedule(YamlMap& map, ScheduleSpec& out) {
  ScheduleKind kind = out.kind;
  const bool known = map.word("kind", "schedule", kind, kScheduleKinds).good() || !map.written("kind");
  if (kind != out.kind) out = {.kind = kind};
  const auto is = [&](ScheduleKind other) { return !known || kind == other; };
  map.integer("warmup_steps", out.warmup_steps).at_least(0).at_most(kMostSamples);
  map.integer("step_epochs", out.step_epochs).only(is(ScheduleKind::kStep), "kind: step").at_least(1).at_most(kWidest);
  map.number("gamma", out.gamma).only(is(ScheduleKind::kStep), "kind: step").above(0).at_most(1);
  map.number("min_lr", out.min_lr).only(is(ScheduleKind::kCosine), "kind: cosine").at_least(0);
  map.number("max_lr", out.max_lr).only(is(ScheduleKind::kOneCycle), "kind: one_cycle").above(0);
  if (known && kind == ScheduleKind::kCosine && !out.min_lr) out.min_lr = 0;
}

void read_exchange(YamlMap& map, ExchangeSpec& out) {
  map.word("wire", "wire", out.wire, kWires);
  map.integer("every", out.every).at_least(1).at_most(kWidest);
  map.section("outer", [&](YamlMap& outer) {
    if (!out.outer) out.outer.emplace();
    outer.number("lr", out.outer->lr).above(0).at_most(kMostRate);
    outer.number("momentum", out.outer->momentum).at_least(0).below(1);
    outer.flag("nesterov", out.outer->nesterov);
  });
}

/// `whole`: the job's own, which must be complete; a configuration's may leave out anything.
void read_train(YamlMap& map, TrainSpec& out, bool whole) {
  YamlField batch = map.integer("batch", out.batch).at_least(1).at_most(kMostSamples);
  if (whole) batch.required("write batch: 128, for example: samples per optimizer step over all ranks");
  map.section("optimizer", [&](YamlMap& below) { read_optimizer(below, out.optimizer); });
  map.section("schedule", [&](YamlMap& below) { read_schedule(below, out.schedule); });
  map.word("precision", "precision", out.precision, kPrecisions);
  map.word("batch_norm", "batch norm", out.batch_norm, kBatchNorms);
  map.number("clip_norm", out.clip_norm, "none").above(0);
  map.integer("accumulate", out.accumulate).at_least(1).at_most(kWidest);
  map.section("exchange", [&](YamlMap& below) { read_exchange(below, out.exchange); });
  map.word("shares", "shares", out.shares, kShareRules);
  map.word("evaluate", "evaluation", out.evaluate, kEvaluates);
  map.duration("deadline", out.deadline_s, "auto").above(0);
  map.integer("seed", out.seed);
  map.flag("tf32", out.tf32);
  std::optional<std::int64_t> micro_batch;
  if (map.integer("micro_batch", micro_batch, "auto").at_least(1).at_most(kMostSamples).good())
    out.micro_batch = micro_batch.value_or(kAutoMicroBatch);
  map.word("checkpoint", "checkpoint", out.checkpoint, kCheckpoints);
}

void read_stop(YamlMap& map, StopSpec& out) {
  map.integer("epochs", out.epochs, "none").at_least(1).at_most(kWidest);
  map.number("target_accuracy", out.target_accuracy, "none").above(0).at_most(1);
  map.number("target_loss", out.target_loss, "none").above(0);
  map.duration("max_time", out.max_time_s, "none").above(0);
  map.usd("max_cost_usd", out.max_cost, "none").above(0);
}

const char* const kNameForm = "1 to 64 letters, digits, '.', '_' or '-', not beginning with '.' or '-'";

void read_configuration(YamlMap& map, ConfigurationSpec& out) {
  map.text("name", out.name).required("write name: one-core, for example").check(is_plain_name(out.name), kNameForm);
  map.text("pool", out.pool).check(is_plain_name(out.pool), kNameForm);
  map.word("backend", "backend", out.backend, kBackends);
  map.integer("ranks", out.ranks, "auto").required("write ranks: 2, for example").at_least(1).at_most(kMostRanks);
  map.integer("threads", out.threads).at_least(1).at_most(kMostThreads);
  map.integer("cpu_ranks", out.cpu_ranks).at_least(0).at_most(kMostRanks);
  map.section("train", [&](YamlMap& below) { read_train(below, out.train, false); });
  map.section("stop", [&](YamlMap& below) { read_stop(below, out.stop); });
}

void read_job(YamlMap& map, JobSpec& job, const fs::path& folder) {
  map.text("name", job.name).required("write name: mnist-cnn, for example").check(is_plain_name(job.name), kNameForm);
  map.section("model", [&](YamlMap& below) { read_model(below, job.model, folder); })
      .required("write model: {kind: cnn}, for example");
  map.section("data", [&](YamlMap& below) { read_data(below, job.data, folder); })
      .required("write data: {format: idx, path: FOLDER}, for example");
  map.section("train", [&](YamlMap& below) { read_train(below, job.train, true); })
      .required("write train: {batch: 128}, for example");
  map.section("stop", [&](YamlMap& below) { read_stop(below, job.stop); });
  map.integer("repeats", job.repeats).at_least(1).at_most(1'000);
  map.list("configurations",
           [&](YamlMap& below, std::size_t) {
             ConfigurationSpec& configuration = job.configurations.emplace_back();
             configuration.train = job.train;
             configuration.stop = job.stop;
             read_configuration(below, configuration);
           })
      .required("write configurations: [{name: one-core, ranks: 1}], for example")
      .count(1, 1'000);
  job.model = with_default_sizes(job.model);
}

/// Nobody wants a GPU to wait for a core that has as many samples. Statistics of a rank's own, or of micro-batches, would
/// follow the clock.
void default_shares(JobSpec& job, const SourcePositions& source) {
  if (source.written("train.shares")) return;
  for (std::size_t i = 0; i < job.configurations.size(); ++i) {
    ConfigurationSpec& configuration = job.configurations[i];
    const bool written = source.written("configurations[" + std::to_string(i) + "].train.shares");
    const bool pieces = configuration.train.micro_batch && job.model.kind == ModelKind::kResnet18;
    if (configuration.cpu_ranks > 0 && configuration.train.batch_norm == BatchNorm::kSync && !pieces && !written)
      configuration.train.shares = ShareRule::kMeasured;
  }
}

}  // namespace

JobSpec read_job_text(const std::string& text, const std::string& name, const fs::path& folder,
                      const std::vector<Override>& overrides) {
  YamlFile file = parse_yaml(text, name, overrides);
  JobSpec job;
  read_map(file, [&](YamlMap& map) { read_job(map, job, fs::absolute(folder)); });
  default_shares(job, file.findings.positions());
  if (file.root.kind == YamlNode::Kind::kMap) check_rules(job, file.findings);  // nothing was read otherwise
  file.findings.throw_if_any();
  job.source = file.findings.positions();
  return job;
}

JobSpec read_job_file(const fs::path& path, const std::vector<Override>& overrides) {
  return read_job_text(read_yaml_file(path, "job file"), path.string(), fs::absolute(path).parent_path(), overrides);
}

}  // namespace regatta
