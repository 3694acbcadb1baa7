// Sixteen floats in a register, from and to memory, for the files that compute with AVX-512. To be included after their
// `#pragma GCC target`, which everything here is made for. No include guard: it belongs to the file that includes it.

#define REGATTA_INLINE [[gnu::always_inline]] inline

namespace regatta {
namespace {

constexpr std::int64_t kLanes = 16, kSlice = 2 * kLanes;

using Vector = float __attribute__((vector_size(64), aligned(4), may_alias));
using Words = std::uint32_t __attribute__((vector_size(64), aligned(4), may_alias));
using Halves = std::uint16_t __attribute__((vector_size(32), aligned(2), may_alias));

REGATTA_INLINE Vector load(const float* from) {
  return *reinterpret_cast<const Vector*>(from);
}
REGATTA_INLINE void store(float* to, Vector value) {
  *reinterpret_cast<Vector*>(to) = value;
}
REGATTA_INLINE Vector load(const c10::BFloat16* from) {
  const Words bits = __builtin_convertvector(*reinterpret_cast<const Halves*>(from), Words) << 16;
  return reinterpret_cast<Vector>(bits);
}
REGATTA_INLINE void store(c10::BFloat16* to, Vector value) {
  const Words bits = reinterpret_cast<Words>(value);
  const Words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;  // to nearest, ties to even
  *reinterpret_cast<Halves*>(to) = __builtin_convertvector(rounded, Halves);
}

}  // namespace
}  // namespace regatta
