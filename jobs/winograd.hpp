#pragma once
// 3x3 convolution with stride 1 and a border of 1, forward and backward, in a quarter of the multiplications
// (Lavin and Gray, arXiv 1509.09308: F(4x4, 3x3)). Images lie with channels innermost.

#include <cstdint>

namespace regatta {

/// One convolution: images (batch, height, width, inputs) to (batch, height, width, outputs).
struct ConvolutionShape {
  std::int64_t batch = 0, height = 0, width = 0, inputs = 0, outputs = 0;
};

/// Numbers from one weight to the next along each axis of (outputs, inputs, 3 x 3).
struct WeightStrides {
  std::int64_t output = 0, input = 0, tap = 0;
};

/// Whether it can be done so here, and is worth it: AVX-512, whole vectors of channels, and images that 4x4 tiles cover
/// without much waste.
bool winograd_fits(const ConvolutionShape& shape);

// All three want winograd_fits(shape), use torch's threads, and give the same bits for any number of them. Sums are
// float32 for images of bfloat16 too (`T`: float or c10::BFloat16, and so `W`, the weights).

/// y (B, H, W, outputs) = x (B, H, W, inputs) * weights
template <class T, class W>
void winograd_forward(const ConvolutionShape& shape, const T* x, const W* weights, WeightStrides strides, T* y);

/// dx (B, H, W, inputs) from dy (B, H, W, outputs)
template <class T, class W>
void winograd_input_gradient(const ConvolutionShape& shape, const T* dy, const W* weights, WeightStrides strides,
                             T* dx);

/// The weights' gradient, laid out as `strides` say, from x and dy
template <class T, class W>
void winograd_weight_gradient(const ConvolutionShape& shape, const T* x, const T* dy, W* gradient,
                              WeightStrides strides);

}  // namespace regatta
