#include "jobs/spec_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "jobs/spec_words.hpp"

namespace regatta {

namespace {

/// The rules on one configuration, with its `train` and `stop` as they come out after overrides.
class ConfigurationRules {
 public:
  ConfigurationRules(const ConfigurationSpec& configuration, ModelKind model, std::string path, Findings& findings)
      : row_(configuration),
        model_(model),
        train_(configuration.train),
        stop_(configuration.stop),
        path_(std::move(path)),
        findings_(findings) {}

  void check() {
    check_stop();
    check_optimizer();
    check_schedule();
    check_exchange();
    check_shares();
    check_backend();
    check_cpu_ranks();
  }

 private:
  using Keys = std::vector<std::string>;

  /// The configuration's own key when it is written there, else the job's.
  std::string where(const std::string& key) const {
    std::string own = path_ + "." + key;
    return findings_.positions().written(own) ? own : key;
  }

  /// A finding at keys[0] unless `holds`, or unless something is wrong with one of the keys already.
  void need(bool holds, const Keys& keys, const std::string& message, const std::string& advice) {
    const bool spoilt = std::any_of(keys.begin(), keys.end(), [&](const auto& key) {
      return findings_.touched(key) || (!path_.empty() && findings_.touched(path_ + "." + key));
    });
    if (!holds && !spoilt) findings_.add(where(keys[0]), message, advice);
  }

  void check_stop() {
    const bool any =
        stop_.epochs || stop_.target_accuracy || stop_.target_loss || stop_.max_time_s || stop_.max_cost.has_value();
    need(any, {"stop"},
         "nothing would end the run (expected at least one of epochs, target_accuracy, target_loss, max_time, "
         "max_cost_usd, found none)",
         "write stop: {epochs: 3}, for example");
    const std::string needs = "needs an evaluation (expected train.evaluate: every_epoch, found never)";
    const std::string advice = "write train.evaluate: every_epoch, or another stop";
    const bool evaluates = train_.evaluate == Evaluate::kEveryEpoch;
    need(evaluates || !stop_.target_accuracy, {"stop.target_accuracy", "train.evaluate"}, needs, advice);
    need(evaluates || !stop_.target_loss, {"stop.target_loss", "train.evaluate"}, needs, advice);
  }

  void check_optimizer() {
    const OptimizerSpec& optimizer = train_.optimizer;
    need(!optimizer.nesterov || optimizer.momentum > 0, {"train.optimizer.nesterov", "train.optimizer"},
         "needs momentum (expected momentum above 0, found 0)", "write momentum: 0.9, or nesterov: false");
    need(!train_.micro_batch || *train_.micro_batch <= train_.batch, {"train.micro_batch", "train.batch"},
         fmt::format("larger than the batch (expected at most {}, found {})", train_.batch,
                     train_.micro_batch.value_or(0)),
         "write a smaller micro_batch, or leave it out");
    need(train_.accumulate <= train_.batch, {"train.accumulate", "train.batch"},
         fmt::format("more parts than samples (expected at most {}, found {})", train_.batch, train_.accumulate),
         "write a smaller accumulate");
  }

  void check_schedule() {
    const ScheduleSpec& schedule = train_.schedule;
    const Keys at{"train.schedule.kind", "train.schedule"};
    const bool step = schedule.kind == ScheduleKind::kStep;
    need(!step || schedule.step_epochs, at, "step needs its length (expected step_epochs beside it, found nothing)",
         "write step_epochs: 10, for example");
    need(!step || schedule.gamma, at, "step needs its factor (expected gamma beside it, found nothing)",
         "write gamma: 0.1, for example");
    const bool one_cycle = schedule.kind == ScheduleKind::kOneCycle;
    need(!one_cycle || schedule.max_lr, at, "one_cycle needs its peak (expected max_lr beside it, found nothing)",
         "write max_lr: 0.1, for example");
    const double lr = train_.optimizer.lr;
    need(!one_cycle || !schedule.max_lr || *schedule.max_lr >= lr, {"train.schedule.max_lr", "train.optimizer"},
         fmt::format("the peak is below the learning rate (expected at least {}, found {})", lr,
                     schedule.max_lr.value_or(0)),
         "write a larger max_lr or a smaller train.optimizer.lr");
    need(!schedule.min_lr || *schedule.min_lr <= lr, {"train.schedule.min_lr", "train.optimizer"},
         fmt::format("the floor is above the learning rate (expected at most {}, found {})", lr,
                     schedule.min_lr.value_or(0)),
         "write a smaller min_lr or a larger train.optimizer.lr");
    const bool needs_end = one_cycle || schedule.kind == ScheduleKind::kCosine;
    need(!needs_end || stop_.epochs, {"train.schedule.kind", "stop"},
         fmt::format("{} needs to know the end (expected stop.epochs, found nothing)", to_text(schedule.kind)),
         "write stop: {epochs: 10}, for example");
  }

