#pragma once
// A device in front of another one.

#include <functional>
#include <utility>

#include "worker/device.hpp"

namespace regatta::test {

/// Passes everything on; for tests that watch a device, or stand in its way.
class PassingDevice : public Device {
 public:
  explicit PassingDevice(Device& device) : device_(device) {}

  const char* name() const override { return device_.name(); }
  c10::Device where() const override { return device_.where(); }
  at::Tensor memory(std::int64_t count, at::ScalarType type) override { return device_.memory(count, type); }
  at::Tensor host_memory(std::int64_t count, at::ScalarType type) override { return device_.host_memory(count, type); }
  void launch(Stream stream, std::function<void()> work) override { device_.launch(stream, std::move(work)); }
  void copy(Stream stream, const at::Tensor& to, const at::Tensor& from) override { device_.copy(stream, to, from); }
  void all_reduce_sum(const at::Tensor& values) override { device_.all_reduce_sum(values); }
  void run_on_host(Stream stream, std::function<void()> work) override { device_.run_on_host(stream, std::move(work)); }
  bool computes_here() const override { return device_.computes_here(); }
  Event make_event() override { return device_.make_event(); }
  Event make_timed_event() override { return device_.make_timed_event(); }
  double seconds_between(Event from, Event to) override { return device_.seconds_between(from, to); }
  void record(Event event, Stream stream) override { device_.record(event, stream); }
  void wait(Stream stream, Event event) override { device_.wait(stream, event); }
  bool is_complete(Event event) override { return device_.is_complete(event); }
  void abort() override { device_.abort(); }

 private:
  Device& device_;
};

}  // namespace regatta::test
