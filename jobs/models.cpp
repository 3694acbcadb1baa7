// From a layout to tensors, and what all models share. Element e of the i-th trained tensor is a hash of (seed, i, e),
// so that nothing depends on the order in which numbers are drawn.

#include "jobs/models.hpp"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/splitmix.hpp"
#include "jobs/model_families.hpp"
#include "jobs/model_fit.hpp"
#include "jobs/model_layout.hpp"

namespace regatta {
namespace {

std::uint64_t next_mix(std::uint64_t x) {
  return mix64(x + kGoldenStride);  // so that 0 does not stay 0
}

/// The n-th of a stream of numbers in [0, 1).
double unit_of(std::uint64_t stream, std::uint64_t n) {
  return static_cast<double>(next_mix(stream + n) >> 11) * 0x1p-53;
}

/// N(0, 1) by Box and Muller (Ann. Math. Stat. 29, 1958).
double normal_of(std::uint64_t stream, std::uint64_t n) {
  const double radius = std::sqrt(-2 * std::log(1 - unit_of(stream, 2 * n)));
  return radius * std::cos(2 * std::numbers::pi * unit_of(stream, 2 * n + 1));
}

at::ScalarType scalar_type(Precision precision) {
  REGATTA_ENSURE(precision != Precision::kAuto, "a precision that was chosen");
  return precision == Precision::kFp64 ? at::kDouble : at::kFloat;
}

Autocast autocast_of(Precision precision) {
  if (precision == Precision::kBf16) return at::kBFloat16;
  if (precision == Precision::kFp16) return at::kHalf;
  return {};
}

at::Tensor initial_values(const TensorLayout& layout, std::uint64_t stream) {
  using Start = TensorLayout::Start;
  if (layout.start == Start::kOnes) return at::ones(layout.shape, at::kDouble);
  if (layout.start == Start::kZeros) return at::zeros(layout.shape, at::kDouble);
  at::Tensor exact = at::empty(layout.shape, at::kDouble);
  double* values = exact.mutable_data_ptr<double>();
  const auto count = static_cast<std::uint64_t>(exact.numel());
  if (layout.start == Start::kNormal)
    for (std::uint64_t e = 0; e < count; ++e) values[e] = normal_of(stream, e);
  else
    for (std::uint64_t e = 0; e < count; ++e) values[e] = (2 * unit_of(stream, e) - 1) * layout.bound;
  return exact;
}

/// On the device as convolutions there want their kernels; counters stay on the host, where they are counted.
at::Tensor placed(const at::Tensor& exact, at::ScalarType type, c10::Device device) {
  const bool images = exact.dim() == 4 && type == at::kFloat && !device.is_cpu();
  return exact.to(type).contiguous(images ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous).to(device);
}

ModelTensors make_tensors(const ModelLayout& layout, at::ScalarType type, std::uint64_t seed, c10::Device device) {
  ModelTensors tensors;
  for (const TensorLayout& wanted : layout) {
    const std::uint64_t stream = next_mix(next_mix(seed) + tensors.parameters.size());
    const bool counts = wanted.kind == TensorLayout::Kind::kCounter;
    const at::Tensor exact = initial_values(wanted, stream);
    at::Tensor values = counts ? exact.to(at::kLong) : placed(exact, type, device);
    if (wanted.trained())
      tensors.parameters.emplace_back(wanted.name, values.requires_grad_(true));
    else
      tensors.buffers.emplace_back(wanted.name, std::move(values));
  }
  return tensors;
}

const at::Tensor* find_tensor(const ModelTensors& tensors, const std::string& name) {
  for (const NamedTensors* list : {&tensors.parameters, &tensors.buffers})
    for (const auto& [candidate, tensor] : *list)
      if (candidate == name) return &tensor;
  return nullptr;
}

/// Autocast on a kind of device for as long as it lives, as torch.autocast("cpu", torch.bfloat16): nesting counts, and
/// the outermost one clears the cache of cast weights.
class AutocastScope {
 public:
  AutocastScope(c10::DeviceType on, at::ScalarType type)
      : on_(on),
        was_enabled_(at::autocast::is_autocast_enabled(on)),
        type_before_(at::autocast::get_autocast_dtype(on)) {
    at::autocast::set_autocast_enabled(on_, true);
    at::autocast::set_autocast_dtype(on_, type);
    at::autocast::increment_nesting();
  }
  ~AutocastScope() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_dtype(on_, type_before_);
    at::autocast::set_autocast_enabled(on_, was_enabled_);
  }
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  c10::DeviceType on_;
  bool was_enabled_;
  at::ScalarType type_before_;
};

}  // namespace

