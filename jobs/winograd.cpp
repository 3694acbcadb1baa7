// Design note (see D-11). An output tile of 4x4 pixels needs 6x6 input pixels d. With the matrices A, B, G of F(4, 3),
//
//   Y = A^T [ (G g G^T) . (B^T d B) ] A        g: 3x3 weights, .: by element
//
// so that over all channels there are 36 products of matrices, tiles x inputs by inputs x outputs, instead of one that
// is nine times as deep for sixteen pixels: 36 multiplications in place of 144. Backward the same sums run the other
// way: the input's gradient is a convolution of dy with the weights turned around; the weights' gradient is
// G^T [ sum over tiles of (B^T d B) . (A dY A^T) ] G.
//
// Everything is vectorised over channels, 16 floats at a time. Tiles come in blocks, so that what is transformed stays
// in the cache until it is multiplied; outputs in slices of 32, which is what 8 to 12 rows of accumulators leave room
// for in the registers. A few tiles make one block; then the transformed weights are never kept as a whole, which with
// 512 channels are 38 MB.
//
// Rounding: the matrices have entries up to 8, and in float32 results differ from a direct sum's by about 1e-6 of their
// size. In bfloat16 the transformed numbers would lose everything, so they are floats there too.

#include "jobs/winograd.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "common/error.hpp"

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq")

#include "jobs/avx512_vectors.hpp"

