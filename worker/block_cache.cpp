// Why: a training step makes and drops the same large tensors each time. glibc maps and unmaps them (from 128 KiB,
// later from 32 MiB on) or trims the top of its heap, and the kernel zeroes every page anew: 11,500 page faults and 23
// ms of kernel time in a step of the lstm with batch 16, none to 6 ms in one of the mlp, as the heap happens to lie.
//
// A block is a header of one line and the caller's bytes behind it, in whole pages, cut one after another from a single
// range of addresses. The header names the block's size and its list, so giving back needs neither a search nor an
// allocation. The range is reserved without access (which costs and charges nothing) and opened 2 MiB at a time; it
// tells our blocks from malloc's by two comparisons. Blocks are never split or merged: a training loop asks for the
// same sizes again, and addresses are plenty.
//
// Sizes that are in use at different times do not share memory: at the end of a step all of it together is 1.4 times
// the most in use at once for the mlp, 1.6 for resnet18, 2.0 for the cnn. Hence the bound of twice; at 1.25 times,
// resnet18 gave back and made anew 50 blocks a step.
//
// The kernel takes a part of a huge page back at once from our count, but from the machine only when memory gets short.

#include "worker/block_cache.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <new>


namespace regatta {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kFewestAddresses = 64UL << 20;  // less is not worth a cache

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

/// Of a process with a limit (ulimit -v) only a quarter: the rest of it needs addresses too.
std::size_t allowed_addresses(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
  return std::min(wanted, static_cast<std::size_t>(limit.rlim_cur) / 4);
}

}  // namespace

struct alignas(BlockCache::kAlignment) BlockCache::Block {
  std::size_t bytes;  // with this header, whole pages
  Block** list;       // in idle_, of this size
  Block* below;       // given back before, same size
  Block *older, *newer;
  bool has_memory;  // false: only the header's page
};

BlockCache::BlockCache(std::size_t address_space, std::size_t slack) : slack_(slack) {
  static_assert(sizeof(Block) == kAlignment, "the caller's bytes begin on the next line");
  for (std::size_t bytes = allowed_addresses(address_space); bytes >= kFewestAddresses; bytes /= 2) {
    void* range = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (range == MAP_FAILED) continue;
    base_ = static_cast<std::byte*>(range);
    reserved_ = bytes;
    // Blocks begin on a huge page.
    carved_ = usable_ =
        round_up(reinterpret_cast<std::uintptr_t>(base_), kHugePage) - reinterpret_cast<std::uintptr_t>(base_);
    ::madvise(base_, reserved_, MADV_HUGEPAGE);  // refused where the kernel has none: small pages then
    return;
  }
}

BlockCache::~BlockCache() {
  if (base_ != nullptr) ::munmap(base_, reserved_);
}

void* BlockCache::take(std::size_t bytes) {
  if (bytes < kLeast || bytes > reserved_) return nullptr;
  const std::size_t size = round_up(bytes + sizeof(Block), kPage);
  const std::lock_guard lock(mutex_);
  Block*& list = idle_[size];
  Block* block = list;
  const bool has_memory = block != nullptr && block->has_memory;
  if (block == nullptr) {
    block = make(size);
    if (block == nullptr) return nullptr;
    block->list = &list;
    figures_.held_bytes += size;
  } else {
    list = block->below;
    if (has_memory)
      unlink(*block);
    else
      figures_.held_bytes += size - kPage;
  }
  ++(has_memory ? figures_.blocks_reused : figures_.blocks_made);
  block->has_memory = true;
  live_ += size;
  figures_.peak_bytes = std::max(figures_.peak_bytes, static_cast<std::int64_t>(live_));
  if (!has_memory) keep_within(figures_.peak_bytes + std::max<std::int64_t>(figures_.peak_bytes, slack_));
  return block + 1;
}

void BlockCache::give_back(void* data) noexcept {
  auto* block = static_cast<Block*>(data) - 1;
  const std::lock_guard lock(mutex_);
  live_ -= block->bytes;
  block->below = *block->list;
  *block->list = block;
  block->older = newest_;
  block->newer = nullptr;
  (newest_ == nullptr ? oldest_ : newest_->newer) = block;
  newest_ = block;
}

record::Memory BlockCache::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

/// Cuts a new one; null when addresses or memory run out.
BlockCache::Block* BlockCache::make(std::size_t bytes) {
  if (bytes > reserved_ - carved_) return nullptr;
  const std::size_t end = carved_ + bytes;
  if (end > usable_) {
    const std::size_t more = std::min(round_up(end - usable_, kHugePage), reserved_ - usable_);
    if (::mprotect(base_ + usable_, more, PROT_READ | PROT_WRITE) != 0) return nullptr;
    usable_ += more;
  }
  auto* block = new (base_ + carved_) Block{.bytes = bytes};
  carved_ = end;
  return block;
}

/// Takes a block out of the list of idle ones with memory.
void BlockCache::unlink(Block& block) {
  (block.older == nullptr ? oldest_ : block.older->newer) = block.newer;
  (block.newer == nullptr ? newest_ : block.newer->older) = block.older;
}

/// Within one size the oldest lie at the bottom of the list, so that those with memory are taken first.
void BlockCache::return_oldest() {
  Block& block = *oldest_;
  unlink(block);
  block.has_memory = false;
  const std::size_t bytes = block.bytes - kPage;  // the header stays
  // Fails for locked memory (mlockall) alone; then it stays, as its owner wanted.
  ::madvise(reinterpret_cast<std::byte*>(&block) + kPage, bytes, MADV_DONTNEED);
  figures_.held_bytes -= bytes;
  figures_.returned_bytes += bytes;
}

void BlockCache::keep_within(std::int64_t bytes) {
  while (figures_.held_bytes > bytes && oldest_ != nullptr) return_oldest();
}

void BlockCache::return_idle() {
  const std::lock_guard lock(mutex_);
  keep_within(0);
}

}  // namespace regatta
