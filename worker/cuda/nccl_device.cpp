// A communicator that does not block: every call of NCCL returns at once, its state is asked for until it is no longer
// ncclInProgress, and so whoever connects or sums can give up at a deadline; a blocking one would hold the thread in
// ncclCommInitRank or in the first sum, which connects, until a lost rank comes back. While a sum is in progress it may
// not be on its stream yet: nothing is recorded behind it before its state is a success.
//
// The exchange stream is this object's own, at the highest priority: blocks of a sum, which are few, are placed before
// those of backward, which fill the GPU. So is the copy stream, whose copies keep no multiprocessor busy and so need no
// priority. Tensor operations run where a guard of c10 puts them, so that ATen's kernels, its allocator and our events
// all mean the same streams.
//
// The allocator hands out at once what was let go of, in the order of the compute stream, where all memory is asked
// for: kernels on it may still be using it. So the other streams wait for that whenever memory is asked for, a few
// times before the first step.
//
// The barrier before connecting keeps what comes before it (a slow model, a dataset that is still decoded) out of
// NCCL's own time-outs.

#include "worker/cuda/nccl_device.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "worker/cuda/cuda_error.hpp"

namespace regatta {
namespace {

ncclDataType_t nccl_type(at::ScalarType type) {
  REGATTA_ENSURE(type == at::kDouble || type == at::kFloat || type == at::kBFloat16, "float64, float32 or bfloat16");
  if (type == at::kBFloat16) return ncclBfloat16;
  return type == at::kFloat ? ncclFloat32 : ncclFloat64;
}

/// Run on a thread of CUDA's, where nothing may call CUDA: also not the end of a pinned tensor, which is why it is
/// destroyed on the trainer thread.
struct HostWork {
  explicit HostWork(std::function<void()> wanted) : work(std::move(wanted)) {}
  static void CUDART_CB run(void* self) {
    auto* const host_work = static_cast<HostWork*>(self);
    host_work->work();
    host_work->done = true;
  }

