#pragma once
// A model that begins with the weights of a file instead of its seed's.

#include "jobs/models.hpp"
#include "jobs/plan.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

/// Nothing when the plan names no weights. Else rank 0 reads the file, and every rank gets the same bits, cast to its
/// tensors' types, parameters and buffers. Collective. Throws AgreedError when the file changed or is damaged.
void load_start_weights(Model& model, const Plan& plan, RankContext& ranks, Watchdog& watchdog);

}  // namespace regatta
