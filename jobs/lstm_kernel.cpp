// Design note (see D-11). What depends on the inputs alone is multiplied for all characters at once; what depends on
// the character before is a product of (batch, H) by (H, 4H) for each one, too small for a library that has to arrange
// its matrices anew every time. So the weights are packed once a step: slices of 32 outputs, in which the inputs follow
// each other. A slice of 32 hidden units does its four gates and then its part of the memory, while both lie in the
// cache; slices are what threads share. Two inputs stand in a word of 32 bits, as the instruction wants them.
//
// In bfloat16 alone: there oneDNN's layer takes 1.4 times as long at 2 x 512 units, batch 16. In float32 its products
// run at the processor's peak.
//
// Gates lie as (H / 32, 4, B L, 32), so that a slice's rows are whole vectors, and nothing is ever transposed.

#include "jobs/lstm_kernel.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")

#include "jobs/avx512_vectors.hpp"

namespace regatta {
namespace {

constexpr std::int64_t kGates = 4;

using Integers = std::int32_t __attribute__((vector_size(64)));

/// e^x within 2 units in the last place: 2^n e^r with |r| <= ln 2 / 2, and the series of e^r. Beyond 87, e^87.
REGATTA_INLINE Vector exponential(Vector x) {
  const Vector most = Vector{} + 87.0F;
  x = x > most ? most : x;
  x = x < -most ? -most : x;
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: what is added to it loses its fraction
  const Vector n = (x * 1.44269504F + kRound) - kRound;
  const Vector r = x - n * 0.693359375F + n * 2.12194440e-4F;
  Vector series = Vector{} + 1.0F / 720;
  for (const float factor : {1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F}) series = series * r + factor;
  const Integers power = (__builtin_convertvector(n, Integers) + 127) << 23;
  return series * reinterpret_cast<Vector>(power);
}
REGATTA_INLINE Vector sigmoid(Vector x) {
  return 1.0F / (1.0F + exponential(-x));
}
REGATTA_INLINE Vector hyperbolic_tangent(Vector x) {
  return 1.0F - 2.0F / (1.0F + exponential(x + x));
}

/// Two neighbouring bfloat16, of which one instruction adds both products.
using Word = std::uint32_t;
constexpr std::int64_t kInWord = 2;

REGATTA_INLINE Vector add_products(Vector sum, Word factors, const Word* packed) {
  const __m512i both = _mm512_loadu_si512(packed), factor = _mm512_set1_epi32(static_cast<int>(factors));
  return reinterpret_cast<Vector>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(factor),
                                                   reinterpret_cast<__m512bh>(both)));
}

/// Rows [0, R) of m (.., 16 V) = or += v (words, ..)^T packed (words, 16 V), whose rows are `rows` and 32 apart
template <int R, int V>
REGATTA_INLINE void multiply_rows(const Word* v, std::int64_t rows, const Word* packed, std::int64_t words, float* m,
                                  std::int64_t m_row, bool add) {
  Vector sums[R][V] = {};
  if (add)
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int i = 0; i < V; ++i) sums[r][i] = load(m + r * m_row + i * kLanes);
  for (std::int64_t w = 0; w < words; ++w, v += rows, packed += kSlice) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int i = 0; i < V; ++i) sums[r][i] = add_products(sums[r][i], v[r], packed + i * kLanes);
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int i = 0; i < V; ++i) store(m + r * m_row + i * kLanes, sums[r][i]);
}

/// m (rows, 32) = or += v (words, rows)^T packed (words, 32). As many rows at once as there are registers, so that what
/// is packed passes by few times: 16 rows by one vector, or fewer by two.
void multiply(const Word* v, std::int64_t rows, const Word* packed, std::int64_t words, float* m, std::int64_t m_row,
              bool add) {
  std::int64_t r = 0;
  const auto take = [&]<int R, int V>(std::integral_constant<int, R>, std::integral_constant<int, V>) {
    for (std::int64_t lane = 0; lane < kSlice; lane += V * kLanes)
      multiply_rows<R, V>(v + r, rows, packed + lane, words, m + r * m_row + lane, m_row, add);
    r += R;
  };
  constexpr std::integral_constant<int, 1> kOne;
  constexpr std::integral_constant<int, 2> kTwo;
  while (r + 12 <= rows && rows - r != 16) take(std::integral_constant<int, 12>(), kTwo);
  if (r + 16 == rows) take(std::integral_constant<int, 16>(), kOne);
  while (r + 4 <= rows) take(std::integral_constant<int, 4>(), kTwo);
  while (r < rows) take(kOne, kTwo);
}

/// Rows [0, 32) of weights (.., words) as (words, 32)
void pack_rows(const Word* weights, std::int64_t words, Word* packed) {
  for (std::int64_t from = 0; from < words; from += kLanes)
    for (std::int64_t lane = 0; lane < kSlice; ++lane)
      for (std::int64_t w = from; w < std::min(from + kLanes, words); ++w)
        packed[w * kSlice + lane] = weights[lane * words + w];
}

