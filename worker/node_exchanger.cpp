// The exchange inside a node, through segments that all ranks of the host map (node_segments.hpp): the parameters that
// the models compute with, and what each rank hands to the others. Each rank owns a slice of every bucket, with its
// optimizer state and, where the model computes in bfloat16, its float32 masters. A rank keeps the gradient that
// autograd made and streams only the others' slices into its segment. When all ranks have published a bucket, the owner
// of a slice sums it, applies the rule, and streams the new weights into the parameters: during backward as buckets
// come, in order, and the rest at the end of the step. That is safe because a gradient's hook runs after the last use
// of its parameter in backward, and all ranks have published. Clipping needs the whole gradient first: then all of it
// happens at the end.
//
// A board a rank tells the others where it is. Nobody leaves a step before all have applied their slices, so nothing is
// overwritten while it is read.
//
// Where there are several nodes the owner hands its slice of the node's sum to its lanes (lanes.hpp), as soon as the
// node has published the bucket, and applies the rule to the sum that comes back: each node does so for itself, with
// the same bits, and once backward is over on all of its ranks, so that gradients may set out before the last use of
// their parameters. Or nodes train on their own for a while, and lanes carry how far they have come (outer_step.hpp).

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "common/error.hpp"
#include "worker/bucket_plan.hpp"
#include "worker/clip.hpp"
#include "worker/exchanger.hpp"
#include "worker/gradient_capture.hpp"
#include "worker/lanes.hpp"
#include "worker/lap_clock.hpp"
#include "worker/node_layout.hpp"
#include "worker/node_segments.hpp"
#include "worker/node_sum.hpp"
#include "worker/outer_step.hpp"
#include "worker/own_slices.hpp"
#include "worker/slice_kernels.hpp"
#include "worker/slice_tensors.hpp"
#include "worker/tensor_layout.hpp"

namespace regatta {
namespace {

/// Also between nodes, where there are several.
class NodeExchanger final : public Exchanger {
 public:
  NodeExchanger(ExchangerParts parts, const OptimizerSpec& rule, const NodeOptions& options,
                const std::optional<ClusterOptions>& cluster)
      : parts_(std::move(parts)),
        rule_spec_(rule),
        options_(options),
        kernels_(kernels_named(options.kernels)),
        rank_(parts_.ranks.local_rank()),
        ranks_(parts_.ranks.local_size()),
        policy_(wait_policy(ranks_, static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)))),
        layout_(agreed(make_node_layout(sizes(), parts_.limits.first_bytes))),
        segments_(layout_, parts_.ranks, options.numa_domain.value_or(numa_domain_here()), any_bf16()),
        boards_(segments_.boards().data()),
        sum_(parts_.ranks, parts_.watchdog, policy_),
        slices_(parts_.parameters, layout_, segments_, parts_.ranks, rule, options_, kernels_,
                parts_.clip_norm.has_value()),
        own_(parts_.parameters.size()),
        capture_(
            parts_.parameters, buckets_of_parameters(), parts_.clock,
            [this](std::size_t i, const at::Tensor& gradient) { publish(i, gradient); },
            [this](int bucket) { bucket_ready(bucket); }) {
    if (cluster) open_lanes(*cluster);
    REGATTA_ENSURE(lanes_ || ranks_ == parts_.ranks.world_size(), "all ranks on one host");
    parts_.ranks.node_barrier();  // from here on weights and boards are filled
  }

  const char* name() const override { return lanes_ ? "cluster" : "node"; }
  int buckets() const override { return static_cast<int>(layout_.buckets.size()); }
  std::int64_t gradient_bytes() const override {
    std::int64_t bytes = 0;
    for (const Parameter& parameter : parts_.parameters) bytes += static_cast<std::int64_t>(parameter.tensor.nbytes());
    return bytes;
  }
  std::vector<std::int64_t> bucket_bytes() const override {
    std::vector<std::int64_t> bytes(layout_.buckets.size());
    for (std::size_t i = 0; i < parts_.parameters.size(); ++i)
      bytes[static_cast<std::size_t>(layout_.slots[i].bucket)] +=
          static_cast<std::int64_t>(parts_.parameters[i].tensor.nbytes());
    return bytes;
  }
  const std::string& bucket_plan_hash() const override { return layout_.hash; }

