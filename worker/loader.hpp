#pragma once
// This rank's batches: which samples follows from the plan alone (order, shares), and a thread makes them ahead.

#include <cstdint>
#include <functional>
#include <memory>

#include "jobs/plan.hpp"
#include "worker/batch_source.hpp"
#include "worker/node_dataset.hpp"

namespace regatta {

/// Called by the producing thread before it makes batch `batch` (from 0): for a test's delay or failure.
using BeforeBatch = std::function<void(std::int64_t batch)>;

/// Batches of rank `rank`, at most two ahead of the trainer, in three buffers that are used again. `plan` and the data
/// must outlive it. It may be destroyed at any moment; its thread sleeps while the buffers are full.
std::unique_ptr<BatchSource> make_loader(const Plan& plan, const DecodedSplit& train, int rank,
                                         BeforeBatch before = {});

/// Rank `rank`'s part of the test set: contiguous, by the plan's shares, in batches of min(train.batch, 1000) / ranks.
/// Made on the calling thread, into one buffer: a batch is valid until the next one is asked for.
std::unique_ptr<EvaluationSource> make_evaluation_source(const Plan& plan, const DecodedSplit& test, int rank);

}  // namespace regatta