namespace regatta {
namespace {

constexpr std::int64_t kTile = 4, kPatch = 6, kPoints = kPatch * kPatch, kTaps = 9;
constexpr std::int64_t kPad = 16;  // rows of 2^n floats would fall into the same few cache lines

// One axis of each transform, as functions of numbers `s` apart.

struct ToPoints {  // B^T: 6 to 6
  static constexpr int kFrom = 6, kTo = 6;
  template <int s>
  REGATTA_INLINE static void apply(const Vector* d, Vector* t) {
    const Vector even4 = d[4 * s] - 4 * d[2 * s], odd4 = d[3 * s] - 4 * d[s];
    const Vector even1 = d[4 * s] - d[2 * s], odd2 = 2 * (d[3 * s] - d[s]);
    t[0] = 4 * d[0] - 5 * d[2 * s] + d[4 * s];
    t[s] = even4 + odd4;
    t[2 * s] = even4 - odd4;
    t[3 * s] = even1 + odd2;
    t[4 * s] = even1 - odd2;
    t[5 * s] = 4 * d[s] - 5 * d[3 * s] + d[5 * s];
  }
};

struct ToPixels {  // A^T: 6 to 4
  static constexpr int kFrom = 6, kTo = 4;
  template <int s>
  REGATTA_INLINE static void apply(const Vector* m, Vector* y) {
    const Vector sum1 = m[s] + m[2 * s], difference1 = m[s] - m[2 * s];
    const Vector sum2 = m[3 * s] + m[4 * s], difference2 = m[3 * s] - m[4 * s];
    y[0] = m[0] + sum1 + sum2;
    y[s] = difference1 + 2 * difference2;
    y[2 * s] = sum1 + 4 * sum2;
    y[3 * s] = difference1 + 8 * difference2 + m[5 * s];
  }
};

struct FromPixels {  // A: 4 to 6
  static constexpr int kFrom = 4, kTo = 6;
  template <int s>
  REGATTA_INLINE static void apply(const Vector* y, Vector* m) {
    const Vector y0 = y[0], y1 = y[s], y2 = y[2 * s], y3 = y[3 * s];
    const Vector even1 = y0 + y2, odd1 = y1 + y3, even2 = y0 + 4 * y2, odd2 = 2 * y1 + 8 * y3;
    m[0] = y0;
    m[s] = even1 + odd1;
    m[2 * s] = even1 - odd1;
    m[3 * s] = even2 + odd2;
    m[4 * s] = even2 - odd2;
    m[5 * s] = y3;
  }
};

struct WeightsToPoints {  // G: 3 to 6
  static constexpr int kFrom = 3, kTo = 6;
  template <int s>
  REGATTA_INLINE static void apply(const Vector* g, Vector* u) {
    const Vector g0 = g[0], g1 = g[s], g2 = g[2 * s];
    const Vector outer = (g0 + g2) * (-1.0F / 6), inner = g1 * (-1.0F / 6);
    const Vector outer2 = g0 * (1.0F / 24) + g2 * (1.0F / 6), inner2 = g1 * (1.0F / 12);
    u[0] = g0 * 0.25F;
    u[s] = outer + inner;
    u[2 * s] = outer - inner;
    u[3 * s] = outer2 + inner2;
    u[4 * s] = outer2 - inner2;
    u[5 * s] = g2;
  }
};

struct PointsToWeights {  // G^T: 6 to 3
  static constexpr int kFrom = 6, kTo = 3;
  template <int s>
  REGATTA_INLINE static void apply(const Vector* u, Vector* g) {
    const Vector sum1 = u[s] + u[2 * s], difference1 = u[s] - u[2 * s];
    const Vector sum2 = u[3 * s] + u[4 * s], difference2 = u[3 * s] - u[4 * s];
    g[0] = u[0] * 0.25F - sum1 * (1.0F / 6) + sum2 * (1.0F / 24);
    g[s] = difference2 * (1.0F / 12) - difference1 * (1.0F / 6);
    g[2 * s] = (sum2 - sum1) * (1.0F / 6) + u[5 * s];
  }
};

/// Both axes: `from` (F, F) becomes the first (T, T) of `to`, whose rows are F or T long, whichever is more.
template <class Axis>
REGATTA_INLINE void transform(const Vector* from, Vector* to) {
  constexpr int kFrom = Axis::kFrom, kTo = Axis::kTo;
  Vector columns[kTo * kFrom];  // (T, F)
#pragma GCC unroll 6
  for (int j = 0; j < kFrom; ++j) {
    Vector in[kFrom], out[kTo];
#pragma GCC unroll 6
    for (int i = 0; i < kFrom; ++i) in[i] = from[i * kFrom + j];
    Axis::template apply<1>(in, out);
#pragma GCC unroll 6
    for (int i = 0; i < kTo; ++i) columns[i * kFrom + j] = out[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < kTo; ++i) Axis::template apply<1>(columns + i * kFrom, to + i * kTo);
}

/// Where the tiles of a batch lie.
struct Tiles {
  explicit Tiles(const ConvolutionShape& shape)
      : height(shape.height),
        width(shape.width),
        rows((shape.height + kTile - 1) / kTile),
        columns((shape.width + kTile - 1) / kTile),
        count(shape.batch * rows * columns) {}

  /// Addresses of `size` x `size` pixels from `border` pixels above and left of tile `t`; `outside` for those that the
  /// image does not have.
  template <int size, int border, class T>
  std::array<T*, size * size> pixels(T* images, std::int64_t channels, std::int64_t t, T* outside) const {
    const std::int64_t image = t / (rows * columns), y0 = t / columns % rows * kTile - border,
                       x0 = t % columns * kTile - border;
    std::array<T*, size * size> addresses;
    for (int i = 0; i < size; ++i)
      for (int j = 0; j < size; ++j) {
        const std::int64_t y = y0 + i, x = x0 + j;
        const bool inside = y >= 0 && y < height && x >= 0 && x < width;
        addresses[static_cast<std::size_t>(i * size + j)] =
            inside ? images + ((image * height + y) * width + x) * channels : outside;
      }
    return addresses;
  }

  std::int64_t height, width, rows, columns, count;
};

/// Floats from torch's allocator.
struct Scratch {
  explicit Scratch(std::int64_t floats)
      : tensor(at::empty({floats}, at::kFloat)), data(tensor.mutable_data_ptr<float>()) {}
  at::Tensor tensor;
  float* data;
};

/// Numbers as transformed, for a block of tiles: (36, tiles, channels), rows padded.
struct Block {
  Block(std::int64_t tiles_of_it, std::int64_t channels_of_it)
      : tiles(tiles_of_it), row(channels_of_it + kPad), memory(kPoints * tiles * row) {}
  float* at(std::int64_t point, std::int64_t tile) const { return memory.data + (point * tiles + tile) * row; }
  std::int64_t tiles, row;
  Scratch memory;
};

/// `Axis` of the pixels of tiles [begin, end) into rows from 0 of `block`.
template <class Axis, int border, class T>
void transform_tiles(const Tiles& tiles, const T* images, std::int64_t channels, std::int64_t begin, std::int64_t end,
                     std::int64_t first, const Block& block) {
  constexpr int kSize = Axis::kFrom;
  const at::Tensor zeros = at::zeros({channels}, c10::CppTypeToScalarType<T>::value);
  const T* const outside = zeros.const_data_ptr<T>();
  for (std::int64_t t = begin; t < end; ++t) {
    const auto pixels = tiles.pixels<kSize, border>(images, channels, t, outside);
    float* const row = block.at(0, t - first);
    const std::int64_t next_point = block.tiles * block.row;
    for (std::int64_t c = 0; c < channels; c += kLanes) {
      Vector in[kSize * kSize], out[kPoints];
#pragma GCC unroll 36
      for (std::size_t i = 0; i < kSize * kSize; ++i) in[i] = load(pixels[i] + c);
      transform<Axis>(in, out);
#pragma GCC unroll 36
      for (std::int64_t p = 0; p < kPoints; ++p) store(row + p * next_point + c, out[p]);
    }
  }
}

/// Rows [0, R) of m (.., 32) = v (.., depth) u (depth, 32)
template <int R>
REGATTA_INLINE void multiply_rows(const float* v, std::int64_t v_row, const float* u, std::int64_t depth, float* m) {
  Vector sums[R][2] = {};
  for (std::int64_t d = 0; d < depth; ++d, u += kSlice) {
    const Vector u0 = load(u), u1 = load(u + kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const float factor = v[r * v_row + d];
      sums[r][0] += factor * u0;
      sums[r][1] += factor * u1;
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    store(m + r * kSlice, sums[r][0]);
    store(m + r * kSlice + kLanes, sums[r][1]);
  }
}

/// m (rows, 32) = v (rows, depth) u (depth, 32)
void multiply(const float* v, std::int64_t v_row, std::int64_t rows, const float* u, std::int64_t depth, float* m) {
  std::int64_t r = 0;
  for (; r + 12 <= rows; r += 12) multiply_rows<12>(v + r * v_row, v_row, u, depth, m + r * kSlice);
  for (; r + 4 <= rows; r += 4) multiply_rows<4>(v + r * v_row, v_row, u, depth, m + r * kSlice);
  for (; r < rows; ++r) multiply_rows<1>(v + r * v_row, v_row, u, depth, m + r * kSlice);
}

/// u (36, depth, 32): weights of 32 outputs as transformed. `turned`: the taps in reverse.
template <class W>
void transform_weights(const W* weights, std::int64_t output, std::int64_t input, std::int64_t tap, bool turned,
                       std::int64_t depth, float* u) {
  for (std::int64_t d = 0; d < depth; ++d)
    for (std::int64_t half = 0; half < kSlice; half += kLanes) {
      alignas(64) float taps[kTaps][kLanes];
      for (std::int64_t lane = 0; lane < kLanes; ++lane) {
        const W* const from = weights + (half + lane) * output + d * input;
        for (std::int64_t k = 0; k < kTaps; ++k)
          taps[k][lane] = static_cast<float>(from[(turned ? kTaps - 1 - k : k) * tap]);
      }
      Vector in[kTaps], out[kPoints];
#pragma GCC unroll 9
      for (std::int64_t k = 0; k < kTaps; ++k) in[k] = load(taps[k]);
      transform<WeightsToPoints>(in, out);
#pragma GCC unroll 36
      for (std::int64_t p = 0; p < kPoints; ++p) store(u + (p * depth + d) * kSlice + half, out[p]);
    }
}

/// How many tiles make a block: what is transformed of them should stay in the second cache.
std::int64_t block_of(const Tiles& tiles, std::int64_t usual) {
  return tiles.count <= 2 * usual ? std::max<std::int64_t>(tiles.count, 1) : usual;
}

template <class T, class W>
void convolve(const ConvolutionShape& shape, const T* x, const W* weights, WeightStrides strides, bool turned, T* y) {
  const Tiles tiles(shape);
  if (tiles.count == 0) return;
  const std::int64_t depth = shape.inputs, slices = shape.outputs / kSlice, slice_floats = kPoints * depth * kSlice;
  const std::int64_t block_tiles = block_of(tiles, /*usual=*/48);
  const auto weights_of = [&](std::int64_t slice, float* u) {
    transform_weights(weights + slice * kSlice * strides.output, strides.output, strides.input, strides.tap, turned,
                      depth, u);
  };
  const bool one_block = block_tiles == tiles.count;
  const Scratch all_weights(one_block ? 0 : slices * slice_floats);
  if (!one_block)
    at::parallel_for(0, slices, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t slice = begin; slice < end; ++slice) weights_of(slice, all_weights.data + slice * slice_floats);
    });
  // From the transformed tiles [first, last) to the pixels of one slice of outputs.
  const auto finish_slice = [&](std::int64_t first, std::int64_t last, const Block& v, std::int64_t slice,
                                const float* u, float* m, T* outside) {
    const std::int64_t rows = last - first;
    for (std::int64_t p = 0; p < kPoints; ++p)
      multiply(v.at(p, 0), v.row, rows, u + p * depth * kSlice, depth, m + p * rows * kSlice);
    for (std::int64_t t = first; t < last; ++t) {
      const auto pixels = tiles.pixels<kTile, 0>(y + slice * kSlice, shape.outputs, t, outside);
      for (std::int64_t half = 0; half < kSlice; half += kLanes) {
        Vector in[kPoints], out[kTile * kTile];
#pragma GCC unroll 36
        for (std::int64_t p = 0; p < kPoints; ++p) in[p] = load(m + (p * rows + t - first) * kSlice + half);
        transform<ToPixels>(in, out);
#pragma GCC unroll 16
        for (std::size_t i = 0; i < kTile * kTile; ++i) store(pixels[i] + half, out[i]);
      }
    }
  };
  if (one_block) {
    const Block v(tiles.count, depth);
    at::parallel_for(0, tiles.count, 8, [&](std::int64_t begin, std::int64_t end) {
      transform_tiles<ToPoints, 1>(tiles, x, depth, begin, end, 0, v);
    });
    at::parallel_for(0, slices, 1, [&](std::int64_t begin, std::int64_t end) {
      const Scratch u(slice_floats), m(kPoints * tiles.count * kSlice);
      std::array<T, kSlice> outside;
      for (std::int64_t slice = begin; slice < end; ++slice) {
        weights_of(slice, u.data);
        finish_slice(0, tiles.count, v, slice, u.data, m.data, outside.data());
      }
    });
    return;
  }
  const std::int64_t blocks = (tiles.count + block_tiles - 1) / block_tiles;
  at::parallel_for(0, blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    const Block v(block_tiles, depth);
    const Scratch m(kPoints * block_tiles * kSlice);
    std::array<T, kSlice> outside;
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t first = block * block_tiles, last = std::min(first + block_tiles, tiles.count);
      transform_tiles<ToPoints, 1>(tiles, x, depth, first, last, first, v);
      for (std::int64_t slice = 0; slice < slices; ++slice)
        finish_slice(first, last, v, slice, all_weights.data + slice * slice_floats, m.data, outside.data());
    }
  });
}

