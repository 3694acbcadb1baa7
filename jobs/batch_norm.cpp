// Design note. Torch has no batch norm over ranks on the CPU, so with `sum` this is an autograd node of our own. With N
// values a channel over all ranks, x' = (x - mean) / sqrt(var + eps), y = weight x' + bias, and dy from above:
//
//   forward   N, mean, var: one sum over ranks
//   backward  S = sum dy, P = sum dy x' over all ranks: one sum
//             dx = weight / sqrt(var + eps) (dy - S/N - x' P/N);  dbias, dweight are this rank's parts of S and P
//
// Ranks bring count, sum and square sum, but not of x itself: of x - k, where k is the running mean, which all ranks
// have alike and which lies near the data. So E[x^2] - E[x]^2 cancels nothing that matters. A rank has its own mean
// and variance from ATen's kernel, which takes two passes, and shifts them in double (Chan, Golub, LeVeque 1979).
//
// The passes over x are ATen's fused ones of evaluation mode, which take any mean and variance: backward one for the
// two sums and the part of dx in dy, one for the part that is a line in x, one that adds them.

#include "jobs/batch_norm.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "common/error.hpp"

namespace regatta {
namespace {

constexpr double kMomentum = 0.1, kEpsilon = 1e-5;  // nn.BatchNorm2d's

/// Per channel, over all ranks, in the parameters' dtype; `count` is the number of values of a channel.
struct BatchStatistics {
  at::Tensor mean, var;  // (C), biased variance
  double count = 0;
};

std::int64_t values_per_channel(const at::Tensor& x) {
  return x.size(0) * x.size(2) * x.size(3);
}

std::vector<double> to_doubles(const at::Tensor& channels) {  // (C)
  const at::Tensor exact = channels.to(at::kCPU, at::kDouble).contiguous();
  const double* values = exact.const_data_ptr<double>();
  return {values, values + exact.numel()};
}

at::Tensor to_channels(const double* values, const at::Tensor& like) {
  return at::tensor(c10::ArrayRef<double>(values, static_cast<std::size_t>(like.numel())), like.options());
}

/// What one rank brings: sum of x - k by channel, then sum of (x - k)^2, then the count.
std::vector<double> shifted_sums(const at::Tensor& x, const at::Tensor& reference) {
  const auto channels = static_cast<std::size_t>(reference.numel());
  std::vector<double> sums(2 * channels + 1, 0.0);
  if (x.numel() == 0) return sums;
  // Without running statistics ATen would round a bfloat16 batch's to bfloat16; these two are thrown away.
  const auto [own_mean, own_var] =
      at::batch_norm_update_stats(x, at::zeros_like(reference), at::ones_like(reference), /*momentum=*/0);
  const std::vector<double> mean = to_doubles(own_mean), var = to_doubles(own_var), k = to_doubles(reference);
  const auto count = static_cast<double>(values_per_channel(x));
  for (std::size_t c = 0; c < channels; ++c) {
    const double shift = mean[c] - k[c];
    sums[c] = count * shift;
    sums[channels + c] = count * (var[c] + shift * shift);
  }
  sums.back() = count;
  return sums;
}

BatchStatistics statistics_of(const std::vector<double>& sums, const at::Tensor& reference) {
  const std::size_t channels = sums.size() / 2;
  const double count = sums.back();
  std::vector<double> mean = to_doubles(reference), var(channels, 0.0);
  for (std::size_t c = 0; c < channels && count > 0; ++c) {
    const double shift = sums[c] / count;
    mean[c] += shift;
    var[c] = std::max(0.0, sums[channels + c] / count - shift * shift);
  }
  return {to_channels(mean.data(), reference), to_channels(var.data(), reference), count};
}

/// weight (x - mean) / sqrt(var + eps) + bias
at::Tensor normalised(const at::Tensor& x, const BatchStatistics& batch, const at::Tensor& weight,
                      const at::Tensor& bias) {
  if (x.numel() == 0) return at::empty_like(x);
  return std::get<0>(
      at::native_batch_norm(x, weight, bias, batch.mean, batch.var, /*training=*/false, kMomentum, kEpsilon));
}

class SyncBatchNormBackward final : public torch::autograd::Node {
 public:
  SyncBatchNormBackward(const at::Tensor& x, const at::Tensor& weight, BatchStatistics batch, const SumOverRanks& sum)
      : x_(x, /*is_output=*/false), weight_(weight, /*is_output=*/false), batch_(std::move(batch)), sum_(sum) {}