  void bring_samples(std::int64_t own) override { own_samples_ = own; }
  void begin_step(std::int64_t step, std::int64_t global_samples, double learning_rate) override {
    step_ = step;
    rule_ = step_rule(rule_spec_, learning_rate, ++steps_);
    global_samples_ = static_cast<double>(global_samples);
    boards_[rank_].samples[page()] = own_samples_;  // seen by who sees what is published
    first_published_ = static_cast<std::uint32_t>(steps_ - 1) * static_cast<std::uint32_t>(layout_.buckets.size());
    ready_.assign(layout_.buckets.size(), false);
    published_ = applied_ = sent_ = 0;
    finishing_ = false;
    capture_.begin_step();
    if (sums_between_nodes()) lanes_->expect_sums();
  }
  bool writes_after_backward() const override { return lanes_ != nullptr; }
  void begin_pass(bool last) override { capture_.begin_pass(last); }

  void bucket_ready(int bucket) override {
    parts_.watchdog.post(step_, bucket, "backward");
    ready_[static_cast<std::size_t>(bucket)] = true;
    publish_ready();
    if (sums_between_nodes())
      while (sent_ < layout_.buckets.size() && all_published(sent_)) send(sent_++);
    if (!parts_.clip_norm && !writes_after_backward())
      while (applied_ < layout_.buckets.size() && all_published(applied_)) apply(applied_++);
  }

  std::optional<StepOutcome> finish_step(const StepVotes& votes) override {
    const c10::NoGradGuard no_grad;
    const Lap lap(parts_.clock, Activity::kPublish);
    boards_[rank_].ballots[page()] = ballot_of(votes);
    finishing_ = true;
    publish_missing();
    const WatchedWait wait(parts_.watchdog, "exchange of gradients");
    Duration waited{};
    if (sums_between_nodes()) waited += send_rest();
    if (lanes_) {
      waited += wait_for_bucket(layout_.buckets.size() - 1);  // backward is over in the node, and its votes are written
      start_votes();
    }
    if (parts_.clip_norm) {
      for (std::size_t b = 0; b < layout_.buckets.size(); ++b) {
        waited += wait_for_sum(b);
        squares_ += add_up(b);
      }
      waited += clip();
    }
    for (; applied_ < layout_.buckets.size(); ++applied_) {
      if (!parts_.clip_norm) waited += wait_for_sum(applied_);
      apply(applied_);
    }
    for (at::Tensor& gradient : own_) gradient.reset();
    if (lanes_) waited += finish_lanes();
    if (outer_) waited += after_own_step();
    const StepOutcome outcome = meet(waited);
    if (has_others()) waits_.push_back(seconds(waited));
    return outcome;
  }
  std::optional<StepOutcome> settle() override {
    if (own_steps_ == 0) return {};
    const c10::NoGradGuard no_grad;
    const Lap lap(parts_.clock, Activity::kPublish);
    const WatchedWait wait(parts_.watchdog, "average over nodes");
    Duration waited = average();
    std::array<double, 1> all_are_here{};
    waited += sum_.sum(all_are_here, "average over nodes");
    waits_.push_back(seconds(waited));
    return {};
  }

  void allreduce_now(std::span<double> values) override {
    const Lap lap(parts_.clock, Activity::kSum);
    const Duration waited = sum_over_ranks(values, "sum of metrics");
    if (has_others()) waits_.push_back(seconds(waited));
  }

  void sum_statistics(std::span<double> values) override {
    if (!outer_) return allreduce_now(values);
    const Lap lap(parts_.clock, Activity::kSum);
    waits_.push_back(seconds(sum_.sum(values, "sum of statistics")));
  }

