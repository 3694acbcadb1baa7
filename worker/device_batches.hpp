#pragma once
// This rank's batches on a device: a thread gathers their bytes, a stream of their own copies them over while the model
// computes, and the device crops, mirrors and normalises them.

#include <memory>

#include "worker/batch_source.hpp"
#include "worker/device.hpp"
#include "worker/loader.hpp"
#include "worker/sample_source.hpp"
#include "worker/watchdog.hpp"

namespace regatta {

/// As make_loader, the same samples with the same numbers; but `inputs` and `targets` of a batch lie on `device`,
/// always at the same place while shares stay, and hold the batch for what is launched on the compute stream from then
/// on, until the next call of `next`. Needed of `device`, which outlives it: memory, copies and streams, never a sum.
/// `next` waits on the host for the loader's thread alone, unless the device is more than a batch behind; it says so to
/// `watchdog`, because what it computes may wait for other ranks, and throws CommError at the deadline.
std::unique_ptr<BatchSource> make_device_batches(const Plan& plan, std::unique_ptr<SampleSource> source, int rank,
                                                 Device& device, Watchdog& watchdog, BeforeBatch before = {});

/// As make_evaluation_source, on `device` as above. Gathered on the calling thread, while the device computes.
std::unique_ptr<EvaluationSource> make_device_evaluation(const Plan& plan, std::unique_ptr<SampleSource> source,
                                                         int rank, Device& device, Watchdog& watchdog);

}  // namespace regatta
