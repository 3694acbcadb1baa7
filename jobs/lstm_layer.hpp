#pragma once
// One layer of an LSTM in bfloat16, with its gradients.

#include <ATen/core/Tensor.h>

namespace regatta {

/// What one layer of nn.LSTM has.
struct LstmWeights {
  at::Tensor input, hidden;            // (4H, I), (4H, H)
  at::Tensor input_bias, hidden_bias;  // (4H)
};

/// Whether lstm_layer() can do it; at::lstm can do everything.
bool lstm_layer_fits(const at::Tensor& x, const LstmWeights& weights);

/// (B, L, I) to (B, L, H) bfloat16; each sample begins with no memory. Weights are bfloat16, or cast under autocast;
/// biases may be float32 in any case.
at::Tensor lstm_layer(const at::Tensor& x, const LstmWeights& weights);

}  // namespace regatta
