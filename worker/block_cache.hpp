#pragma once
// Large blocks of memory that are kept for the next step instead of going back to the kernel. Knows nothing of torch.

#include <cstddef>
#include <mutex>
#include <unordered_map>

#include "common/records.hpp"

namespace regatta {

/// Hands out blocks of at least `kLeast` bytes on huge pages and keeps those that are given back, by exact size, the
/// last one first: it is the one that a core still has in its cache.
///
/// Any thread, also one that gives back what another one took. Never holds more memory than twice the most that was
/// ever in use at once, or than that and `slack` where this is more: past it, blocks that lie idle the longest give
/// their memory (not their addresses) back to the kernel. Where address space runs out, `take` returns null and the
/// caller allocates in another way.
class BlockCache {
 public:
  static constexpr std::size_t kAlignment = 64;        ///< of a block's first byte: a cache line, an AVX-512 register
  static constexpr std::size_t kLeast = 64 << 10;      ///< glibc maps and trims from 128 KiB on; see the .cpp
  static constexpr std::size_t kSlack = 64UL << 20;    ///< idle memory that nobody minds
  static constexpr std::size_t kHugePage = 2UL << 20;  ///< of x86-64

  /// Reserves `address_space` bytes of addresses, less where the process may not have them; no memory yet.
  explicit BlockCache(std::size_t address_space, std::size_t slack = kSlack);
  /// All blocks must have been given back, or never be used again.
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  /// `bytes` with anything in them, aligned to kAlignment, the caller's until give_back; null for fewer than kLeast
  /// bytes, and where addresses or memory run out. Throws std::bad_alloc when there is none for a new size's list.
  void* take(std::size_t bytes);
  /// True for what `take` returned. Takes no lock.
  bool owns(const void* data) const { return data >= base_ && data < base_ + reserved_; }
  /// `data` from `take`, once.
  void give_back(void* data) noexcept;

  /// All idle memory goes back to the kernel now: after a start that had tensors of its own.
  void return_idle();

  /// Since the construction. Blocks count with their header, in whole pages of 4 KiB.
  record::Memory figures() const;

  /// Around fork(), so that no other thread holds the lock in a child that goes on to use tensors.
  void lock() const { mutex_.lock(); }
  void unlock() const { mutex_.unlock(); }

 private:
  struct Block;

  Block* make(std::size_t bytes);
  void unlink(Block& block);
  void keep_within(std::int64_t bytes);
  void return_oldest();

  const std::size_t slack_;
  std::byte* base_ = nullptr;  // of the addresses; the first `usable_` bytes may be touched, `carved_` are blocks
  std::size_t reserved_ = 0, usable_ = 0, carved_ = 0;
  mutable std::mutex mutex_;                      // guards everything below, and usable_ and carved_
  std::unordered_map<std::size_t, Block*> idle_;  // by size: the block given back last, a list through `below`
  Block* oldest_ = nullptr;                       // idle blocks with memory, a list through `newer` and `older`
  Block* newest_ = nullptr;
  std::size_t live_ = 0;  // bytes of blocks in use
  record::Memory figures_;
};

}  // namespace regatta
