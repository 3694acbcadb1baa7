#pragma once
// What to say of a training whose numbers have left the finite ones. Pure.

#include <cstdint>
#include <string>

#include "jobs/plan.hpp"
#include "worker/trainer.hpp"

namespace regatta {

/// What it was and what to change; empty for a training that ended in another way. `several_nodes`: they meet as
/// train.exchange says.
std::string divergence_words(const Plan& plan, bool several_nodes, const TrainingResult& result);

}  // namespace regatta