  std::vector<Parameter> weights() const override { return slices_.weights(); }
  std::vector<double> take_waits() override { return std::exchange(waits_, {}); }
  std::int64_t take_bytes_exchanged() override {
    return std::exchange(bytes_exchanged_, 0) + (lanes_ ? lanes_->take_bytes_sent() : 0);
  }
  double take_hidden_s() override {
    return lanes_ ? std::max(0.0, lanes_->take_busy_s() - std::exchange(waited_for_lanes_s_, 0)) : 0;
  }

 private:
  // ---- once

  bool any_bf16() const {
    return std::any_of(parts_.parameters.begin(), parts_.parameters.end(),
                       [&](const Parameter& parameter) { return is_bf16(parameter, options_); });
  }

  std::vector<NodeParameter> sizes() const {
    std::vector<NodeParameter> sizes;
    for (const Parameter& parameter : parts_.parameters) {
      const auto bytes = static_cast<std::int64_t>(parameter.tensor.element_size());
      sizes.push_back({parameter.tensor.numel(), is_bf16(parameter, options_) ? 2 : bytes});
    }
    return sizes;
  }

  /// Before any rank writes into memory that another one has measured out.
  NodeLayout agreed(NodeLayout layout) const {
    agree_on_bucket_plan(layout.hash, parts_.ranks);
    return layout;
  }

  std::vector<int> buckets_of_parameters() const {
    std::vector<int> buckets;
    for (const NodeSlot& slot : layout_.slots) buckets.push_back(slot.bucket);
    return buckets;
  }

  void open_lanes(const ClusterOptions& cluster) {
    const NodeMap map = node_map(parts_.ranks);
    if (map.ranks.size() == 1) return;
    lanes_ = make_lanes(layout_, map, slices_.number(), LaneOptions{.wire = cluster.wire, .choice = cluster.choice},
                        kernels_, parts_.ranks);
    is_first_node_ = map.node == 0;
    every_ = cluster.every;
    if (every_ == 1) return;
    outer_.emplace(cluster.outer, slices_.weights()[0].tensor, slices_.elements());
    slices_.keep_where_nodes_met(*outer_);
  }

  /// In each step; else nodes train on their own until they average.
  bool sums_between_nodes() const { return lanes_ && !outer_; }

  bool has_others() const { return parts_.ranks.world_size() > 1; }

  // ---- publishing

  void publish(std::size_t i, const at::Tensor& gradient) {
    const c10::NoGradGuard no_grad;
    const at::Tensor& parameter = parts_.parameters[i].tensor;
    REGATTA_ENSURE(gradient.scalar_type() == parameter.scalar_type(), "a gradient in its parameter's numbers");
    own_[i] = gradient;
    if (!same_layout(gradient, parameter)) own_[i] = at::empty_like(parameter).copy_(gradient);
    if (ranks_ == 1) return;
    const auto* const from = static_cast<const std::byte*>(own_[i].const_data_ptr());
    std::byte* const to = segments_.gradient(rank_, i);
    const auto bytes = static_cast<std::int64_t>(parameter.element_size());
    const Slice own = slices_.of_parameter(i);
    for (const Slice& others : {Slice{0, own.begin}, Slice{own.end, parameter.numel()}}) {
      copy_out(to + others.begin * bytes, from + others.begin * bytes, others.size() * bytes);
      bytes_exchanged_ += others.size() * bytes;
    }
    if (own.size() == 0) own_[i].reset();
  }

  void copy_out(std::byte* to, const std::byte* from, std::int64_t bytes) const {
    if (options_.streaming_stores)
      kernels_.copy(to, from, static_cast<std::size_t>(bytes));
    else if (bytes > 0)
      std::memcpy(to, from, static_cast<std::size_t>(bytes));
  }