  std::string name() const override { return "SyncBatchNormBackward"; }
  void release_variables() override {
    x_.reset_data();
    weight_.reset_data();
  }

 private:
  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    const c10::NoGradGuard no_grad;
    const at::Tensor x = x_.unpack(), weight = weight_.unpack();
    const at::Tensor dy = gradients[0].defined() ? gradients[0] : at::zeros_like(x);
    at::Tensor dx = at::zeros_like(x), own_weight = at::zeros_like(weight), own_bias = at::zeros_like(weight);
    const at::Tensor unsaved = at::empty({0}, weight.options());  // CUDA's kernels want one, whatever is in it
    if (x.numel() > 0)
      std::tie(dx, own_weight, own_bias) =
          at::native_batch_norm_backward(dy, x, weight, batch_.mean, batch_.var, unsaved, unsaved,
                                         /*train=*/false, kEpsilon, {true, true, true});
    std::vector<double> sums = to_doubles(own_bias);  // S, then P
    const std::vector<double> products = to_doubles(own_weight);
    sums.insert(sums.end(), products.begin(), products.end());
    sum_(sums);
    if (x.numel() == 0) return {dx, own_weight, own_bias};

    const at::Tensor scale = weight * (batch_.var + kEpsilon).rsqrt_();
    const at::Tensor slope = to_channels(sums.data() + products.size(), weight).mul_(scale).div_(-batch_.count);
    const at::Tensor offset = to_channels(sums.data(), weight).mul_(scale).div_(-batch_.count);
    dx.add_(normalised(x, batch_, slope, offset));  // slope x' + offset
    return {dx, own_weight, own_bias};
  }

  torch::autograd::SavedVariable x_, weight_;
  BatchStatistics batch_;
  const SumOverRanks& sum_;
};

}  // namespace

BatchNormLayer::BatchNormLayer(const ModelTensors& tensors, const std::string& name)
    : weight_(tensors.at(name + ".weight")),
      bias_(tensors.at(name + ".bias")),
      running_mean_(tensors.at(name + ".running_mean")),
      running_var_(tensors.at(name + ".running_var")),
      batches_(tensors.at(name + ".num_batches_tracked")) {}

at::Tensor BatchNormLayer::forward(const at::Tensor& x, bool training, const SumOverRanks& sum) const {
  if (!training)
    return at::batch_norm(x, weight_, bias_, running_mean_, running_var_, false, kMomentum, kEpsilon, x.is_cuda());
  ++*batches_.mutable_data_ptr<std::int64_t>();
  return sum ? with_all_ranks(x, sum) : alone(x);
}

at::Tensor BatchNormLayer::alone(const at::Tensor& x) const {
  const bool has_variance = values_per_channel(x) > 1;  // one value has none, and must not spoil the running one
  const std::optional<at::Tensor> none;
  return at::batch_norm(x, weight_, bias_, has_variance ? running_mean_ : none, has_variance ? running_var_ : none,
                        true, kMomentum, kEpsilon, /*cudnn_enabled=*/x.is_cuda());
}

at::Tensor BatchNormLayer::with_all_ranks(const at::Tensor& x, const SumOverRanks& sum) const {
  at::Tensor y;
  BatchStatistics batch;
  {
    const c10::NoGradGuard no_grad;
    std::vector<double> sums = shifted_sums(x, running_mean_);
    sum(sums);
    batch = statistics_of(sums, running_mean_);
    y = normalised(x, batch, weight_, bias_);
    if (batch.count > 1) {
      running_mean_.lerp_(batch.mean, kMomentum);
      running_var_.lerp_(batch.var * (batch.count / (batch.count - 1)), kMomentum);
    }
  }
  if (!c10::GradMode::is_enabled()) return y;
  const std::shared_ptr<torch::autograd::Node> node(new SyncBatchNormBackward(x, weight_, std::move(batch), sum),
                                                    torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(x, weight_, bias_));
  torch::autograd::create_gradient_edge(y, node);
  return y;
}

}  // namespace regatta
