#pragma once
// What happens to a sample on its way into a batch.

#include "jobs/plan.hpp"
#include "worker/augmentation.hpp"
#include "worker/normalisation.hpp"

namespace regatta {

/// From raw bytes to what a model takes. One thread at a time.
struct InputTransform {
  /// Training data is augmented as the job says, test data never.
  InputTransform(const Plan& plan, Split split)
      : normalisation(plan.dataset),
        augmentation(split == Split::kTrain ? plan.training.data.augment : std::vector<std::string>(), plan.dataset,
                     plan.training.train.seed) {}

  Normalisation normalisation;
  Augmentation augmentation;
};

}  // namespace regatta
