#pragma once
// Weights and data for oracles as an integer formula, so that a fixture holds results only. tests/oracle/formula.py is
// the same in Python; both are exact in float64.

#include <cstdint>

namespace regatta::test {

/// Element `element` of tensor `tensor`: one of -1, -0.999, ..., 1.
inline double formula(std::int64_t tensor, std::int64_t element) {
  std::uint64_t x = static_cast<std::uint64_t>(element) * 6364136223846793005U +
                    static_cast<std::uint64_t>(tensor) * 1442695040888963407U + 1013904223U;
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdU;
  x ^= x >> 33;
  return (static_cast<double>(x % 2001) - 1000) / 1000;
}

/// A label, or a character, below `classes`.
inline std::int64_t formula_label(std::int64_t tensor, std::int64_t element, std::int64_t classes) {
  return static_cast<std::int64_t>((formula(tensor, element) + 1) * 1000 + 0.5) % classes;
}

}  // namespace regatta::test
