#pragma once
// Where torch's large tensors on the CPU come from.

#include <optional>

#include "common/records.hpp"

namespace regatta {

/// From now on, tensors of 64 KiB and more are taken from a BlockCache of this process, smaller ones and whatever it
/// cannot give from torch's own allocator, whose errors come through. `on` false: all from torch's own again; blocks
/// that tensors hold stay valid, and go back to the cache.
///
/// Call before other threads use torch (c10::SetCPUAllocator). The cache lives as long as the process: tensors may die
/// after main. It is the one object that cannot be passed on: c10 frees memory through a bare function.
void use_caching_allocator(bool on);

/// Gives the kernel what the cache keeps but no tensor uses, if the cache is in use. Any thread.
void return_idle_memory();

/// What the cache has done in this process; nothing unless it is in use. Any thread.
std::optional<record::Memory> allocator_memory();

}  // namespace regatta
