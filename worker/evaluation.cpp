// Design note. Ranks may have parts of any size, so they count rounds and not batches: about once a second all of them
// meet in a sum of what they have so far, and go on until nobody has a batch left or somebody was asked to stop. So a
// stop never waits for a long evaluation, and no rank waits long for one that has more to do. The totals travel anew in
// every round, so that their bits do not depend on where the rounds fell.

#include "worker/evaluation.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <array>

#include "common/error.hpp"
#include "common/time.hpp"

namespace regatta {

namespace {

constexpr Duration kVoteEvery = std::chrono::seconds(1);  // a sum of six numbers takes microseconds

/// Doubles count exactly up to 2^53.
struct Totals {
  double loss = 0, correct = 0, samples = 0, targets = 0;

  void add(Model& model, const Batch& batch) {
    if (batch.targets.numel() == 0) return;
    const at::Tensor logits = model.forward(batch.inputs);  // (B, classes), or text (B*L, classes)
    loss += loss_sum(logits, batch.targets).item<double>();
    correct += logits.argmax(1).eq(batch.targets.flatten()).sum().item<double>();
    samples += static_cast<double>(batch.targets.size(0));
    targets += static_cast<double>(batch.targets.numel());
  }
};

/// Evaluation mode while it lives; then training again.
class EvaluationMode {
 public:
  explicit EvaluationMode(Model& model) : model_(model) { model_.set_training(false); }
  ~EvaluationMode() { model_.set_training(true); }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  Model& model_;
};

}  // namespace

std::optional<TestFigures> evaluate(Model& model, EvaluationSource& source, Exchanger& exchanger,
                                    std::int64_t test_count, const std::function<bool()>& go_on) {
  const c10::InferenceMode inference;
  const EvaluationMode mode(model);
  Totals own;
  for (std::int64_t next = 0;;) {
    const SteadyTime until = std::chrono::steady_clock::now() + kVoteEvery;
    bool going = go_on();
    while (going && next < source.batches() && std::chrono::steady_clock::now() < until) {
      own.add(model, source.batch(next++));
      going = go_on();
    }
    std::array<double, 6> all{
        own.loss, own.correct, own.samples, own.targets, next < source.batches() ? 1.0 : 0.0, going ? 0.0 : 1.0};
    exchanger.allreduce_now(all);
    const auto& [loss, correct, samples, targets, unfinished, stops] = all;
    if (unfinished > 0 && stops > 0) return {};
    if (unfinished > 0) continue;
    REGATTA_ENSURE(test_count > 0, "an empty test set has no figures: the plan should say evaluate: never");
    REGATTA_ENSURE(samples == static_cast<double>(test_count), "every test sample counts once");
    return TestFigures{.loss = loss / samples, .accuracy = correct / targets};
  }
}

}  // namespace regatta
