#include "worker/share_control.hpp"

#include <algorithm>
#include <string>

#include "jobs/shares.hpp"

namespace regatta {

namespace {

constexpr std::int64_t kWarmUp = 4;  // steps that allocate, and where oneDNN makes its kernels, tell nothing
constexpr std::int64_t kProbe = 20;  // steps: SCHEMA.md promises them
constexpr std::int64_t kLeast = kProbe - kWarmUp;

/// Of one part of a full batch, of those that hold the most.
std::int64_t samples_at_once(const Plan& plan) {
  const TrainSpec& train = plan.training.train;
  const PositionRange batch = global_batch(plan.dataset.train_count, train.batch, 0);
  return std::max<std::int64_t>(1, micro_batch(batch, train.accumulate, train.accumulate - 1).size());
}

ComputeMeasure measure_from_json(const Json& json) {
  return {.compute_s = json_seconds(json, "compute_s"), .samples = json_get<std::int64_t>(json, "samples")};
}

}  // namespace

ShareControl::ShareControl(const Plan& plan, RankContext& ranks, Journal* journal)
    : plan_(plan), ranks_(ranks), journal_(journal), weights_(plan.shares) {}

/// A trial compares ways, all with equal shares.
bool ShareControl::measures() const {
  return plan_.training.train.shares == ShareRule::kMeasured && !plan_.share_changes && !plan_.trial &&
         ranks_.world_size() > 1;
}

void ShareControl::after_step(std::int64_t step, const ComputeMeasure& own) {
  if (step <= kWarmUp) return;
  own_.compute_s += own.compute_s;
  own_.samples += own.samples;
  ++measured_steps_;
}

bool ShareControl::due(std::int64_t next, bool new_epoch) const {
  if (plan_.share_changes)
    return changes_done_ < plan_.share_changes->size() && (*plan_.share_changes)[changes_done_].from_step <= next;
  if (!measures()) return false;
  if (next == 1) return true;  // so that the journal has what the run begins with
  return new_epoch ? measured_steps_ >= kLeast : next == kProbe + 1;
}

bool ShareControl::decide(int epoch, std::int64_t next) {
  const std::vector<std::int64_t> before = weights_;
  if (plan_.share_changes)
    weights_ = (*plan_.share_changes)[changes_done_++].weights;
  else if (measured_steps_ > 0)
    decide_by_speed();
  own_ = {};
  measured_steps_ = 0;
  if (journal_ != nullptr)
    journal_->write(record::Shares{
        .from_epoch = epoch, .from_step = next, .weights = weights_, .seconds_per_sample = seconds_per_sample_});
  // The others know nothing before the line is on the disk, not even of a plan's shares, which they could read.
  weights_ = parse_json(ranks_.broadcast(Json(weights_).dump()), "rank 0's shares").get<std::vector<std::int64_t>>();
  return weights_ != before;
}

/// On rank 0; the others bring what they measured.
void ShareControl::decide_by_speed() {
  const Json own{{"compute_s", own_.compute_s}, {"samples", own_.samples}};
  std::vector<ComputeMeasure> measured;
  for (const std::string& text : ranks_.gather(own.dump()))
    measured.push_back(measure_from_json(parse_json(text, "a rank's compute")));
  if (ranks_.rank() != 0) return;
  seconds_per_sample_ = learn_speeds(seconds_per_sample_, measured);
  if (auto better = better_shares(weights_, seconds_per_sample_, samples_at_once(plan_))) weights_ = std::move(*better);
}

}  // namespace regatta
