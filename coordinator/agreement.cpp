// Did the rows train the same thing? Two correct fp32 runs drift apart within an epoch (a ReLU or a pool flips), so
// only two tests can be asked of them: the losses of the first steps, before rounding has grown, and the final
// accuracy, as a difference of two proportions. Where the mathematics differs on purpose, neither says anything.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "common/enum_text.hpp"
#include "coordinator/comparison.hpp"

namespace regatta {

namespace {

constexpr std::size_t kEarlySteps = 4;
constexpr double kTolerance = 1e-3;         // of fp32 and fp64; rounding alone gives 1e-7 after 3 steps
constexpr double kReducedTolerance = 5e-2;  // bf16, fp16 and TF32 carry 8 to 11 bits
constexpr double kStandardErrors = 3;

constexpr EnumText<AgreementResult, 3> kResult{{{{AgreementResult::kAgree, "agree"},
                                                 {AgreementResult::kDiffer, "differ"},
                                                 {AgreementResult::kNotComparable, "not_comparable"}}}};

/// Keys of the job file that must be equal for two runs to be one training. `label` stands in the detail.
struct Key {
  const char* pointer;
  const char* label;
};
constexpr Key kKeys[] = {{"/model", "model"},
                         {"/data/augment", "data.augment"},
                         {"/data/size", "data.size"},
                         {"/train/batch", "train.batch"},
                         {"/train/seed", "train.seed"},
                         {"/train/optimizer", "train.optimizer"},
                         {"/train/schedule", "train.schedule"},
                         {"/train/clip_norm", "train.clip_norm"},
                         {"/train/exchange/every", "train.exchange.every"},
                         {"/train/exchange/outer", "train.exchange.outer"},
                         {"/train/batch_norm", "train.batch_norm"},
                         {"/stop", "stop"}};

Json value_at(const RunState& run, const char* pointer) {
  const Json::json_pointer at(pointer);
  return run.training.is_object() && run.training.contains(at) ? run.training.at(at) : Json(nullptr);
}

/// Without regard to the order of keys, which another version may write differently.
bool same_value(const Json& a, const Json& b) {
  return a == b || nlohmann::json::parse(a.dump()) == nlohmann::json::parse(b.dump());
}

/// train.micro_batch as it came out; nothing: a rank's whole part.
std::optional<std::int64_t> samples_at_once(const RunState& run) {
  for (const auto& attempt : run.attempts)
    if (attempt.start) return attempt.start->micro_batch;
  return {};
}

/// Why two runs are not the same training; empty when they are.
std::string mathematics_differs(const RunState& first, const RunState& other) {
  if (first.dataset_key != other.dataset_key) return "the data differ";
  for (const auto& key : kKeys)
    if (!same_value(value_at(first, key.pointer), value_at(other, key.pointer)))
      return std::string(key.label) + " differs";
  if (value_at(first, "/model/kind") == Json("resnet18") &&
      !same_value(value_at(first, "/train/accumulate"), value_at(other, "/train/accumulate")))
    return "train.accumulate differs, and batch norm sees its parts";
  const auto at_once = samples_at_once(first), other_at_once = samples_at_once(other);
  const bool other_parts = at_once != other_at_once || (at_once && first.ranks != other.ranks);  // of a rank's share
  if (value_at(first, "/model/kind") == Json("resnet18") && other_parts)
    return "what train.micro_batch computes at once differs, and batch norm sees it";
  if (value_at(first, "/train/batch_norm") == Json("local") && first.ranks != other.ranks)
    return "train.batch_norm: local depends on the number of ranks";
  const Json every = value_at(first, "/train/exchange/every");
  if (every.is_number() && every != Json(1) && first.nodes != other.nodes)
    return "train.exchange.every depends on the number of nodes";
  return "";
}

std::string precision_of(const RunState& run) {
  for (const auto& attempt : run.attempts)
    if (attempt.start && !attempt.start->precision.empty()) return attempt.start->precision;
  return run.precision;
}

bool reduced(const RunState& run) {
  const std::string precision = precision_of(run);
  return precision == "bf16" || precision == "fp16" || value_at(run, "/train/tf32") == Json(true);
}

const std::vector<double>* early_losses(const RunState& run) {
  for (const auto& attempt : run.attempts)
    if (attempt.early && !attempt.early->losses.empty()) return &attempt.early->losses;
  return nullptr;
}

/// Largest relative difference of the first steps; infinite when one of the losses is no number.
double early_difference(const std::vector<double>& first, const std::vector<double>& other) {
  double largest = 0;
  const std::size_t steps = std::min({kEarlySteps, first.size(), other.size()});
  for (std::size_t i = 0; i < steps; ++i) {
    const double difference = std::abs(first[i] - other[i]);
    if (difference == 0) continue;
    const double relative = difference / std::abs(first[i]);
    largest = std::isnan(relative) ? HUGE_VAL : std::max(largest, relative);
  }
  return largest;
}

std::map<int, double> accuracies(const RunState& run) {
  std::map<int, double> by_epoch;
  for (const auto& attempt : run.attempts)
    for (const auto& epoch : attempt.epochs)
      if (epoch.complete && epoch.test_accuracy) by_epoch[epoch.epoch] = *epoch.test_accuracy;
  return by_epoch;
}

/// |p - q| in standard errors of a difference of two proportions. At the last epoch that both evaluated: the final
/// one, unless a time limit stopped one of them earlier.
std::optional<double> accuracy_difference(const RunState& first, const RunState& other) {
  const auto ours = accuracies(first), theirs = accuracies(other);
  const auto samples = static_cast<double>(std::min(first.test_count, other.test_count));
  for (auto last = ours.rbegin(); last != ours.rend() && samples > 0; ++last) {
    const auto same_epoch = theirs.find(last->first);
    if (same_epoch == theirs.end()) continue;
    const double difference = std::abs(last->second - same_epoch->second);
    if (difference == 0) return 0;
    const auto variance = [&](double share) { return share * (1 - share) / samples; };
    return difference / std::sqrt(variance(last->second) + variance(same_epoch->second));
  }
  return {};
}

void keep_largest(std::optional<double>& kept, double value) {
  kept = std::max(kept.value_or(value), value);
}

/// What one run adds: its result, and its numbers into `total`.
AgreementResult judge(const RunState& first, const RunState& other, Agreement& total, std::string& why) {
  why = mathematics_differs(first, other);
  if (!why.empty()) return AgreementResult::kNotComparable;
  const auto* ours = early_losses(first);
  const auto* theirs = early_losses(other);
  if (!ours || !theirs) {
    why = "no early losses in the journal of " + (ours ? other : first).configuration;
    return AgreementResult::kNotComparable;
  }
  const double early = early_difference(*ours, *theirs);
  const auto accuracy = accuracy_difference(first, other);
  keep_largest(total.early_loss_rel, early);
  if (accuracy) keep_largest(total.accuracy_se, *accuracy);
  const double tolerance = reduced(first) || reduced(other) ? kReducedTolerance : kTolerance;
  if (early > tolerance)
    why = fmt::format("the losses of the first steps differ by {:.2g}, more than {:g}", early, tolerance);
  else if (accuracy && *accuracy > kStandardErrors)
    why = fmt::format("final accuracies differ by {:.1f} standard errors, more than {:g}", *accuracy, kStandardErrors);
  return why.empty() ? AgreementResult::kAgree : AgreementResult::kDiffer;
}

}  // namespace

const char* to_text(AgreementResult result) {
  return kResult.text(result);
}

Agreement agreement(const std::vector<const RunState*>& runs) {
  std::vector<const RunState*> finished;
  std::copy_if(runs.begin(), runs.end(), std::back_inserter(finished),
               [](const RunState* run) { return run->status == RunStatus::kDone; });
  Agreement total;
  if (finished.size() < 2) {
    total.detail = "fewer than two finished runs";
    return total;
  }
  const RunState& first = *finished.front();
  // The gravest finding decides: a run that differs is news even beside one that cannot be compared.
  std::map<AgreementResult, std::vector<std::string>> findings;
  std::set<std::string> told;
  for (std::size_t i = 1; i < finished.size(); ++i) {
    std::string why;
    const auto result = judge(first, *finished[i], total, why);
    if (!why.empty()) why = finished[i]->configuration + ": " + why;
    if (told.insert(why).second) findings[result].push_back(why);
  }
  for (const auto result : {AgreementResult::kDiffer, AgreementResult::kNotComparable, AgreementResult::kAgree}) {
    if (!findings.contains(result)) continue;
    total.result = result;
    for (const auto& why : findings[result]) total.detail += (total.detail.empty() ? "" : "; ") + why;
    break;
  }
  if (total.result == AgreementResult::kAgree && !total.accuracy_se)
    total.detail = "no accuracy was evaluated: the early losses alone agree";
  return total;
}

}  // namespace regatta