/// Columns [0, 32) of weights (rows, row) as (words, 32): words run down the rows
void pack_columns(const c10::BFloat16* weights, std::int64_t rows, std::int64_t row, Word* packed) {
  for (std::int64_t r = 0; r < rows; r += 2)
    for (std::int64_t lane = 0; lane < kSlice; ++lane)
      packed[r / 2 * kSlice + lane] = weights[r * row + lane].x | Word{weights[(r + 1) * row + lane].x} << 16;
}

/// Numbers from torch's allocator.
template <class N>
struct Scratch {
  explicit Scratch(std::int64_t count)
      : tensor(at::zeros({count * static_cast<std::int64_t>(sizeof(N))}, at::kByte)),
        data(reinterpret_cast<N*>(tensor.mutable_data_ptr<std::uint8_t>())) {}
  at::Tensor tensor;
  N* data;
};

const Word* words(const c10::BFloat16* numbers) {
  return reinterpret_cast<const Word*>(numbers);
}

/// x (rows, words) in blocks of 12 rows, each as (words, 12), the last one perhaps narrower: what multiply() takes
constexpr std::int64_t kRowsAtOnce = 12;
void pack_blocks(const Word* x, std::int64_t rows, std::int64_t words_of_it, Word* packed) {
  for (std::int64_t first = 0; first < rows; first += kRowsAtOnce) {
    const std::int64_t width = std::min(kRowsAtOnce, rows - first);
    Word* const block = packed + first * words_of_it;
    for (std::int64_t r = 0; r < width; ++r)
      for (std::int64_t w = 0; w < words_of_it; ++w) block[w * width + r] = x[(first + r) * words_of_it + w];
  }
}

/// The 32 numbers of a slice and a sample, into (words, batch)
REGATTA_INLINE void keep(const c10::BFloat16* numbers, std::int64_t batch, Word* kept) {
  for (std::int64_t w = 0; w < kSlice / kInWord; ++w) kept[w * batch] = words(numbers)[w];
}

/// One slice at one time: from what goes into the gates to y and memory, for one sample.
REGATTA_INLINE void forward_cell(float* const (&gate)[kGates], const float* const (&bias)[kGates],
                                 const float* cell_before, float* cell, c10::BFloat16* y) {
  for (std::int64_t c = 0; c < kSlice; c += kLanes) {
    const Vector in = sigmoid(load(gate[0] + c) + load(bias[0] + c)),
                 forget = sigmoid(load(gate[1] + c) + load(bias[1] + c)),
                 candidate = hyperbolic_tangent(load(gate[2] + c) + load(bias[2] + c)),
                 out = sigmoid(load(gate[3] + c) + load(bias[3] + c));
    const Vector before = cell_before != nullptr ? load(cell_before + c) : Vector{};
    const Vector now = forget * before + in * candidate;
    const Vector result = out * hyperbolic_tangent(now);
    store(gate[0] + c, in);
    store(gate[1] + c, forget);
    store(gate[2] + c, candidate);
    store(gate[3] + c, out);
    store(cell + c, now);
    store(y + c, result);
  }
}

/// The same way back. `later`: dy's part that comes from the next character, `memory`: the cell's gradient, carried on.
REGATTA_INLINE void backward_cell(const float* const (&gate)[kGates], const float* cell_before, const float* cell,
                                  const c10::BFloat16* dy, const float* later, float* memory,
                                  c10::BFloat16* const (&gradient)[kGates]) {
  for (std::int64_t c = 0; c < kSlice; c += kLanes) {
    const Vector in = load(gate[0] + c), forget = load(gate[1] + c), candidate = load(gate[2] + c),
                 out = load(gate[3] + c);
    const Vector before = cell_before != nullptr ? load(cell_before + c) : Vector{};
    const Vector bent = hyperbolic_tangent(load(cell + c));
    const Vector dh = load(dy + c) + load(later + c);
    const Vector dcell = load(memory + c) + dh * out * (1.0F - bent * bent);
    store(memory + c, dcell * forget);
    const Vector found[kGates] = {dcell * candidate * in * (1.0F - in), dcell * before * forget * (1.0F - forget),
                                  dcell * in * (1.0F - candidate * candidate), dh * bent * out * (1.0F - out)};
    for (int g = 0; g < kGates; ++g) store(gradient[g] + c, found[g]);
  }
}

}  // namespace

bool lstm_fits(const LstmShape& shape) {
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512bf16"))
    return false;
  return shape.inputs % kInWord == 0 && shape.hidden % kSlice == 0 && shape.hidden > 0;
}

