// Design note. oneDNN multiplies dense float32 matrices in place of MKL through `mkldnn::_linear_pointwise`, the
// operator that torch's compiler emits: x W^T + b with an optional ReLU in the same pass. Both gradients are products
// of that form too:
//
//   forward          y  (M, N) = x (M, K) W (N, K)^T + b
//   input gradient   dx (M, K) = dy (M, N) (W^T)(K, N)^T
//   weight gradient  dW (N, K) = dy^T (N, M) (x^T)(K, M)^T     row-major, as the parameter
//
// Which library is faster depends on shape and processor: on one core of a Zen 4 EPYC, 1024 x 1024 at 32 rows, oneDNN
// takes 1.4 times as long for y, 0.80 for dx, 0.84 for dW; at 128 rows 0.92, 0.93, 0.88. In bfloat16 ATen calls oneDNN
// itself, and this way is 3 % faster forward and up to 40 % slower in dW.
//
// Autograd hands a node's gradients on when it has all of them. Where the weight's are to go first, dx therefore has a
// node of its own, which runs after all that does not need it:
//
//   dy -> LinearBackward -> dW, db
//                        -> LinearInputBackward -> dx
//
// In a step of the mlp at batch 128 that is 3 ms of 65 between two hosts at 1 Gbit/s (D-24).
//
// What ReLU lets pass is read from its output, so nothing but that is kept for backward.

#include "jobs/linear.hpp"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "common/time.hpp"

namespace regatta {
namespace {

using Pointwise = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, c10::string_view,
                             c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);

/// x w^T + bias through oneDNN.
at::Tensor onednn_product(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias = {},
                          const char* after = "none") {
  static const auto operation =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Pointwise>();
  return operation.call(x, w, bias, after, c10::List<std::optional<at::Scalar>>(), "");
}

at::Tensor output(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, bool relu, bool onednn) {
  if (onednn && x.size(0) > 0) return onednn_product(x, weight, bias, relu ? "relu" : "none");
  at::Tensor y = at::addmm(bias, x, weight.t());
  return relu ? y.relu_() : y;
}

at::Tensor input_gradient(const at::Tensor& dy, const at::Tensor& weight, bool onednn) {
  return onednn && dy.size(0) > 0 ? onednn_product(dy, weight.t()) : at::mm(dy, weight);
}

at::Tensor weight_gradient(const at::Tensor& dy, const at::Tensor& x, bool onednn) {
  return onednn && dy.size(0) > 0 ? onednn_product(dy.t(), x.t()) : at::mm(dy.t(), x);
}

/// dy to dx.
class LinearInputBackward final : public torch::autograd::Node {
 public:
  /// Nodes of higher numbers go first: all that was computed after x.
  LinearInputBackward(const at::Tensor& x, const at::Tensor& weight, LinearKernel kernel)
      : Node(x.grad_fn() ? x.grad_fn()->sequence_nr() : 0, torch::autograd::collect_next_edges(x)),
        weight_(weight, /*is_output=*/false),
        kernel_(kernel) {}

  std::string name() const override { return "LinearInputBackward"; }
  void release_variables() override { weight_.reset_data(); }

 private:
  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    const c10::NoGradGuard no_grad;
    if (!gradients[0].defined()) return {{}};
    return {input_gradient(gradients[0], weight_.unpack(), kernel_.input_gradient)};
  }

  torch::autograd::SavedVariable weight_;
  LinearKernel kernel_;
};

/// dy to dx, dW and db; or, where dx has a node of its own, to the dy that this one takes.
class LinearBackward final : public torch::autograd::Node {
 public:
  LinearBackward(const at::Tensor& x, const at::Tensor& weight, LinearKernel kernel)
      : x_(x, /*is_output=*/false), weight_(weight, /*is_output=*/false), kernel_(kernel) {}
  /// dx is computed there.
  void leave_input_to(const std::shared_ptr<LinearInputBackward>& node) {
    set_next_edge(0, {node, 0});
    passes_dy_ = true;
  }
  /// Of a layer with ReLU, once its history is set.
  void keep_output(const at::Tensor& y) { y_ = torch::autograd::SavedVariable(y, /*is_output=*/true); }

  std::string name() const override { return "LinearBackward"; }
  void release_variables() override {
    x_.reset_data();
    weight_.reset_data();
    y_.reset_data();
  }