const at::Tensor& ModelTensors::at(const std::string& name) const {
  const at::Tensor* const found = find_tensor(*this, name);
  REGATTA_ENSURE(found != nullptr, "a layer without its tensor " + name);
  return *found;
}

bool ModelTensors::has(const std::string& name) const {
  return find_tensor(*this, name) != nullptr;
}

at::Tensor Model::forward(const at::Tensor& inputs) {
  if (!autocast_) return compute(inputs);
  const AutocastScope autocast(inputs.device().type(), *autocast_);
  return compute(inputs);
}

void Model::share_statistics(SumOverRanks sum) {
  if (!tensors_.buffers.empty()) sum_over_ranks_ = std::move(sum);
}

std::unique_ptr<Model> make_model(const ModelSpec& spec, const DatasetIndex& data, Precision precision,
                                  std::uint64_t seed, const LayerKernels& kernels, c10::Device device) {
  const at::ScalarType type = scalar_type(precision);
  if (const auto misfit = model_misfit(spec, data))
    throw ConfigError(misfit->key + ": " + misfit->message + "\n  " + misfit->advice);
  ModelTensors tensors = make_tensors(model_layout(spec, data), type, seed, device);
  const Autocast autocast = autocast_of(precision);
  switch (spec.kind) {
    case ModelKind::kMlp:
      return make_mlp(std::move(tensors), autocast, kernels.linear);
    case ModelKind::kCnn:
      return make_cnn(std::move(tensors), autocast, kernels.linear);
    case ModelKind::kResnet18:
      return make_resnet18(std::move(tensors), autocast, kernels);
    case ModelKind::kLstm:
      return make_lstm(std::move(tensors), autocast, kernels);
  }
  ensure_failed("a known kind", __FILE__, __LINE__, "a model without layers");
}

at::Tensor loss_sum(const at::Tensor& logits, const at::Tensor& targets) {
  const at::Tensor exact = at::isReducedFloatingType(logits.scalar_type()) ? logits.to(at::kFloat) : logits;
  const at::Tensor sum = at::cross_entropy_loss(exact, targets.flatten(), /*weight=*/{}, at::Reduction::Sum);
  return targets.dim() == 2 ? sum / targets.size(1) : sum;
}

void average_running_statistics(Model& model, std::int64_t own_samples, const SumOverRanks& sum) {
  const c10::NoGradGuard no_grad;
  const auto samples = static_cast<double>(own_samples);
  std::vector<double> sums;  // each buffer times the samples, one after the other; then the samples
  for (const auto& [name, buffer] : model.buffers()) {
    const at::Tensor weighted = buffer.to(at::kCPU, at::kDouble).mul(samples).contiguous();
    const double* values = weighted.const_data_ptr<double>();
    sums.insert(sums.end(), values, values + weighted.numel());
  }
  sums.push_back(samples);
  sum(sums);
  const double all_samples = sums.back();
  if (all_samples == 0) return;  // nobody has trained
  std::int64_t at = 0;
  for (const auto& [name, buffer] : model.buffers()) {
    const at::Tensor average =
        at::from_blob(sums.data() + at, buffer.sizes(), at::TensorOptions(at::kDouble)) / all_samples;
    buffer.copy_(buffer.scalar_type() == at::kLong ? average.round() : average);
    at += buffer.numel();
  }
}

}  // namespace regatta
