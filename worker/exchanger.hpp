#pragma once
// How gradients meet (DESIGN: exchange). After `finish_step` every rank holds the same parameters of step t+1; nobody
// reads gradients between. The mean over the global batch is taken once, inside.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/records.hpp"
#include "jobs/lane_choice.hpp"
#include "jobs/plan.hpp"
#include "worker/step_votes.hpp"

namespace regatta {

class DeviceTimeLine;
class LapClock;
class Optimizer;
class RankContext;
class Watchdog;

/// A trainable tensor, in registration order, the same on all ranks. `tensor` is a leaf that requires grad.
struct Parameter {
  std::string name;
  at::Tensor tensor;
  bool may_be_bf16 = false;  ///< autocast casts it each time: the model computes the same with a bfloat16 tensor
};

class Exchanger {
 public:
  virtual ~Exchanger() = default;
  virtual const char* name() const = 0;
  virtual int buckets() const = 0;
  virtual std::int64_t gradient_bytes() const = 0;
  virtual std::vector<std::int64_t> bucket_bytes() const = 0;  ///< of gradients, by bucket; sums to gradient_bytes
  virtual const std::string& bucket_plan_hash() const = 0;     ///< agreed by all ranks

  /// Before begin_step: this rank's samples in the step. Nodes that train on their own for a while divide by theirs.
  virtual void bring_samples(std::int64_t /*own*/) {}
  /// Before the step's first forward. `global_samples` divides the summed gradients; `learning_rate` is this step's.
  virtual void begin_step(std::int64_t step, std::int64_t global_samples, double learning_rate) = 0;
  /// True: what the model computes with is not written before backward is over on all ranks that share it, and it pays
  /// to have gradients early: they may come before the last use of their parameters. False: they may not.
  virtual bool writes_after_backward() const { return false; }
  /// Before each forward of the step; `last`: no other one follows. Until then autograd adds gradients up.
  virtual void begin_pass(bool last) = 0;
  /// What backward starts from: () of the loss's type; undefined: 1. After begin_step, on the stream of the model.
  virtual at::Tensor loss_gradient() const { return {}; }
  /// All gradients of this bucket exist on this rank. Called inside backward, by the exchanger's own hooks, in bucket
  /// order or not; its time is never `compute`.
  virtual void bucket_ready(int bucket) = 0;
  /// Publishes what is missing (zeros from a rank without samples), sums, divides once, clips, applies the optimizer;
  /// when a rank failed the weights are of no use any more. Collective. Laps: publish, wait, reduce, apply, meet, with
  /// their bucket; `take_waits` has the stragglers' share.
  /// Returns the outcome of this step; or, where the model runs on a device and the host ahead of it, that of the step
  /// before (nothing after the first): then all ranks learn one step late that they stop, after the same step.
  virtual std::optional<StepOutcome> finish_step(const StepVotes& votes) = 0;
  /// Returns the outcome that finish_step still owes, if any. Afterwards nothing of any step is under way: parameters
  /// may be read. Collective, after the same step on all ranks: before an epoch ends, an evaluation, other shares, and
  /// once an outcome says to stop.
  virtual std::optional<StepOutcome> settle() = 0;
  /// Sums `values` over all ranks at once: batch norm and metrics. Collective. A lap of sum.
  virtual void allreduce_now(std::span<double> values) = 0;
  /// The same over the ranks that train one set of weights at this moment, for batch norm: those of the node, where
  /// nodes train on their own for a while.
  virtual void sum_statistics(std::span<double> values) { allreduce_now(values); }

  /// The parameters in the numbers they are trained in, which a model that computes with bfloat16 does not hold. Valid
  /// on every rank between steps, once settled.
  virtual std::vector<Parameter> weights() const = 0;

  /// Exposed wait of this rank in each collective since the last call, seconds; as many on every rank, once settled.
  /// The trainer takes the minimum over ranks of each as `exchange` and the rest as `straggler_wait`, once an epoch.
  virtual std::vector<double> take_waits() = 0;
  /// Gradient bytes that this rank handed to collectives since the last call.
  virtual std::int64_t take_bytes_exchanged() = 0;

  /// Seconds since the last call in which gradients travelled between nodes while this rank did something else.
  virtual double take_hidden_s() { return 0; }

  /// Where the model runs on a device: what its clock says of steps. Null elsewhere.
  virtual DeviceTimeLine* time_line() { return nullptr; }
  /// For that clock: the batch of this step, which begins next, is asked for now.
  virtual void await_batch(std::int64_t /*step*/) {}
};

/// What every exchanger works with. The references outlive it.
struct ExchangerParts {
  std::vector<Parameter> parameters;  ///< all of one dtype, none shares memory with another
  BucketLimits limits;
  std::optional<double> clip_norm;  ///< the mean gradient's norm is made no larger than this
  LapClock& clock;
  Watchdog& watchdog;
  RankContext& ranks;
};

/// MPI_Allreduce by bucket over the context's communicator, then the optimizer on every rank; its parameters are the
/// same tensors. Any number of hosts. Collective: agrees on the bucket plan, throws CommError naming the rank that has
/// another.
std::unique_ptr<Exchanger> make_mpi_exchanger(ExchangerParts parts, std::unique_ptr<Optimizer> optimizer);

/// How the exchange inside a node works; the defaults are the fastest.
struct NodeOptions {
  bool streaming_stores = true;
  bool bf16_weights = true;        ///< parameters that may be bfloat16 are, with float32 masters
  std::optional<int> numa_domain;  ///< of this rank; nothing: that of the core it runs on
  std::string kernels;             ///< "AVX-512", "AVX2" or "plain"; empty: the best that runs here
};
/// All ranks on one host, also a single one: gradients through shared memory, each rank applies the rule to its slices.
/// Moves the parameters' data into that memory, which the context owns. Collective: agrees as above. Throws ConfigError
/// for parameters that share memory.
std::unique_ptr<Exchanger> make_node_exchanger(ExchangerParts parts, const OptimizerSpec& rule,
                                               const NodeOptions& options = {});

/// How nodes meet; every rank has the same.
struct ClusterOptions {
  Wire wire = Wire::kSame;  ///< kBf16: between nodes, where weights are trained in float32
  /// Above 1 each node takes so many steps by itself, on its part of every batch. Then, and when the exchanger settles,
  /// weights meet: outer_step.hpp.
  std::int64_t every = 1;
  OuterSpec outer;
  LaneChoice choice;
};
/// Any number of hosts, also one: inside a node as above; between nodes every rank exchanges its own slices with those
/// that own the same elements there. Collective: agrees on the kernels, too. Throws as above.
std::unique_ptr<Exchanger> make_cluster_exchanger(ExchangerParts parts, const OptimizerSpec& rule, NodeOptions options,
                                                  const ClusterOptions& cluster);

}  // namespace regatta
