#include "jobs/convolution.hpp"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <memory>

#include "jobs/winograd.hpp"

namespace regatta {
namespace {

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

ConvolutionShape shape_of(const at::Tensor& x, const at::Tensor& weight) {
  return {x.size(0), x.size(2), x.size(3), weight.size(1), weight.size(0)};
}

WeightStrides strides_of(const at::Tensor& weight) {
  return {weight.stride(0), weight.stride(1), weight.stride(3)};
}

/// Calls `run` with an image's number and a weight's, whatever types they have.
template <class Run>
void with_types(const at::Tensor& x, const at::Tensor& weight, Run run) {
  if (x.scalar_type() == at::kFloat) return run(float(), float());
  if (weight.scalar_type() == at::kFloat) return run(c10::BFloat16(), float());
  run(c10::BFloat16(), c10::BFloat16());
}

at::Tensor output(const at::Tensor& x, const at::Tensor& weight) {
  const ConvolutionShape shape = shape_of(x, weight);
  at::Tensor y = at::empty({shape.batch, shape.outputs, shape.height, shape.width}, x.options(), kChannelsLast);
  with_types(x, weight, [&]<class T, class W>(T, W) {
    winograd_forward(shape, x.const_data_ptr<T>(), weight.const_data_ptr<W>(), strides_of(weight),
                     y.mutable_data_ptr<T>());
  });
  return y;
}

at::Tensor input_gradient(const at::Tensor& dy, const at::Tensor& weight) {
  const ConvolutionShape shape = shape_of(dy, weight);
  at::Tensor dx = at::empty({shape.batch, shape.inputs, shape.height, shape.width}, dy.options(), kChannelsLast);
  with_types(dy, weight, [&]<class T, class W>(T, W) {
    winograd_input_gradient(shape, dy.const_data_ptr<T>(), weight.const_data_ptr<W>(), strides_of(weight),
                            dx.mutable_data_ptr<T>());
  });
  return dx;
}

at::Tensor weight_gradient(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& weight) {
  at::Tensor gradient = at::empty_strided(weight.sizes(), weight.strides(), weight.options());
  with_types(x, weight, [&]<class T, class W>(T, W) {
    winograd_weight_gradient(shape_of(x, weight), x.const_data_ptr<T>(), dy.const_data_ptr<T>(),
                             gradient.mutable_data_ptr<W>(), strides_of(gradient));
  });
  return gradient;
}

class ConvolutionBackward final : public torch::autograd::Node {
 public:
  ConvolutionBackward(const at::Tensor& x, const at::Tensor& weight)
      : x_(x, /*is_output=*/false), weight_(weight, /*is_output=*/false) {}

  std::string name() const override { return "ConvolutionBackward"; }
  void release_variables() override {
    x_.reset_data();
    weight_.reset_data();
  }

 private:
  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    const c10::NoGradGuard no_grad;
    if (!gradients[0].defined()) return {{}, {}};
    const at::Tensor dy = gradients[0].contiguous(kChannelsLast), weight = weight_.unpack();
    torch::autograd::variable_list found(2);
    if (task_should_compute_output(0)) found[0] = input_gradient(dy, weight);
    if (task_should_compute_output(1)) found[1] = weight_gradient(x_.unpack(), dy, weight);
    return found;
  }

  torch::autograd::SavedVariable x_, weight_;
};

bool is_ours(const at::Tensor& x, const at::Tensor& weight, std::int64_t stride) {
  const at::ScalarType images = x.scalar_type(), weights = weight.scalar_type();
  const bool types = images == at::kFloat
                         ? weights == at::kFloat
                         : images == at::kBFloat16 && (weights == at::kFloat || weights == at::kBFloat16);
  return types && stride == 1 && weight.size(2) == 3 && weight.size(3) == 3 &&
         weight.stride(2) == 3 * weight.stride(3) && winograd_fits(shape_of(x, weight));
}

}  // namespace

at::Tensor convolve(const at::Tensor& images, const at::Tensor& weight, std::int64_t stride, bool own) {
  at::Tensor x = images;
  if (at::autocast::is_autocast_enabled(at::kCPU))
    x = at::autocast::cached_cast(at::autocast::get_autocast_dtype(at::kCPU), x, at::kCPU);
  if (!own || !is_ours(x, weight, stride))
    return at::conv2d(x, weight, /*bias=*/{}, stride, /*padding=*/weight.size(2) / 2);
  x = x.contiguous(kChannelsLast);
  at::Tensor y;
  {
    const c10::NoGradGuard no_grad;
    y = output(x, weight);
  }
  if (!c10::GradMode::is_enabled()) return y;
  const std::shared_ptr<torch::autograd::Node> node(new ConvolutionBackward(x, weight), torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(x, weight));
  torch::autograd::create_gradient_edge(y, node);
  return y;
}

}  // namespace regatta