  /// Others look at one count: buckets are told in order.
  void publish_ready() {
    const std::size_t before = published_;
    // Between nodes the votes travel with the last bucket, and are known when the step ends.
    const std::size_t most = lanes_ && !finishing_ ? ready_.size() - 1 : ready_.size();
    while (published_ < most && ready_[published_]) ++published_;
    if (published_ == before) return;
    streams_done();
    raise_to(boards_[rank_].published, first_published_ + static_cast<std::uint32_t>(published_));
  }

  /// What passes before the last one left, and zeros where this rank had no samples.
  void publish_missing() {
    capture_.finish();
    for (std::size_t i = 0; i < parts_.parameters.size(); ++i)
      if (!capture_.has(i)) publish(i, at::zeros_like(parts_.parameters[i].tensor));
    ready_.assign(ready_.size(), true);
    publish_ready();
  }

  bool all_published(std::size_t bucket) const {
    const std::uint32_t wanted = first_published_ + static_cast<std::uint32_t>(bucket) + 1;
    return std::all_of(boards_, boards_ + ranks_,
                       [&](const RankBoard& board) { return has_reached(board.published, wanted); });
  }

  Duration wait_for_bucket(std::size_t bucket) {
    const Lap lap(parts_.clock, Activity::kWait, static_cast<int>(bucket));
    parts_.watchdog.post(step_, static_cast<int>(bucket), "exchange");
    Duration waited{};
    for (int r = 0; r < ranks_; ++r)
      waited += wait_until(boards_[r].published, first_published_ + static_cast<std::uint32_t>(bucket) + 1, policy_);
    return waited;
  }

  // ---- between nodes

  void put(std::size_t bucket, const OwnSlice& own, const Addends& from) {
    lanes_->put(bucket, layout_.slots[own.parameter].begin + own.elements.begin, own.elements.size(), from.gradients,
                from.number);
  }

  /// What its lanes brought.
  Addends sum_of_nodes(const OwnSlice& own) const {
    const NodeSlot& slot = layout_.slots[own.parameter];
    const auto bucket = static_cast<std::size_t>(slot.bucket);
    return {lanes_->sum(bucket, slot.begin + own.elements.begin), lanes_->number(bucket)};
  }

  /// This node's sum of this rank's slice, to its lanes.
  void send(std::size_t bucket) {
    {
      const Lap lap(parts_.clock, Activity::kReduce, static_cast<int>(bucket));
      slices_.for_each(bucket, [&](const OwnSlice& own) {
        put(bucket, own, node_gradients(own));
        own_[own.parameter].reset();
      });
    }
    lanes_->start(bucket);
  }

  Duration send_rest() {
    Duration waited{};
    for (; sent_ < layout_.buckets.size(); ++sent_) {
      waited += wait_for_bucket(sent_);
      send(sent_);
    }
    return waited;
  }

  /// The node's first rank takes them to the other nodes.
  void start_votes() {
    if (rank_ != 0) return;
    Ballot all{};
    for (int r = 0; r < ranks_; ++r)
      for (std::size_t vote = 0; vote < all.size(); ++vote) all[vote] += boards_[r].ballots[page()][vote];
    lanes_->start_votes(all);
  }

  /// What `wait` takes of the trainer thread's time.
  template <class Wait>
  Duration timed(const Wait& wait) {
    const auto start = std::chrono::steady_clock::now();
    wait();
    const Duration waited = std::chrono::steady_clock::now() - start;
    waited_for_lanes_s_ += seconds(waited);
    return waited;
  }

  /// The votes are in, and nothing of this step is under way.
  Duration finish_lanes() {
    const Lap lap(parts_.clock, Activity::kWait, buckets() - 1);
    parts_.watchdog.post(step_, buckets() - 1, "votes between nodes");
    return timed([&] {
      if (rank_ == 0) boards_[0].ballots[page()] = lanes_->wait_votes();
      lanes_->finish();
    });
  }

  /// Counts a step that this node took by itself.
  Duration after_own_step() {
    node_samples_since_ += node_samples();
    samples_since_ += global_samples_;
    return ++own_steps_ == every_ ? average() : Duration{};
  }