 private:
  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    const c10::NoGradGuard no_grad;
    if (!gradients[0].defined()) return {{}, {}, {}};
    at::Tensor dy = gradients[0].contiguous();
    if (const at::Tensor y = y_.unpack(shared_from_this()); y.defined()) dy = at::threshold_backward(dy, y, 0);
    torch::autograd::variable_list found(3);
    if (task_should_compute_output(0))
      found[0] = passes_dy_ ? dy : input_gradient(dy, weight_.unpack(), kernel_.input_gradient);
    if (task_should_compute_output(1)) found[1] = weight_gradient(dy, x_.unpack(), kernel_.weight_gradient);
    if (task_should_compute_output(2)) found[2] = dy.sum(0);
    return found;
  }

  torch::autograd::SavedVariable x_, weight_, y_;
  LinearKernel kernel_;
  bool passes_dy_ = false;
};

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const LinearKernel& kernel,
                  bool relu, GradientOrder order) {
  at::Tensor y;
  {
    const c10::NoGradGuard no_grad;
    y = output(x, weight, bias, relu, kernel.forward);
  }
  if (!c10::GradMode::is_enabled()) return y;
  const std::shared_ptr<LinearBackward> node(new LinearBackward(x, weight, kernel), torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(x, weight, bias));
  torch::autograd::create_gradient_edge(y, node);
  if (order == GradientOrder::kWeights && x.requires_grad()) {
    const std::shared_ptr<LinearInputBackward> input(new LinearInputBackward(x, weight, kernel),
                                                     torch::autograd::deleteNode);
    input->add_input_metadata(y);
    node->leave_input_to(input);
  }
  if (relu) node->keep_output(y);
  return y;
}

/// Is `onednn` faster, and by more than noise? By the shortest times, for neighbours only lengthen them; the two in
/// turn.
bool is_faster(const std::function<void()>& aten, const std::function<void()>& onednn) {
  constexpr int kLeast = 3, kMost = 12;
  constexpr Duration kEnough = std::chrono::milliseconds(5);  // the mlp has nine products
  constexpr double kMargin = 0.95;
  const auto timed = [](const std::function<void()>& product) -> Duration {
    const SteadyTime start = std::chrono::steady_clock::now();
    product();
    return std::chrono::steady_clock::now() - start;
  };
  timed(aten), timed(onednn);  // code is generated at the first call
  Duration of_aten = Duration::max(), of_onednn = Duration::max();
  const SteadyTime start = std::chrono::steady_clock::now();
  for (int i = 0; i < kLeast || (i < kMost && std::chrono::steady_clock::now() - start < kEnough); ++i) {
    of_aten = std::min(of_aten, timed(aten));
    of_onednn = std::min(of_onednn, timed(onednn));
  }
  return seconds(of_onednn) < kMargin * seconds(of_aten);
}

/// More rows change the times and not which is shorter: 2 ms a product are enough.
std::int64_t rows_to_time(const LinearKernel& shape, std::int64_t rows) {
  constexpr std::int64_t kMultiplications = 80'000'000, kAlways = 32;
  const std::int64_t weights = std::min(shape.inputs * shape.outputs, kMultiplications);
  return std::clamp<std::int64_t>(rows, 1, std::max(kAlways, kMultiplications / weights));
}

}  // namespace

LinearLayer::LinearLayer(const ModelTensors& tensors, const std::string& name, const LinearKernels& kernels, bool relu)
    : weight_(tensors.at(name + ".weight")),
      bias_(tensors.at(name + ".bias")),
      kernel_(kernel_of(kernels, weight_.size(1), weight_.size(0))),
      relu_(relu) {}

at::Tensor LinearLayer::forward(const at::Tensor& x, GradientOrder order) const {
  const c10::DeviceType on = x.device().type();
  if (!at::autocast::is_autocast_available(on) || !at::autocast::is_autocast_enabled(on))
    return linear(x, weight_, bias_, kernel_, relu_, order);
  const at::ScalarType type = at::autocast::get_autocast_dtype(on);
  const auto cast = [&](const at::Tensor& tensor) { return at::autocast::cached_cast(type, tensor, on); };
  const at::Tensor x_cast = cast(x), weight = cast(weight_), bias = cast(bias_);
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(at::autocast::get_autocast_dispatch_key_from_device_type(on));
  return linear(x_cast, weight, bias, kernel_, relu_, order);
}

LinearKernels measure_linear_kernels(const ModelSpec& model, const DatasetIndex& data, std::int64_t samples,
                                     Precision precision) {
  LinearKernels kernels = linear_shapes(model, data);
  if (precision != Precision::kFp32 || !at::globalContext().hasMKLDNN()) return kernels;
  const c10::InferenceMode no_history;
  const std::int64_t rows = data.is_text() ? samples * data.sample_shape[0] : samples;
  for (LinearKernel& kernel : kernels) {
    const std::int64_t timed_rows = rows_to_time(kernel, rows);
    const at::Tensor x = at::ones({timed_rows, kernel.inputs}), dy = at::ones({timed_rows, kernel.outputs}),
                     weight = at::ones({kernel.outputs, kernel.inputs}), bias = at::ones({kernel.outputs});
    kernel.forward =
        is_faster([&] { output(x, weight, bias, false, false); }, [&] { output(x, weight, bias, false, true); });
    kernel.input_gradient =
        is_faster([&] { input_gradient(dy, weight, false); }, [&] { input_gradient(dy, weight, true); });
    kernel.weight_gradient = is_faster([&] { weight_gradient(dy, x, false); }, [&] { weight_gradient(dy, x, true); });
  }
  return kernels;
}

}  // namespace regatta
