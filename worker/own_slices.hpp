#pragma once
// What one rank of a host owns of the model (node_layout.hpp): weights, the optimizer's state, and the step that both
// take. Trainer thread only.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "worker/exchanger.hpp"
#include "worker/node_layout.hpp"
#include "worker/node_segments.hpp"
#include "worker/slice_kernels.hpp"

namespace regatta {

class OuterStep;

/// What adds up to a sum over ranks, in this order.
struct Addends {
  std::vector<const std::byte*> gradients;
  Number number = Number::kFloat32;
};

/// A part of what this rank owns.
struct OwnSlice {
  std::size_t parameter = 0;
  Slice elements;          ///< of the parameter; not empty
  std::int64_t state = 0;  ///< its first element's place among all that the rank owns
  /// Elements [begin, end) of it.
  OwnSlice part(std::int64_t begin, std::int64_t end) const {
    return {parameter, {elements.begin + begin, elements.begin + end}, state + begin};
  }
};

class OwnSlices {
 public:
  /// Moves the parameters' data into the shared memory, in bfloat16 where `options` and a parameter have it so, with
  /// masters beside it. Throws ConfigError for parameters that share memory. All arguments outlive this but `rule`.
  /// `clips`: sums are kept until their norm is known.
  OwnSlices(std::vector<Parameter>& parameters, const NodeLayout& layout, NodeSegments& segments, RankContext& ranks,
            const OptimizerSpec& rule, const NodeOptions& options, const SliceKernels& kernels, bool clips);

  /// The parameters in the numbers that they are trained in: the same tensors as the model's, or masters.
  const std::vector<Parameter>& weights() const { return weights_; }
  Number number() const { return number_; }            ///< of the weights
  std::int64_t elements() const { return elements_; }  ///< of all slices
  Slice of_parameter(std::size_t parameter) const;     ///< may be empty
  at::Tensor own_weights(const OwnSlice& own) const;   ///< (n), a view
  void keep_where_nodes_met(OuterStep& outer) const;   ///< where training begins

  /// Calls `use(OwnSlice)` for what this rank owns of the bucket, in order.
  template <class Use>
  void for_each(std::size_t bucket, const Use& use) const {
    const Slice slice = slice_of(layout_.buckets[bucket], rank_, ranks_);
    for (const std::size_t i : layout_.buckets[bucket].parameters) {
      const Slice own = slice_within(slice, layout_.slots[i]);
      if (own.size() > 0)
        use(OwnSlice{i, own, first_state_[bucket] + layout_.slots[i].begin + own.begin - slice.begin});
    }
  }

  /// Keeps scale * the sum, and returns the sum of its squares.
  double add_up(const OwnSlice& own, const Addends& from, double scale);
  Addends kept(const OwnSlice& own) const { return {{at(totals_, own.state)}, number_}; }
  /// Applies the rule with scale * the sum.
  void update(const OwnSlice& own, const Addends& from, double scale, const StepRule& rule) const;
  /// Takes the outer step with the sum, and writes what it comes to.
  void take_outer(OuterStep& outer, const OwnSlice& own, const Addends& from) const;

 private:
  void place_parameters();
  bool has_masters(std::size_t parameter) const { return parameters_[parameter].tensor.scalar_type() == at::kBFloat16; }
  std::vector<std::byte*> working_copies(const OwnSlice& own) const;
  static std::byte* at(const at::Tensor& state, std::int64_t element);

  std::vector<Parameter>& parameters_;
  const NodeLayout& layout_;
  NodeSegments& segments_;
  const NodeOptions& options_;
  const SliceKernels& kernels_;
  const int rank_, ranks_;  // on this host
  Number number_ = Number::kFloat32;
  std::vector<Parameter> weights_;
  std::int64_t elements_ = 0;
  std::vector<std::int64_t> first_state_;  // of this rank's slice, by bucket
  at::Tensor momentum_, square_, totals_;  // (elements) each, where the rule has it
};

/// Whether the model computes with this parameter in bfloat16.
inline bool is_bf16(const Parameter& parameter, const NodeOptions& options) {
  return options.bf16_weights && parameter.may_be_bf16;
}

}  // namespace regatta
