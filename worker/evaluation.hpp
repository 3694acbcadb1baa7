#pragma once
// How good the model is on the test set: every rank its own part, exact counts, one sum over ranks.

#include <cstdint>

#include "jobs/models.hpp"
#include "worker/batch_source.hpp"
#include "worker/exchanger.hpp"

namespace regatta {

struct TestFigures {
  double loss = 0;      ///< mean cross entropy over the whole test set
  double accuracy = 0;  ///< correct / count
};

/// Collective; the same result on every rank, whatever their number. Keeps no gradients.
TestFigures evaluate(Model& model, EvaluationSource& source, Exchanger& exchanger);

}  // namespace regatta