void lstm_forward(const LstmShape& shape, const c10::BFloat16* x, const c10::BFloat16* input_weights,
                  const c10::BFloat16* hidden_weights, const float* bias, c10::BFloat16* y, float* gates,
                  float* cells) {
  const std::int64_t hidden = shape.hidden, length = shape.length, slices = hidden / kSlice;
  const std::int64_t input_words = shape.inputs / kInWord, hidden_words = hidden / kInWord;
  const Scratch<Word> packed(kGates * hidden * hidden_words);
  const auto packed_gate = [&](std::int64_t s, std::int64_t g) {
    return packed.data + (s * kGates + g) * hidden_words * kSlice;
  };
  const auto gate_rows = [&](std::int64_t s, std::int64_t g) {
    return gates + (s * kGates + g) * shape.rows() * kSlice;
  };
  const Scratch<Word> x_blocks(shape.rows() * input_words);
  pack_blocks(words(x), shape.rows(), input_words, x_blocks.data);
  at::parallel_for(0, slices, 1, [&](std::int64_t begin, std::int64_t end) {
    const Scratch<Word> packed_inputs(input_words * kSlice);
    for (std::int64_t s = begin; s < end; ++s)
      for (std::int64_t g = 0; g < kGates; ++g) {
        const std::int64_t first = g * hidden + s * kSlice;
        pack_rows(words(hidden_weights) + first * hidden_words, hidden_words, packed_gate(s, g));
        pack_rows(words(input_weights) + first * input_words, input_words, packed_inputs.data);
        for (std::int64_t r = 0; r < shape.rows(); r += kRowsAtOnce)
          multiply(x_blocks.data + r * input_words, std::min(kRowsAtOnce, shape.rows() - r), packed_inputs.data,
                   input_words, gate_rows(s, g) + r * kSlice, kSlice, false);
      }
  });
  Scratch<Word> before(hidden_words * shape.batch), now(hidden_words * shape.batch);  // what came out: (words, batch)
  for (std::int64_t t = 0; t < length; ++t) {
    at::parallel_for(0, slices, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t s = begin; s < end; ++s) {
        if (t > 0)
          for (std::int64_t g = 0; g < kGates; ++g)
            multiply(before.data, shape.batch, packed_gate(s, g), hidden_words, gate_rows(s, g) + t * kSlice,
                     length * kSlice, true);
        for (std::int64_t b = 0; b < shape.batch; ++b) {
          const std::int64_t at = b * length + t, place = at * hidden + s * kSlice;
          float* gate[kGates];
          const float* own_bias[kGates];
          for (std::int64_t g = 0; g < kGates; ++g) {
            gate[g] = gate_rows(s, g) + at * kSlice;
            own_bias[g] = bias + g * hidden + s * kSlice;
          }
          forward_cell(gate, own_bias, t > 0 ? cells + place - hidden : nullptr, cells + place, y + place);
          keep(y + place, shape.batch, now.data + s * (kSlice / kInWord) * shape.batch + b);
        }
      }
    });
    std::swap(before, now);
  }
}

void lstm_backward(const LstmShape& shape, const c10::BFloat16* dy, const c10::BFloat16* hidden_weights,
                   const float* gates, const float* cells, c10::BFloat16* gate_gradients) {
  const std::int64_t hidden = shape.hidden, length = shape.length, slices = hidden / kSlice, all = kGates * hidden;
  const std::int64_t gate_words = all / kInWord;
  const Scratch<Word> packed(hidden * gate_words);
  at::parallel_for(0, slices, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t s = begin; s < end; ++s)
      pack_columns(hidden_weights + s * kSlice, all, hidden, packed.data + s * gate_words * kSlice);
  });
  Scratch<Word> later(gate_words * shape.batch), now(gate_words * shape.batch);  // gradients: (words, batch)
  const Scratch<float> memory(shape.batch * hidden);
  for (std::int64_t t = length - 1; t >= 0; --t) {
    at::parallel_for(0, slices, 1, [&](std::int64_t begin, std::int64_t end) {
      const Scratch<float> from_later(shape.batch * kSlice);
      for (std::int64_t s = begin; s < end; ++s) {
        if (t + 1 < length)
          multiply(later.data, shape.batch, packed.data + s * gate_words * kSlice, gate_words, from_later.data, kSlice,
                   false);
        for (std::int64_t b = 0; b < shape.batch; ++b) {
          const std::int64_t at = b * length + t, place = at * hidden + s * kSlice;
          const float* gate[kGates];
          c10::BFloat16* gradient[kGates];
          for (std::int64_t g = 0; g < kGates; ++g) {
            gate[g] = gates + ((s * kGates + g) * shape.rows() + at) * kSlice;
            gradient[g] = gate_gradients + at * all + g * hidden + s * kSlice;
          }
          backward_cell(gate, t > 0 ? cells + place - hidden : nullptr, cells + place, dy + place,
                        from_later.data + b * kSlice, memory.data + b * hidden + s * kSlice, gradient);
          for (std::int64_t g = 0; g < kGates; ++g)
            keep(gradient[g], shape.batch, now.data + (g * hidden + s * kSlice) / kInWord * shape.batch + b);
        }
      }
    });
    std::swap(later, now);
  }
}

}  // namespace regatta

#pragma GCC pop_options
#else

namespace regatta {

bool lstm_fits(const LstmShape&) {
  return false;
}
void lstm_forward(const LstmShape&, const c10::BFloat16*, const c10::BFloat16*, const c10::BFloat16*, const float*,
                  c10::BFloat16*, float*, float*) {}
void lstm_backward(const LstmShape&, const c10::BFloat16*, const c10::BFloat16*, const float*, const float*,
                   c10::BFloat16*) {}

}  // namespace regatta

#endif
