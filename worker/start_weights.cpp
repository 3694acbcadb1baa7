// Only rank 0's host needs to see the file. It is checked there as a whole; what travels are tensors in the types that
// the model has, so that other ranks know their sizes.

#include "worker/start_weights.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstring>

#include "jobs/start_weights.hpp"
#include "worker/failure.hpp"
#include "worker/tensor_types.hpp"

namespace regatta {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 28;  // MPI 3 counts in int

/// All tensors, in an order that all ranks have.
NamedTensors all_tensors(const Model& model) {
  NamedTensors all = model.parameters();
  all.insert(all.end(), model.buffers().begin(), model.buffers().end());
  return all;
}

void copy_from(const SafetensorsFile& file, const NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) {
    const auto found = std::find_if(file.tensors.begin(), file.tensors.end(),
                                    [&, &wanted = name](const auto& view) { return view.name == wanted; });
    REGATTA_ENSURE(found != file.tensors.end() && found->shape == tensor.sizes().vec(), "weights that were checked");
    const at::Tensor raw = at::empty(tensor.sizes(), type_of_dtype(found->dtype));
    std::memcpy(raw.mutable_data_ptr(), found->bytes.data(), found->bytes.size());  // they may lie at any byte
    at::Tensor(tensor).copy_(raw);
  }
}

void broadcast_tensor(const at::Tensor& tensor, RankContext& ranks) {
  const at::Tensor plain = tensor.cpu().contiguous();
  auto* const bytes = static_cast<char*>(plain.mutable_data_ptr());
  for (std::size_t at = 0; at < plain.nbytes(); at += kPiece) {
    const std::size_t size = std::min(kPiece, plain.nbytes() - at);
    const std::string piece = ranks.broadcast(ranks.rank() == 0 ? std::string(bytes + at, size) : std::string());
    REGATTA_ENSURE(piece.size() == size, "the same model on every rank");
    std::memcpy(bytes + at, piece.data(), size);
  }
  if (!plain.is_alias_of(tensor)) at::Tensor(tensor).copy_(plain);
}

}  // namespace

void load_start_weights(Model& model, const Plan& plan, RankContext& ranks, Watchdog& watchdog) {
  if (!plan.weights) return;
  const c10::NoGradGuard no_grad;
  const Duration usual = watchdog.deadline();
  watchdog.set_deadline(usual + reading_allowance(plan.weights->bytes));
  const NamedTensors tensors = all_tensors(model);
  agree(ranks, [&] {
    if (ranks.rank() == 0) copy_from(read_indexed_weights(*plan.weights), tensors);
  });
  if (ranks.world_size() > 1)
    for (const auto& [name, tensor] : tensors) broadcast_tensor(tensor, ranks);
  watchdog.set_deadline(usual);
}

}  // namespace regatta
