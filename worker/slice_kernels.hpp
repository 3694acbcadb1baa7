#pragma once
// The arithmetic of the exchange inside a node: one pass over a slice sums the ranks' gradients, takes the mean,
// applies the optimizer and writes the weights back. Torch-free. For AVX-512, AVX2 and plain x86-64, chosen at run
// time.
//
// What another rank will read is written with streaming stores: a line that a peer has read costs 38-190 ns to get back
// (AMD Zen 4, by the cores' distance), which made the pass of the mlp take 4.3-5.6 ms instead of 0.5. After them comes
// `streams_done()`, and only then the flag that tells the others.

#include <cstddef>
#include <cstdint>
#include <span>

#include "jobs/spec.hpp"

namespace regatta {

enum class Number : std::uint8_t { kFloat32, kFloat64, kBfloat16 };
std::size_t bytes_of(Number number);

/// What one step does to a weight p with the mean gradient g, state m and v, in the numbers of the weights:
///   sgd    g += decay*p; m = momentum*m + g; p -= rate*(nesterov ? g + momentum*m : m)
///   adam   g += decay*p; m += (1-b1)*(g-m); v = b2*v + (1-b2)*g^2; p -= rate*m / (root_scale*sqrt(v) + eps)
///   adamw  as adam, with p *= keep in the place of decay
/// sgd without momentum has no state. `rate` of adam is lr / (1 - b1^t), root_scale is 1 / sqrt(1 - b2^t) (Kingma and
/// Ba, ICLR 2015, section 2, last paragraph).
struct StepRule {
  enum class Kind : std::uint8_t { kSgd, kMomentum, kNesterov, kAdam } kind = Kind::kSgd;
  double rate = 0, decay = 0, keep = 1, momentum = 0, b1 = 0, b2 = 0, root_scale = 1, eps = 0;
  bool has_momentum() const { return kind != Kind::kSgd; }
  bool has_square() const { return kind == Kind::kAdam; }
};
/// `step` counts from 1.
StepRule step_rule(const OptimizerSpec& spec, double learning_rate, std::int64_t step);

/// One rank's part of one parameter. All pointers begin at the slice's first element; nothing overlaps, but that
/// `weights` may be one of `working`. States are in the numbers of `weights`, zero before the first step.
struct SliceUpdate {
  std::int64_t count = 0;                       ///< elements
  Number gradient_number = Number::kFloat32;    ///< kFloat64 with weights of kFloat64, and with them alone
  std::span<const std::byte* const> gradients;  ///< one a rank, summed in this order
  double scale = 1;                             ///< times the sum: one over the global batch, and clipping
  Number weight_number = Number::kFloat32;      ///< kFloat32 or kFloat64
  std::byte* weights = nullptr;                 ///< read and written: the masters
  Number working_number = Number::kFloat32;     ///< as weight_number, or kBfloat16
  std::span<std::byte* const> working;          ///< what models compute with, one a NUMA domain
  std::byte *momentum = nullptr, *square = nullptr;
  bool streaming = true;  ///< into `working`
};

/// total[i] = scale * sum over ranks.
struct SliceSum {
  std::int64_t count = 0;
  Number gradient_number = Number::kFloat32;
  std::span<const std::byte* const> gradients;
  double scale = 1;
  Number total_number = Number::kFloat32;  ///< kFloat32 or kFloat64
  std::byte* total = nullptr;              ///< may be one of `gradients`
  bool streaming = false;
};

/// rounded[i] = bfloat16 of (sum over ranks + left[i]); left[i] becomes what rounding took (Seide et al., Interspeech
/// 2014, section 3.2).
struct SliceRound {
  std::int64_t count = 0;
  Number gradient_number = Number::kFloat32;  ///< or kBfloat16
  std::span<const std::byte* const> gradients;
  float* left = nullptr;
  std::byte* rounded = nullptr;
};

/// The same results for each of them but for rounding; each gives the same bits for the same arguments.
struct SliceKernels {
  const char* name;
  void (*update)(const SliceUpdate&, const StepRule&);
  double (*sum)(const SliceSum&);  ///< returns the sum of the totals' squares
  void (*round)(const SliceRound&);
  void (*copy)(std::byte* to, const std::byte* from, std::size_t bytes);  ///< streams where `to` is 64-byte aligned
};
/// Those that this processor runs, the fastest first; the last one is plain.
std::span<const SliceKernels* const> slice_kernels();

/// Orders streamed stores before what is stored after it.
void streams_done();

}  // namespace regatta
