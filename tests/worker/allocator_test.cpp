#include "worker/allocator.hpp"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "worker/failure.hpp"

namespace regatta {
namespace {

/// A tensor with static lifetime, given back after main: the program must end well.
at::Tensor& outlives_main() {
  static at::Tensor tensor;
  return tensor;
}

struct Allocator : testing::Test {
  Allocator() { use_caching_allocator(true); }
  ~Allocator() override { use_caching_allocator(false); }
  static std::int64_t blocks() { return allocator_memory()->blocks_made + allocator_memory()->blocks_reused; }
};

TEST_F(Allocator, ServesLargeTensorsAndLeavesSmallOnesToTorch) {
  const std::int64_t before = blocks();
  const at::Tensor small = at::full({100}, 2.0);
  EXPECT_EQ(blocks(), before);
  const at::Tensor large = at::full({1000, 1000}, 3.0);
  EXPECT_EQ(blocks(), before + 1);
  EXPECT_EQ(large.sum().item<double>(), 3e6);
  EXPECT_EQ(small.sum().item<double>(), 200);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(large.const_data_ptr()) % 64, 0U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(small.const_data_ptr()) % 64, 0U);
}

TEST_F(Allocator, AStepUsesTheMemoryOfTheOneBefore) {
  const auto step = [] { return at::mm(at::ones({512, 512}), at::ones({512, 512})).sum().item<double>(); };
  const double first = step();
  const record::Memory before = *allocator_memory();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(step(), first);
  EXPECT_EQ(allocator_memory()->blocks_made, before.blocks_made);
  EXPECT_EQ(allocator_memory()->blocks_reused, before.blocks_reused + 30);
}

TEST_F(Allocator, HasTheContractOfTorchs) {
  at::Allocator& allocator = *c10::GetCPUAllocator();
  const at::DataPtr nothing = allocator.allocate(0);
  EXPECT_EQ(nothing.get(), nullptr);
  ASSERT_NE(allocator.raw_deleter(), nullptr);
  for (const std::size_t bytes : {std::size_t{8}, std::size_t{1} << 20}) {
    const at::DataPtr data = allocator.allocate(bytes);
    EXPECT_EQ(data.get_deleter(), allocator.raw_deleter());
    EXPECT_TRUE(allocator.is_simple_data_ptr(data));
    std::memset(data.get(), 7, bytes);
    const at::DataPtr copy = allocator.clone(data.get(), bytes);
    EXPECT_NE(copy.get(), data.get());
    EXPECT_EQ(std::memcmp(copy.get(), data.get(), bytes), 0);
    allocator.raw_deallocate(allocator.raw_allocate(bytes));
  }
  allocator.raw_deallocate(allocator.raw_allocate(0));
}

TEST_F(Allocator, MemoryThatIsNotThereIsTorchsError) {
  for (const std::int64_t elements : {std::int64_t{1} << 44, std::int64_t{1} << 60}) {
    try {
      at::empty({elements}, at::kByte);
      ADD_FAILURE() << "got " << elements << " bytes";
    } catch (...) {
      EXPECT_EQ(current_failure().code, ExitCode::kOutOfMemory) << elements << " bytes";
    }
  }
}

TEST_F(Allocator, ATensorMayDieInAnotherThread) {
  at::Tensor tensor;
  std::thread([&] { tensor = at::ones({1 << 20}); }).join();
  EXPECT_EQ(tensor.sum().item<double>(), 1 << 20);
  std::thread([moved = std::move(tensor)]() mutable { moved.reset(); }).join();
  const std::int64_t made = allocator_memory()->blocks_made;
  EXPECT_EQ(at::ones({1 << 20}).numel(), 1 << 20);
  EXPECT_EQ(allocator_memory()->blocks_made, made);
}

TEST_F(Allocator, TensorsOutliveItsUseAndMain) {
  at::Tensor ours = at::ones({1 << 20});
  outlives_main() = at::ones({1 << 20});
  use_caching_allocator(false);
  EXPECT_FALSE(allocator_memory());
  at::Tensor torchs = at::ones({1 << 20});
  use_caching_allocator(true);
  EXPECT_EQ((ours + torchs).sum().item<double>(), 2 << 20);
  torchs.reset();  // goes back to malloc
  const record::Memory before = *allocator_memory();
  ours.reset();
  EXPECT_EQ(at::empty({1 << 20}, at::kFloat).numel(), 1 << 20);
  EXPECT_EQ(allocator_memory()->blocks_made, before.blocks_made);
}

}  // namespace
}  // namespace regatta
