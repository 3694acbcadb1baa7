#pragma once
// What a job file says, as plain values. SCHEMA.md is the reference; spec_reader.hpp reads and checks the file.
// Everything of the schema is here, also what this version refuses at plan time (unsupported() in spec_reader.hpp).

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/findings.hpp"
#include "common/json.hpp"
#include "common/money.hpp"

namespace regatta {

enum class ModelKind { kMlp, kCnn, kResnet18, kLstm };
enum class DataFormat { kIdx, kImageFolder, kText, kSynthetic };
enum class OnError { kFail, kSkip };
enum class Stage { kNone, kNodeLocal };
enum class OptimizerKind { kSgd, kAdam, kAdamw };
enum class ScheduleKind { kConstant, kStep, kCosine, kOneCycle };
enum class Precision { kFp32, kBf16, kAuto, kFp64, kFp16 };
enum class BatchNorm { kSync, kLocal };
enum class Wire { kSame, kBf16 };
enum class ShareRule { kEqual, kMeasured };
enum class Evaluate { kEveryEpoch, kNever };
enum class Backend { kMpi, kNccl };

const char* to_text(ModelKind);
const char* to_text(DataFormat);
const char* to_text(OnError);
const char* to_text(Stage);
const char* to_text(OptimizerKind);
const char* to_text(ScheduleKind);
const char* to_text(Precision);
const char* to_text(BatchNorm);
const char* to_text(Wire);
const char* to_text(ShareRule);
const char* to_text(Evaluate);
const char* to_text(Backend);

/// Sizes stand beside `kind`. The reader fills in the sizes of the named architecture where the file is silent.
struct ModelSpec {
  ModelKind kind = ModelKind::kCnn;
  std::vector<std::int64_t> hidden;                            ///< mlp: widths of the hidden layers: 1024, 1024, 1024
  std::vector<std::int64_t> channels;                          ///< cnn: 8, 16; resnet18: 64, 128, 256, 512
  std::optional<std::int64_t> embedding, hidden_size, layers;  ///< lstm: 128, 512, 2
  std::optional<std::filesystem::path> weights;
  bool operator==(const ModelSpec&) const = default;
};

/// The same model with the sizes of the named architecture where none are given.
ModelSpec with_default_sizes(ModelSpec model);

struct SyntheticSpec {
  std::int64_t samples = 0;
  std::vector<std::int64_t> shape;  ///< (C, H, W); empty for text-like data
  std::int64_t classes = 0;
  std::int64_t length = 0, vocabulary = 0;  ///< text-like: characters per sample and alphabet
  bool operator==(const SyntheticSpec&) const = default;
};

struct DataSpec {
  DataFormat format = DataFormat::kIdx;
  std::filesystem::path path;        ///< absolute after reading; empty for synthetic
  std::vector<std::int64_t> size;    ///< imagefolder: (H, W) to resize to
  std::vector<std::string> augment;  ///< crop, flip
  OnError on_error = OnError::kFail;
  Stage stage = Stage::kNone;
  std::optional<std::int64_t> memory_bytes;
  std::int64_t length = 0;  ///< text: characters per sample
  SyntheticSpec synthetic;
  bool operator==(const DataSpec&) const = default;
};

struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::kSgd;
  double lr = 0.01, momentum = 0, weight_decay = 0;
  bool nesterov = false;
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8;
  bool operator==(const OptimizerSpec&) const = default;
};

/// What an optimizer of this kind starts from when the file names only the kind.
OptimizerSpec default_optimizer(OptimizerKind kind);

struct ScheduleSpec {
  ScheduleKind kind = ScheduleKind::kConstant;
  std::int64_t warmup_steps = 0;
  std::optional<std::int64_t> step_epochs;  ///< step: every so many epochs
  std::optional<double> gamma;              ///< step: times this
  std::optional<double> min_lr, max_lr;     ///< cosine: floor; one_cycle: peak
  bool operator==(const ScheduleSpec&) const = default;
};

/// What averaging between nodes does with the average; plain averaging by default.
struct OuterSpec {
  double lr = 1, momentum = 0;
  bool nesterov = false;
  bool operator==(const OuterSpec&) const = default;
};
struct ExchangeSpec {
  Wire wire = Wire::kSame;
  std::int64_t every = 1;  ///< steps between exchanges; inside a node always 1
  std::optional<OuterSpec> outer;
  bool operator==(const ExchangeSpec&) const = default;
};

/// As TrainSpec::micro_batch: the most that fit into memory, found at the start.
inline constexpr std::int64_t kAutoMicroBatch = 0;

struct TrainSpec {
  std::int64_t batch = 0;  ///< GLOBAL batch: samples per optimizer step over all ranks
  OptimizerSpec optimizer;
  ScheduleSpec schedule;
  Precision precision = Precision::kFp32;
  BatchNorm batch_norm = BatchNorm::kSync;
  std::optional<double> clip_norm;  ///< nothing: none
  std::int64_t accumulate = 1;
  ExchangeSpec exchange;
  ShareRule shares = ShareRule::kEqual;  ///< how a batch is divided among ranks
  Evaluate evaluate = Evaluate::kEveryEpoch;
  std::optional<double> deadline_s;  ///< nothing: auto = max(10 s, 5 x median step)
  std::uint64_t seed = 1;
  bool tf32 = false;
  std::optional<std::int64_t> micro_batch;  ///< samples that a rank computes at once; nothing: its whole part
  bool checkpoint = false;
  bool operator==(const TrainSpec&) const = default;
};

/// The first one that is met ends the run. At least one is given.
struct StopSpec {
  std::optional<std::int64_t> epochs;
  std::optional<double> target_accuracy, target_loss, max_time_s;
  std::optional<NanoUsd> max_cost;
  bool operator==(const StopSpec&) const = default;
};

/// Of a configuration, wherever it is read.
inline constexpr int kMostRanks = 65'536, kMostThreads = 4'096;

/// One row of the comparison. `train` and `stop` are the job's with this row's overrides applied.
struct ConfigurationSpec {
  std::string name;
  std::string pool = "here";
  Backend backend = Backend::kMpi;
  std::optional<int> ranks;  ///< nothing: auto
  int threads = 1;           ///< per rank; with cpu_ranks per CPU rank
  int cpu_ranks = 0;         ///< on cores, beside `ranks` on GPUs
  TrainSpec train;
  StopSpec stop;
  bool operator==(const ConfigurationSpec&) const = default;

  std::optional<int> world_size() const { return ranks ? std::optional(*ranks + cpu_ranks) : std::nullopt; }
};

/// What one run trains: all that must be equal for two runs to be the same training.
struct TrainingSpec {
  std::string name;
  ModelSpec model;
  DataSpec data;
  TrainSpec train;
  StopSpec stop;
  bool operator==(const TrainingSpec&) const = default;
};

struct JobSpec {
  std::string name;
  ModelSpec model;
  DataSpec data;
  TrainSpec train;  ///< the job's own, before overrides
  StopSpec stop;
  int repeats = 1;
  std::vector<ConfigurationSpec> configurations;
  SourcePositions source;

  TrainingSpec training(const ConfigurationSpec& configuration) const {
    return {name, model, data, configuration.train, configuration.stop};
  }
};

/// The resolved training as JSON, every default spelled out, keys as in the job file; also what JobId hashes.
Json to_json(const TrainingSpec&);
/// Throws IoError naming the key.
TrainingSpec training_spec_from_json(const Json&);

}  // namespace regatta