  void check_exchange() {
    const ExchangeSpec& exchange = train_.exchange;
    need(!exchange.outer || exchange.every > 1, {"train.exchange.outer", "train.exchange.every"},
         "needs rarer exchange (expected every above 1, found 1)", "write every: 8, for example, or leave out outer");
    need(!exchange.outer || !exchange.outer->nesterov || exchange.outer->momentum > 0,
         {"train.exchange.outer.nesterov", "train.exchange.outer"},
         "needs momentum (expected momentum above 0, found 0)", "write momentum: 0.9, or nesterov: false");
    need(exchange.wire == Wire::kSame || train_.precision != Precision::kFp64,
         {"train.exchange.wire", "train.precision"}, "would round what fp64 keeps (expected same, found bf16)",
         "write wire: same, or precision: fp32");
  }

  void check_shares() {
    const bool measured = train_.shares == ShareRule::kMeasured;
    need(!measured || train_.batch_norm == BatchNorm::kSync, {"train.shares", "train.batch_norm"},
         "statistics of a rank's own would follow the clock (expected batch_norm: sync, found local)",
         "write batch_norm: sync, or shares: equal");
    need(!measured || !train_.micro_batch || model_ != ModelKind::kResnet18, {"train.shares", "train.micro_batch"},
         "batch norm sees each micro-batch, and how many there are would follow the clock (expected shares: equal, "
         "found measured)",
         "write shares: equal, or leave out micro_batch");
  }

  void check_backend() {
    const std::string backend = path_.empty() ? "backend" : path_ + ".backend";
    if (findings_.touched(backend) || row_.backend == Backend::kNccl) return;
    need(train_.precision != Precision::kFp16, {"train.precision"},
         "fp16 runs on GPUs only (expected backend: nccl, found mpi)", "write precision: fp32, or backend: nccl");
    need(!train_.tf32, {"train.tf32"}, "tf32 runs on GPUs only (expected backend: nccl, found mpi)",
         "write tf32: false, or backend: nccl");
  }

  void check_cpu_ranks() {
    if (row_.cpu_ranks == 0) return;
    need(row_.backend == Backend::kNccl, {"cpu_ranks", "backend"},
         "ranks beside those on GPUs, and there are none (expected backend: nccl, found mpi)",
         "write backend: nccl, or count them in ranks");
    need(row_.ranks.has_value(), {"cpu_ranks", "ranks"},
         "needs to know what it stands beside (expected a number of ranks, found auto)", "write ranks: 2, for example");
    need(row_.world_size().value_or(0) <= kMostRanks, {"cpu_ranks", "ranks"},
         fmt::format("too many ranks (expected at most {} with those on GPUs, found {})", kMostRanks,
                     row_.world_size().value_or(0)),
         "lower ranks or cpu_ranks");
    need(train_.precision != Precision::kAuto, {"cpu_ranks", "train.precision"},
         "trials have equal shares, which say nothing about ranks that are so unequal (expected a precision, found "
         "auto)",
         "write train.precision: fp32 or bf16");
    const std::string advice = "leave it out, or leave out cpu_ranks";
    need(train_.precision != Precision::kFp16, {"cpu_ranks", "train.precision"},
         "CPU ranks have no fp16 (expected train.precision: fp32, bf16 or fp64, found fp16)", advice);
    need(!train_.tf32, {"cpu_ranks", "train.tf32"},
         "which samples tf32 rounds would follow the clock (expected train.tf32: false, found true)", advice);
  }

  const ConfigurationSpec& row_;
  ModelKind model_;
  const TrainSpec& train_;
  const StopSpec& stop_;
  std::string path_;
  Findings& findings_;
};

void check_model_fits_data(const JobSpec& job, Findings& findings) {
  if (findings.touched("model") || findings.touched("data")) return;
  const bool text = job.data.format == DataFormat::kText || job.data.synthetic.length > 0;
  const bool lstm = job.model.kind == ModelKind::kLstm;
  if (text && !lstm)
    findings.add("model.kind",
                 fmt::format("does not fit the data (expected lstm for text, found {})", to_text(job.model.kind)),
                 "write kind: lstm, or a format with images");
  if (!text && lstm)
    findings.add("model.kind", "does not fit the data (expected mlp, cnn or resnet18 for images, found lstm)",
                 "write another kind, or format: text");
}

void check_names(const JobSpec& job, Findings& findings) {
  std::map<std::string, std::size_t> first;
  for (std::size_t i = 0; i < job.configurations.size(); ++i) {
    const std::string& name = job.configurations[i].name;
    const auto [seen, is_new] = first.emplace(name, i);
    if (is_new || name.empty()) continue;
    findings.add(
        fmt::format("configurations[{}].name", i),
        fmt::format("name taken (expected unique names, found \"{}\" at configurations[{}] too)", name, seen->second),
        "give each configuration its own name");
  }
}

}  // namespace

void check_rules(const JobSpec& job, Findings& findings) {
  check_names(job, findings);
  check_model_fits_data(job, findings);
  if (job.configurations.empty()) {
    ConfigurationSpec alone;
    alone.train = job.train;
    alone.stop = job.stop;
    ConfigurationRules(alone, job.model.kind, "", findings).check();
  }
  for (std::size_t i = 0; i < job.configurations.size(); ++i)
    ConfigurationRules(job.configurations[i], job.model.kind, fmt::format("configurations[{}]", i), findings).check();
}

}  // namespace regatta
