#pragma once
// train.micro_batch: auto. Memory is tried and not computed: what a pass takes depends on kernels that choose their own
// workspace.

#include <cstdint>
#include <functional>

#include "jobs/models.hpp"
#include "jobs/plan.hpp"
#include "worker/exchanger.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

/// Forward and backward over `samples` made-up samples where the model lives, beside as much memory as the optimizer's
/// state will take. False: there is not enough. The model's buffers and the exchanger's parameters are as before; no
/// gradient reaches the exchanger. Between steps, and not on a model whose passes meet other ranks. Throws what the
/// model throws besides.
bool pass_fits(const Plan& plan, Model& model, Exchanger& exchanger, std::int64_t samples);

/// `most`, or half of it, rounded up, or half of that... : the first that `fits`; 0: not even 1.
std::int64_t most_that_fit(std::int64_t most, const std::function<bool(std::int64_t samples)>& fits);

/// The most samples that a rank computes at once, without micro-batches.
std::int64_t largest_part(const Plan& plan);

/// Collective, before the first step and before the model shares statistics: the most that fit on every rank, at most
/// largest_part. Throws the same Error (kOutOfMemory) on every rank where not even one sample does.
std::int64_t find_micro_batch(const Plan& plan, Model& model, Exchanger& exchanger, RankContext& ranks);

}  // namespace regatta