  std::function<void()> work;
  std::atomic<bool> done = false;
};

class NcclDevice final : public Device {
 public:
  NcclDevice(int gpu, RankContext& ranks, PollUntil poll_until)
      : gpu_(static_cast<c10::DeviceIndex>(gpu)),
        poll_until_(std::move(poll_until)),
        guard_(gpu_),
        compute_(c10::cuda::getCurrentCUDAStream(gpu_)) {
    try {
      int least = 0, greatest = 0;
      check_cuda(cudaDeviceGetStreamPriorityRange(&least, &greatest), "cudaDeviceGetStreamPriorityRange");
      check_cuda(cudaStreamCreateWithPriority(&own_stream_, cudaStreamNonBlocking, greatest),
                 "cudaStreamCreateWithPriority");
      exchange_ = c10::cuda::getStreamFromExternal(own_stream_, gpu_);
      check_cuda(cudaStreamCreateWithFlags(&copy_stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
      copy_ = c10::cuda::getStreamFromExternal(copy_stream_, gpu_);
      allotted_ = make_event();
      connect(ranks);
    } catch (...) {
      release();
      throw;
    }
  }
  ~NcclDevice() override { release(); }
  NcclDevice(const NcclDevice&) = delete;
  NcclDevice& operator=(const NcclDevice&) = delete;

  const char* name() const override { return "nccl"; }
  c10::Device where() const override { return {c10::kCUDA, gpu_}; }

  at::Tensor memory(std::int64_t count, at::ScalarType type) override {
    const c10::cuda::CUDAStreamGuard on(compute_);
    at::Tensor made = at::empty({count}, at::TensorOptions(type).device(at::kCUDA, gpu_));
    record(allotted_, Stream::kCompute);
    wait(Stream::kExchange, allotted_);
    wait(Stream::kCopy, allotted_);
    return made;
  }
  at::Tensor host_memory(std::int64_t count, at::ScalarType type) override {
    return at::empty({count}, at::TensorOptions(type).pinned_memory(true));
  }

  std::optional<DeviceMemory> take_memory() override {
    const c10::cuda::CUDAGuard on(gpu_);
    std::size_t free_bytes = 0, total_bytes = 0;
    check_cuda(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
    constexpr auto kAll = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    const std::int64_t peak_bytes = c10::cuda::CUDACachingAllocator::getDeviceStats(gpu_).allocated_bytes[kAll].peak;
    c10::cuda::CUDACachingAllocator::resetPeakStats(gpu_);
    return DeviceMemory{.peak_bytes = peak_bytes,
                        .free_bytes = static_cast<std::int64_t>(free_bytes),
                        .total_bytes = static_cast<std::int64_t>(total_bytes)};
  }

  void launch(Stream stream, std::function<void()> work) override {
    const c10::cuda::CUDAStreamGuard on(stream_of(stream));
    work();
  }

  void copy(Stream stream, const at::Tensor& to, const at::Tensor& from) override {
    const c10::NoGradGuard no_grad;
    const c10::cuda::CUDAStreamGuard on(stream_of(stream));
    to.copy_(from, /*non_blocking=*/true);
  }

  void all_reduce_sum(const at::Tensor& values) override {
    REGATTA_ENSURE(values.is_contiguous() && values.is_cuda(), "contiguous values on the device");
    expect_communicator();
    const c10::cuda::CUDAGuard on(gpu_);
    void* const data = values.mutable_data_ptr();
    check_nccl(ncclAllReduce(data, data, static_cast<std::size_t>(values.numel()), nccl_type(values.scalar_type()),
                             ncclSum, communicator_, own_stream_),
               communicator_, "ncclAllReduce");
    settle("ncclAllReduce");
  }

  void run_on_host(Stream stream, std::function<void()> work) override {
    while (!host_work_.empty() && host_work_.front()->done) host_work_.pop_front();
    HostWork* const added = host_work_.emplace_back(std::make_unique<HostWork>(std::move(work))).get();
    check_cuda(cudaLaunchHostFunc(stream_of(stream).stream(), &HostWork::run, added), "cudaLaunchHostFunc");
  }

  Event make_event() override { return make_event(cudaEventDisableTiming); }
  Event make_timed_event() override { return make_event(cudaEventDefault); }
  double seconds_between(Event from, Event to) override {
    float milliseconds = 0;  // in steps of about half a microsecond
    check_cuda(cudaEventElapsedTime(&milliseconds, cuda_event(from), cuda_event(to)), "cudaEventElapsedTime");
    return static_cast<double>(milliseconds) / 1000;
  }
  void record(Event event, Stream stream) override {
    check_cuda(cudaEventRecord(cuda_event(event), stream_of(stream).stream()), "cudaEventRecord");
  }
  void wait(Stream stream, Event event) override {
    check_cuda(cudaStreamWaitEvent(stream_of(stream).stream(), cuda_event(event), cudaEventWaitDefault),
               "cudaStreamWaitEvent");
  }

  bool is_complete(Event event) override {
    expect_communicator();
    state("an earlier sum");  // a lost peer shows here; the event behind its sum would never come
    const cudaError_t found = cudaEventQuery(cuda_event(event));
    if (found == cudaErrorNotReady) {
      (void)cudaGetLastError();  // or the next check that asks for the last error takes it for one
      return false;
    }
    check_cuda(found, "cudaEventQuery");
    return true;
  }

  void abort() override {
    if (communicator_ != nullptr) (void)ncclCommAbort(std::exchange(communicator_, nullptr));
  }

 private:
  void connect(RankContext& ranks) {
    // All connections now, under the deadline of starting: else the first sums of the first step make them, and take
    // device memory when the model has it.
    (void)::setenv("NCCL_RUNTIME_CONNECT", "0", /*overwrite=*/0);
    const ncclUniqueId id = share_id(ranks);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ranks.barrier();
    check_nccl(ncclCommInitRankConfig(&communicator_, ranks.world_size(), id, ranks.rank(), &config), communicator_,
               "ncclCommInitRank");
    settle("ncclCommInitRank");
  }

  /// Rank 0's, everywhere; where it has none, an error everywhere.
  static ncclUniqueId share_id(RankContext& ranks) {
    ncclUniqueId id{};
    std::string text, trouble;
    if (ranks.rank() == 0) {
      const ncclResult_t made = ncclGetUniqueId(&id);
      if (made == ncclSuccess)
        text.assign(id.internal, sizeof id.internal);
      else
        trouble = ncclGetErrorString(made);
    }
    text = ranks.broadcast(std::move(text));
    trouble = ranks.broadcast(std::move(trouble));
    if (text.size() != sizeof id.internal)
      throw CommError(
          fmt::format("NCCL: ncclGetUniqueId on rank 0: {}\n  NCCL_DEBUG=INFO makes NCCL say more.", trouble));
    std::memcpy(id.internal, text.data(), sizeof id.internal);
    return id;
  }

  /// ncclSuccess or ncclInProgress; throws what went wrong since it was last asked for.
  ncclResult_t state(const char* what) {
    ncclResult_t found = ncclSuccess;
    check_nccl(ncclCommGetAsyncError(communicator_, &found), communicator_, "ncclCommGetAsyncError");
    check_nccl(found, communicator_, what);
    return found;
  }
  void settle(const char* what) {
    poll_until_(what, [&] { return state(what) != ncclInProgress; });
  }

  void expect_communicator() const {
    if (communicator_ == nullptr) throw CommError("NCCL: the communicator was aborted");
  }

  Event make_event(unsigned flags) {
    const c10::cuda::CUDAGuard on(gpu_);
    cudaEvent_t event = nullptr;
    check_cuda(cudaEventCreateWithFlags(&event, flags), "cudaEventCreate");
    events_.push_back(event);
    return {static_cast<int>(events_.size()) - 1};
  }

  c10::cuda::CUDAStream stream_of(Stream stream) const {
    if (stream == Stream::kCompute) return compute_;
    return stream == Stream::kExchange ? *exchange_ : *copy_;
  }
  cudaEvent_t cuda_event(Event event) const { return events_.at(static_cast<std::size_t>(event.number)); }

  void release() {
    abort();
    for (auto& host_work : host_work_)
      if (!host_work->done) (void)host_work.release();  // CUDA may still come to it
    host_work_.clear();  // pinned memory looks at the streams that copied it when it is let go of
    for (const cudaEvent_t event : events_) (void)cudaEventDestroy(event);
    if (own_stream_ != nullptr) (void)cudaStreamDestroy(own_stream_);
    if (copy_stream_ != nullptr) (void)cudaStreamDestroy(copy_stream_);
  }

  c10::DeviceIndex gpu_;
  PollUntil poll_until_;
  c10::cuda::CUDAGuard guard_;  // of the trainer thread, as long as this lives
  c10::cuda::CUDAStream compute_;
  cudaStream_t own_stream_ = nullptr;
  std::optional<c10::cuda::CUDAStream> exchange_;  // the same, as ATen knows it
  cudaStream_t copy_stream_ = nullptr;
  std::optional<c10::cuda::CUDAStream> copy_;  // likewise
  Event allotted_;
  ncclComm_t communicator_ = nullptr;
  std::vector<cudaEvent_t> events_;  // by Event's number
  std::deque<std::unique_ptr<HostWork>> host_work_;
};

}  // namespace

std::unique_ptr<Device> make_nccl_device(int gpu, RankContext& ranks, PollUntil poll_until) {
  return std::make_unique<NcclDevice>(gpu, ranks, std::move(poll_until));
}

}  // namespace regatta