  /// Nodes meet. No rank of this one computes: all have published the step's last bucket.
  Duration average() {
    Duration waited{};
    lanes_->expect_sums();
    const double part = node_samples_since_ / samples_since_;
    for (std::size_t b = 0; b < layout_.buckets.size(); ++b) {
      {
        const Lap lap(parts_.clock, Activity::kReduce, static_cast<int>(b));
        slices_.for_each(b, [&](const OwnSlice& own) {
          put(b, own, {{outer_->distance(own.state, slices_.own_weights(own), part)}, slices_.number()});
        });
      }
      lanes_->start(b);
    }
    for (std::size_t b = 0; b < layout_.buckets.size(); ++b) {
      waited += wait_for_lanes(b);
      const Lap lap(parts_.clock, Activity::kApply, static_cast<int>(b));
      slices_.for_each(b, [&](const OwnSlice& own) { slices_.take_outer(*outer_, own, sum_of_nodes(own)); });
    }
    waited += timed([&] { lanes_->finish(); });
    streams_done();
    node_samples_since_ = samples_since_ = 0;
    own_steps_ = 0;
    return waited;
  }

  double node_samples() const {
    std::int64_t samples = 0;
    for (int r = 0; r < ranks_; ++r) samples += boards_[r].samples[page()];
    return static_cast<double>(samples);
  }

  /// What a step's gradients are divided by; nothing is divided where a node had no samples.
  double divisor() const { return outer_ ? std::max(1.0, node_samples()) : global_samples_; }

  /// Once the step is published by all ranks of the node: the same as `sum` over the world.
  Duration sum_over_ranks(std::span<double> values, const char* what) {
    if (!lanes_) return sum_.sum(values, what);
    const WatchedWait wait(parts_.watchdog, what);
    const auto start = std::chrono::steady_clock::now();
    lanes_->allreduce(values);
    return std::chrono::steady_clock::now() - start;
  }

  // ---- applying

  Duration wait_for_sum(std::size_t bucket) {
    return sums_between_nodes() ? wait_for_lanes(bucket) : wait_for_bucket(bucket);
  }

  Duration wait_for_lanes(std::size_t bucket) {
    const Lap lap(parts_.clock, Activity::kWait, static_cast<int>(bucket));
    parts_.watchdog.post(step_, static_cast<int>(bucket), "exchange between nodes");
    return timed([&] { lanes_->wait(bucket); });
  }

  /// As the ranks of this node published them.
  Addends node_gradients(const OwnSlice& own) const {
    const at::Tensor& mine = own_[own.parameter];
    const std::int64_t offset = own.elements.begin * static_cast<std::int64_t>(mine.element_size());
    Addends gradients{{}, number_of(mine.scalar_type())};
    for (int r = 0; r < ranks_; ++r)
      gradients.gradients.push_back(
          (r == rank_ ? static_cast<const std::byte*>(mine.const_data_ptr()) : segments_.gradient(r, own.parameter)) +
          offset);
    return gradients;
  }

  Addends addends(const OwnSlice& own) const { return sums_between_nodes() ? sum_of_nodes(own) : node_gradients(own); }

  void apply(std::size_t bucket) {
    const Lap lap(parts_.clock, Activity::kApply, static_cast<int>(bucket));
    slices_.for_each(bucket, [&](const OwnSlice& whole) {
      in_threads(whole.elements.size(), [&](std::int64_t begin, std::int64_t end) {
        const OwnSlice own = whole.part(begin, end);
        if (parts_.clip_norm)
          slices_.update(own, slices_.kept(own), clip_scale_, rule_);
        else
          slices_.update(own, addends(own), 1 / divisor(), rule_);
      });
      own_[whole.parameter].reset();
    });
  }

  // ---- clipping

