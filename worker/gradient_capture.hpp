#pragma once
// Takes each parameter's gradient the moment autograd has made it, and leaves `.grad` empty: no pass that zeroes, none
// that accumulates. The one place that knows autograd's hooks.

#include <cstdint>
#include <functional>
#include <vector>

#include "worker/exchanger.hpp"

namespace regatta {

/// Hooks live on the parameters as long as this object. Trainer thread only: a backward pass on the CPU runs its hooks
/// on the thread that called it, one on a GPU on autograd's thread of that GPU while the caller waits. Time in hooks is
/// publishing.
class GradientCapture {
 public:
  using Publish = std::function<void(std::size_t parameter, const at::Tensor& gradient)>;
  using BucketReady = std::function<void(int bucket)>;

  /// `publish` gets each gradient and may keep it; `bucket_ready` follows the last one of a bucket.
  /// `bucket_of` has a parameter's bucket, from 0 and without gaps.
  GradientCapture(std::vector<Parameter> parameters, std::vector<int> bucket_of, LapClock& clock, Publish publish,
                  BucketReady bucket_ready);
  ~GradientCapture();
  GradientCapture(const GradientCapture&) = delete;
  GradientCapture& operator=(const GradientCapture&) = delete;

  void begin_step();           ///< forgets what the last step brought
  void begin_pass(bool last);  ///< gradients of a pass that is not the last stay with autograd, which adds them up
  /// After the last pass: takes what earlier passes left on a rank that had no samples in the last one.
  void finish();
  bool has(std::size_t parameter) const { return present_[parameter]; }

 private:
  class Hook;
  void take(std::size_t parameter, const at::Tensor& tensor);

  std::vector<Parameter> parameters_;
  std::vector<int> bucket_of_, sizes_;  // by parameter; parameters by bucket
  LapClock& clock_;
  Publish publish_;
  BucketReady bucket_ready_;
  bool last_pass_ = true;
  std::vector<bool> present_;  // by parameter
  std::vector<int> missing_;   // gradients by bucket
};

}  // namespace regatta
