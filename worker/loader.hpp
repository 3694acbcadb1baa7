#pragma once
// This rank's batches: the plan's order and the shares in force say which samples; a thread makes them ahead.

#include <cstdint>
#include <functional>
#include <memory>

#include "jobs/plan.hpp"
#include "worker/batch_source.hpp"
#include "worker/sample_source.hpp"

namespace regatta {

/// Called by the producing thread before it makes batch `batch` (from 0): for a test's delay or failure.
using BeforeBatch = std::function<void(std::int64_t batch)>;

/// Batches of rank `rank`, at most two ahead of the trainer, in three buffers that are used again: so the memory that a
/// streamed dataset takes is bounded. `source` is read, decoded and augmented on the loader's own thread. `plan` and
/// what the source refers to must outlive it. It may be destroyed at any moment; its thread sleeps while the buffers
/// are full.
std::unique_ptr<BatchSource> make_loader(const Plan& plan, std::unique_ptr<SampleSource> source, int rank,
                                         BeforeBatch before = {});

/// Rank `rank`'s part of the test set: contiguous, by the shares in force, in batches of min(train.batch, 1000) /
/// ranks, never augmented. Made on the calling thread, into one buffer: a batch is valid until the next one.
std::unique_ptr<EvaluationSource> make_evaluation_source(const Plan& plan, std::unique_ptr<SampleSource> source,
                                                         int rank);

}  // namespace regatta