  /// Mean gradients of this rank's slices; the sum of their squares.
  double add_up(std::size_t bucket) {
    const Lap lap(parts_.clock, Activity::kReduce, static_cast<int>(bucket));
    double squares = 0;
    slices_.for_each(bucket, [&](const OwnSlice& own) { squares += slices_.add_up(own, addends(own), 1 / divisor()); });
    return squares;
  }

  /// By the norm of the whole, as clip.hpp.
  Duration clip() {
    const Lap lap(parts_.clock, Activity::kSum);
    std::array<double, 1> squares{std::exchange(squares_, 0)};
    // Each node has the whole gradient, and slices of its own: one node's norm is everybody's, to the bit.
    if (!is_first_node_ && !outer_) squares[0] = 0;
    constexpr const char* kWhat = "norm of the gradient";
    const Duration waited = outer_ ? sum_.sum(squares, kWhat) : sum_over_ranks(squares, kWhat);
    clip_scale_ = clip_scale(std::sqrt(squares[0]), *parts_.clip_norm);
    return waited;
  }

  // ---- the end of a step

  std::size_t page() const { return static_cast<std::size_t>(steps_) % 2; }

  StepOutcome meet(Duration& waited) {
    const Lap lap(parts_.clock, Activity::kMeet);
    streams_done();
    raise_to(boards_[rank_].applied, static_cast<std::uint32_t>(steps_));
    parts_.watchdog.post(step_, buckets() - 1, "apply");  // somebody has not come past the last one
    Ballot all{};
    for (int r = 0; r < ranks_; ++r) {
      waited += wait_until(boards_[r].applied, static_cast<std::uint32_t>(steps_), policy_);
      if (lanes_ && r > 0) continue;  // the first one has the sum over nodes
      for (std::size_t vote = 0; vote < all.size(); ++vote) all[vote] += boards_[r].ballots[page()][vote];
    }
    return outcome_of(step_, all, global_samples_);
  }

  ExchangerParts parts_;
  OptimizerSpec rule_spec_;
  NodeOptions options_;
  const SliceKernels& kernels_;
  int rank_, ranks_;  // on this host
  WaitPolicy policy_;
  NodeLayout layout_;
  NodeSegments segments_;
  RankBoard* boards_;  // by rank
  NodeSum sum_;
  OwnSlices slices_;
  std::vector<at::Tensor> own_;   // gradients as autograd made them, until they are applied
  std::unique_ptr<Lanes> lanes_;  // null: this node is the world
  bool is_first_node_ = true;
  double waited_for_lanes_s_ = 0;
  std::int64_t every_ = 1;
  std::optional<OuterStep> outer_;  // where nodes take steps of their own
  std::int64_t own_steps_ = 0, own_samples_ = 0;
  double node_samples_since_ = 0, samples_since_ = 0;  // nodes met

  std::int64_t step_ = 0, steps_ = 0;  // as the trainer counts; since this object was made
  StepRule rule_;
  double global_samples_ = 1, squares_ = 0, clip_scale_ = 1;
  std::uint32_t first_published_ = 0;                   // buckets published before this step
  std::vector<bool> ready_;                             // by bucket
  std::size_t published_ = 0, sent_ = 0, applied_ = 0;  // buckets of this step
  bool finishing_ = false;                              // backward is over
  std::vector<double> waits_;                           // seconds by collective
  std::int64_t bytes_exchanged_ = 0;
  GradientCapture capture_;
};

}  // namespace

std::unique_ptr<Exchanger> make_node_exchanger(ExchangerParts parts, const OptimizerSpec& rule,
                                               const NodeOptions& options) {
  return std::make_unique<NodeExchanger>(std::move(parts), rule, options, std::nullopt);
}

std::unique_ptr<Exchanger> make_cluster_exchanger(ExchangerParts parts, const OptimizerSpec& rule, NodeOptions options,
                                                  const ClusterOptions& cluster) {
  if (options.kernels.empty()) options.kernels = kernels_of_all(parts.ranks);
  return std::make_unique<NodeExchanger>(std::move(parts), rule, options, cluster);
}

}  // namespace regatta