/// Rows [0, 8) of sums (8, 32) += a^T (8, tiles) b (tiles, 32), or = when it is the first
REGATTA_INLINE void add_products(const float* a, std::int64_t a_row, const float* b, std::int64_t b_row,
                                 std::int64_t tiles, float* sums, std::int64_t sums_row, bool first) {
  constexpr int kRows = 8;
  Vector total[kRows][2] = {};
  if (!first)
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      total[r][0] = load(sums + r * sums_row);
      total[r][1] = load(sums + r * sums_row + kLanes);
    }
  for (std::int64_t t = 0; t < tiles; ++t, a += a_row, b += b_row) {
    const Vector b0 = load(b), b1 = load(b + kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      total[r][0] += a[r] * b0;
      total[r][1] += a[r] * b1;
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    store(sums + r * sums_row, total[r][0]);
    store(sums + r * sums_row + kLanes, total[r][1]);
  }
}

/// From sums (36, 32, inputs) to the gradient of 32 outputs' weights.
template <class W>
void gradient_of_slice(const float* sums, std::int64_t inputs, W* gradient, WeightStrides strides) {
  for (std::int64_t k = 0; k < kSlice; ++k)
    for (std::int64_t c = 0; c < inputs; c += kLanes) {
      Vector in[kPoints], out[kTaps];
#pragma GCC unroll 36
      for (std::int64_t p = 0; p < kPoints; ++p) in[p] = load(sums + (p * kSlice + k) * inputs + c);
      transform<PointsToWeights>(in, out);
      alignas(64) float taps[kTaps][kLanes];
#pragma GCC unroll 9
      for (std::int64_t i = 0; i < kTaps; ++i) store(taps[i], out[i]);
      for (std::int64_t lane = 0; lane < kLanes; ++lane)
        for (std::int64_t i = 0; i < kTaps; ++i)
          gradient[k * strides.output + (c + lane) * strides.input + i * strides.tap] = static_cast<W>(taps[i][lane]);
    }
}

}  // namespace

