#pragma once
// How good the model is on the test set: every rank its own part, exact counts, one sum over ranks.

#include <cstdint>
#include <functional>
#include <optional>

#include "jobs/models.hpp"
#include "worker/batch_source.hpp"
#include "worker/exchanger.hpp"

namespace regatta {

struct TestFigures {
  double loss = 0;      ///< mean cross entropy over the whole test set
  double accuracy = 0;  ///< correct / count; of characters, where samples are text
};

/// Collective; the same result on every rank, whatever their number: figures over all `test_count` samples, or nothing
/// when a rank was asked to stop before the last batch. `go_on` is called on every rank between batches, to give signs
/// of life; it returns false once this rank was asked to stop. Keeps no gradients. The model is in evaluation mode, and
/// afterwards in training mode.
std::optional<TestFigures> evaluate(Model& model, EvaluationSource& source, Exchanger& exchanger,
                                    std::int64_t test_count, const std::function<bool()>& go_on);

}  // namespace regatta
