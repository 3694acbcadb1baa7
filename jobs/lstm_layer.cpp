// Design note. The recurrence is a kernel of our own (lstm_kernel.hpp). It leaves the gradients of what goes into the
// gates; everything else backward is one product each over all characters, which are ATen's.

#include "jobs/lstm_layer.hpp"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <memory>

#include "jobs/lstm_kernel.hpp"

namespace regatta {
namespace {

using Half = c10::BFloat16;

LstmShape lstm_shape(const at::Tensor& x, const at::Tensor& hidden_weights) {
  return {x.size(0), x.size(1), x.size(2), hidden_weights.size(1)};
}

at::ScalarType type_of(const LstmWeights& weights) {
  const bool autocast = at::autocast::is_autocast_enabled(at::kCPU);
  return autocast ? at::autocast::get_autocast_dtype(at::kCPU) : weights.input.scalar_type();
}

class LstmLayerBackward final : public torch::autograd::Node {
 public:
  LstmLayerBackward(const at::Tensor& x, const LstmWeights& weights, at::Tensor gates, at::Tensor cells)
      : x_(x, /*is_output=*/false),
        input_(weights.input, /*is_output=*/false),
        hidden_(weights.hidden, /*is_output=*/false),
        bias_type_(weights.input_bias.scalar_type()),
        gates_(std::move(gates)),
        cells_(std::move(cells)) {}
  /// Once its history is set.
  void keep_output(const at::Tensor& y) { y_ = torch::autograd::SavedVariable(y, /*is_output=*/true); }

  std::string name() const override { return "LstmLayerBackward"; }
  void release_variables() override {
    x_.reset_data();
    input_.reset_data();
    hidden_.reset_data();
    y_.reset_data();
    gates_.reset();
    cells_.reset();
  }

 private:
  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    const c10::NoGradGuard no_grad;
    if (!gradients[0].defined()) return {{}, {}, {}, {}, {}};
    const at::Tensor dy = gradients[0].contiguous(), x = x_.unpack(), input = input_.unpack(),
                     hidden = hidden_.unpack(), y = y_.unpack(shared_from_this());
    const LstmShape shape = lstm_shape(x, hidden);
    at::Tensor into_gates = at::empty({shape.rows(), hidden.size(0)}, dy.options());  // (B L, 4H)
    lstm_backward(shape, dy.const_data_ptr<Half>(), hidden.const_data_ptr<Half>(), gates_.const_data_ptr<float>(),
                  cells_.const_data_ptr<float>(), into_gates.mutable_data_ptr<Half>());
    const at::Tensor by_gate = into_gates.t(), bias = into_gates.sum(0).to(bias_type_);
    torch::autograd::variable_list found(5);
    if (task_should_compute_output(0)) found[0] = at::mm(into_gates, input).view(x.sizes());
    found[1] = at::mm(by_gate, x.view({shape.rows(), shape.inputs}));
    found[2] = at::mm(by_gate, outputs_before(y).view({shape.rows(), shape.hidden}));
    found[3] = bias;
    found[4] = bias.clone();
    return found;
  }

  /// (B, L, H): at each character what came out of the one before.
  static at::Tensor outputs_before(const at::Tensor& y) {
    at::Tensor before = at::empty_like(y);
    before.select(1, 0).zero_();
    before.narrow(1, 1, y.size(1) - 1).copy_(y.narrow(1, 0, y.size(1) - 1));
    return before;
  }

  torch::autograd::SavedVariable x_, input_, hidden_, y_;
  at::ScalarType bias_type_;
  at::Tensor gates_, cells_;
};

}  // namespace

bool lstm_layer_fits(const at::Tensor& x, const LstmWeights& weights) {
  return type_of(weights) == at::kBFloat16 && x.numel() > 0 && weights.input.is_contiguous() &&
         weights.hidden.is_contiguous() && lstm_fits(lstm_shape(x, weights.hidden));
}

at::Tensor lstm_layer(const at::Tensor& inputs, const LstmWeights& given) {
  const auto cast = [](const at::Tensor& tensor) { return at::autocast::cached_cast(at::kBFloat16, tensor, at::kCPU); };
  const at::Tensor x = cast(inputs).contiguous();
  LstmWeights weights = given;
  weights.input = cast(weights.input);
  weights.hidden = cast(weights.hidden);
  const LstmShape shape = lstm_shape(x, weights.hidden);
  at::Tensor y, gates, cells;
  {
    const c10::NoGradGuard no_grad;
    const at::Tensor bias = weights.input_bias.to(at::kFloat) + weights.hidden_bias.to(at::kFloat);
    y = at::empty({shape.batch, shape.length, shape.hidden}, x.options());
    gates = at::empty({4 * shape.rows() * shape.hidden}, at::kFloat);
    cells = at::empty(y.sizes(), at::kFloat);
    lstm_forward(shape, x.const_data_ptr<Half>(), weights.input.const_data_ptr<Half>(),
                 weights.hidden.const_data_ptr<Half>(), bias.const_data_ptr<float>(), y.mutable_data_ptr<Half>(),
                 gates.mutable_data_ptr<float>(), cells.mutable_data_ptr<float>());
  }
  if (!c10::GradMode::is_enabled()) return y;
  const std::shared_ptr<LstmLayerBackward> node(new LstmLayerBackward(x, weights, std::move(gates), std::move(cells)),
                                                torch::autograd::deleteNode);
  node->set_next_edges(
      torch::autograd::collect_next_edges(x, weights.input, weights.hidden, weights.input_bias, weights.hidden_bias));
  torch::autograd::create_gradient_edge(y, node);
  node->keep_output(y);
  return y;
}

}  // namespace regatta