bool winograd_fits(const ConvolutionShape& shape) {
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
    return false;
  if (shape.inputs % kSlice != 0 || shape.outputs % kSlice != 0 || shape.height < 1 || shape.width < 1) return false;
  const Tiles tiles(shape);
  return 2 * tiles.rows * tiles.columns * kTile * kTile <= 3 * shape.height * shape.width;
}

template <class T, class W>
void winograd_forward(const ConvolutionShape& shape, const T* x, const W* weights, WeightStrides strides, T* y) {
  convolve(shape, x, weights, strides, /*turned=*/false, y);
}

template <class T, class W>
void winograd_input_gradient(const ConvolutionShape& shape, const T* dy, const W* weights, WeightStrides strides,
                             T* dx) {
  ConvolutionShape back = shape;
  std::swap(back.inputs, back.outputs);
  std::swap(strides.input, strides.output);
  convolve(back, dy, weights, strides, /*turned=*/true, dx);
}

template <class T, class W>
void winograd_weight_gradient(const ConvolutionShape& shape, const T* x, const T* dy, W* gradient,
                              WeightStrides strides) {
  const Tiles tiles(shape);
  const std::int64_t inputs = shape.inputs, slices = shape.outputs / kSlice, slice_floats = kPoints * kSlice * inputs;
  const std::int64_t block_tiles = block_of(tiles, /*usual=*/96);
  const bool one_block = tiles.count <= block_tiles;
  const Scratch all_sums(one_block ? 0 : slices * slice_floats);
  const Block v(block_tiles, inputs), m(block_tiles, shape.outputs);
  const auto add_point = [&](std::int64_t slice, std::int64_t point, std::int64_t count, bool first, float* sums) {
    for (std::int64_t k = 0; k < kSlice; k += 8)
      for (std::int64_t c = 0; c < inputs; c += kSlice)
        add_products(m.at(point, 0) + slice * kSlice + k, m.row, v.at(point, 0) + c, v.row, count,
                     sums + (point * kSlice + k) * inputs + c, inputs, first);
  };
  for (std::int64_t first = 0; first == 0 || first < tiles.count; first += block_tiles) {
    const std::int64_t count = std::min(block_tiles, tiles.count - first);
    at::parallel_for(0, count, 8, [&](std::int64_t begin, std::int64_t end) {
      transform_tiles<ToPoints, 1>(tiles, x, inputs, first + begin, first + end, first, v);
      transform_tiles<FromPixels, 0>(tiles, dy, shape.outputs, first + begin, first + end, first, m);
    });
    if (one_block) break;
    at::parallel_for(0, kPoints, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t point = begin; point < end; ++point)
        for (std::int64_t slice = 0; slice < slices; ++slice)
          add_point(slice, point, count, first == 0, all_sums.data + slice * slice_floats);
    });
  }
  at::parallel_for(0, slices, 1, [&](std::int64_t begin, std::int64_t end) {
    const Scratch own_sums(one_block ? slice_floats : 0);
    for (std::int64_t slice = begin; slice < end; ++slice) {
      float* const sums = one_block ? own_sums.data : all_sums.data + slice * slice_floats;
      if (one_block)
        for (std::int64_t point = 0; point < kPoints; ++point) add_point(slice, point, tiles.count, true, sums);
      gradient_of_slice(sums, inputs, gradient + slice * kSlice * strides.output, strides);
    }
  });
}

}  // namespace regatta

#pragma GCC pop_options
#else

namespace regatta {

bool winograd_fits(const ConvolutionShape&) {
  return false;
}
template <class T, class W>
void winograd_forward(const ConvolutionShape&, const T*, const W*, WeightStrides, T*) {}
template <class T, class W>
void winograd_input_gradient(const ConvolutionShape&, const T*, const W*, WeightStrides, T*) {}
template <class T, class W>
void winograd_weight_gradient(const ConvolutionShape&, const T*, const T*, W*, WeightStrides) {}

}  // namespace regatta

#endif

namespace regatta {

#define REGATTA_WINOGRAD(T, W)                                                                           \
  template void winograd_forward(const ConvolutionShape&, const T*, const W*, WeightStrides, T*);        \
  template void winograd_input_gradient(const ConvolutionShape&, const T*, const W*, WeightStrides, T*); \
  template void winograd_weight_gradient(const ConvolutionShape&, const T*, const T*, W*, WeightStrides);
REGATTA_WINOGRAD(float, float)
REGATTA_WINOGRAD(c10::BFloat16, float)
REGATTA_WINOGRAD(c10::BFloat16, c10::BFloat16)
#undef REGATTA_WINOGRAD

}  // namespace regatta
