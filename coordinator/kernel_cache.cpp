#include "coordinator/kernel_cache.hpp"

#include "common/error.hpp"
#include "coordinator/choice_cache.hpp"

namespace regatta {

Json kernel_key(const Plan& plan, const Inventory& machine, const std::string& without) {
  const TrainSpec& train = plan.training.train;
  return {{"model", to_json(plan.training).at("model")},
          {"sample_shape", plan.dataset.sample_shape},
          {"classes", plan.dataset.classes},
          {"train_count", plan.dataset.train_count},  // with the next three: how many samples rank 0 has at a time
          {"batch", train.batch},
          {"accumulate", train.accumulate},
          {"shares", plan.shares},
          {"threads", plan.placement.threads},
          {"precision", to_text(train.precision)},
          {"machine", machine_key(machine)},
          {"regatta", REGATTA_VERSION},
          {"without", without}};
}

std::optional<LinearKernels> KernelCache::find(const Json& key) const {
  try {
    const Json kept = files_.find(key);
    if (!kept.is_null()) return linear_kernels_from_json(kept);
  } catch (const IoError&) {
  }
  return {};
}

void KernelCache::keep(const Json& key, const LinearKernels& kernels) const {
  files_.keep(key, to_json(kernels));
}

std::optional<LinearKernels> measured_kernels(const RunState& run) {
  if (run.attempts.empty() || !run.attempts[0].start || run.attempts[0].start->kernels.is_null()) return {};
  return linear_kernels_from_json(run.attempts[0].start->kernels);
}

}  // namespace regatta
