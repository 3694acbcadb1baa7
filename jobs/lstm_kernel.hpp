#pragma once
// One layer of an LSTM (Hochreiter and Schmidhuber, Neural Computation 9, 1997) over whole samples, without a memory
// from before, in bfloat16. Everything lies sample by sample: (batch, length, ..).

#include <c10/util/BFloat16.h>

#include <cstdint>

namespace regatta {

struct LstmShape {
  std::int64_t batch = 0, length = 0, inputs = 0, hidden = 0;
  std::int64_t rows() const { return batch * length; }
};

/// Whether it can be done here: AVX-512 with its bfloat16, and whole vectors.
bool lstm_fits(const LstmShape& shape);

// Both want lstm_fits(shape), use torch's threads and give the same bits for any number of them. Sums and memories are
// float32.

/// y (B, L, H) from x (B, L, I), weights (4H, I) and (4H, H) as in nn.LSTM, and the sum of both biases (4H). Keeps what
/// backward wants: `gates` (4 B L H, in an order of its own) and `cells` (B, L, H).
void lstm_forward(const LstmShape& shape, const c10::BFloat16* x, const c10::BFloat16* input_weights,
                  const c10::BFloat16* hidden_weights, const float* bias, c10::BFloat16* y, float* gates, float* cells);

/// Gradients (B, L, 4H) of what goes into the gates, in nn.LSTM's order i, f, g, o, from dy (B, L, H).
void lstm_backward(const LstmShape& shape, const c10::BFloat16* dy, const c10::BFloat16* hidden_weights,
                   const float* gates, const float* cells, c10::BFloat16* gate_gradients);

}  // namespace regatta
