#pragma once
// Stafford's mix 13, the finalizer of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators",
// OOPSLA 2014). Sample orders, initial weights and synthetic data are made of it; tests pin their bits.

#include <cstdint>

namespace regatta {

constexpr std::uint64_t kGoldenStride = 0x9e3779b97f4a7c15U;  // 2^64 / golden ratio

/// A bijection in which every input bit reaches every output bit; 0 stays 0.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

}  // namespace regatta
