#pragma once
// An exchanger around another one, for tests that change one of its parts.

#include <memory>
#include <optional>
#include <utility>

#include "worker/exchanger.hpp"

namespace regatta::test {

class WrappedExchanger : public Exchanger {
 public:
  explicit WrappedExchanger(std::unique_ptr<Exchanger> inner) : inner_(std::move(inner)) {}
  const char* name() const override { return inner_->name(); }
  int buckets() const override { return inner_->buckets(); }
  std::int64_t gradient_bytes() const override { return inner_->gradient_bytes(); }
  std::vector<std::int64_t> bucket_bytes() const override { return inner_->bucket_bytes(); }
  const std::string& bucket_plan_hash() const override { return inner_->bucket_plan_hash(); }
  void bring_samples(std::int64_t own) override { inner_->bring_samples(own); }
  void begin_step(std::int64_t step, std::int64_t global_samples, double learning_rate) override {
    inner_->begin_step(step, global_samples, learning_rate);
  }
  void begin_pass(bool last) override { inner_->begin_pass(last); }
  at::Tensor loss_gradient() const override { return inner_->loss_gradient(); }
  void bucket_ready(int bucket) override { inner_->bucket_ready(bucket); }
  std::optional<StepOutcome> finish_step(const StepVotes& votes) override { return inner_->finish_step(votes); }
  std::optional<StepOutcome> settle() override { return inner_->settle(); }
  void allreduce_now(std::span<double> values) override { inner_->allreduce_now(values); }
  void sum_statistics(std::span<double> values) override { inner_->sum_statistics(values); }
  double take_hidden_s() override { return inner_->take_hidden_s(); }
  std::vector<Parameter> weights() const override { return inner_->weights(); }
  std::vector<double> take_waits() override { return inner_->take_waits(); }
  std::int64_t take_bytes_exchanged() override { return inner_->take_bytes_exchanged(); }
  DeviceTimeLine* time_line() override { return inner_->time_line(); }
  void await_batch(std::int64_t step) override { inner_->await_batch(step); }

 protected:
  Exchanger& inner() { return *inner_; }

 private:
  std::unique_ptr<Exchanger> inner_;
};

}  // namespace regatta::test
