#include "worker/allocator.hpp"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <pthread.h>

#include "common/host.hpp"
#include "worker/block_cache.hpp"

namespace regatta {

namespace {

constexpr std::uint8_t kPriority = 100;       // above whatever torch has registered
constexpr std::size_t kAddressesPerByte = 4;  // of physical memory: room for sizes that are used once

/// Never destroyed: tensors with static lifetime give blocks back after main.
BlockCache& cache() {
  static BlockCache& only = [&]() -> BlockCache& {
    auto& made = *new BlockCache(kAddressesPerByte * static_cast<std::size_t>(host_memory_bytes()));
    ::pthread_atfork([] { cache().lock(); }, [] { cache().unlock(); }, [] { cache().unlock(); });
    return made;
  }();
  return only;
}

/// A tensor's context is its data, so that raw_allocate and torch's checks for simple pointers work as ever.
void free_block(void* data) {
  if (cache().owns(data))
    cache().give_back(data);
  else
    c10::free_cpu(data);
}

class CachingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    void* data = cache().take(bytes);
    if (data == nullptr) data = c10::alloc_cpu(bytes);  // null for no bytes; throws where there is no memory
    return {data, data, &free_block, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }
};

CachingAllocator& caching_allocator() {
  static auto& only = *new CachingAllocator();
  return only;
}

bool in_use() {
  return c10::GetCPUAllocator() == &caching_allocator();
}

}  // namespace

void use_caching_allocator(bool on) {
  if (on) cache();
  c10::SetCPUAllocator(on ? &caching_allocator() : c10::GetDefaultCPUAllocator(), kPriority);
}

void return_idle_memory() {
  if (in_use()) cache().return_idle();
}

std::optional<record::Memory> allocator_memory() {
  if (!in_use()) return {};
  return cache().figures();
}

}  // namespace regatta
