// See slice_loops.hpp. The pragma stands after the headers, so that no function of theirs is made for AVX-512.

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "worker/slice_kernels.hpp"

#pragma GCC target("avx512f,avx2,fma")
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12 on the undefined parts in its own intrinsics

namespace regatta {
namespace {

template <class T>
struct Lanes;

template <>
struct Lanes<float> {
  using Vector = __m512;
  static constexpr std::int64_t kWidth = 16;
  static Vector load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, Vector value) { _mm512_storeu_ps(to, value); }
  static void stream(float* to, Vector value) { _mm512_stream_ps(to, value); }
  static Vector fill(float value) { return _mm512_set1_ps(value); }
  static Vector sqrt(Vector value) { return _mm512_sqrt_ps(value); }
  static Vector load_bf16(const std::uint16_t* from) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  static void store_bf16(std::uint16_t* to, Vector value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), rounded(value));
  }
  static void stream_bf16(std::uint16_t* to, Vector value) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to), rounded(value));
  }

 private:
  /// To the nearest bfloat16, ties to even; NaN stays NaN.
  static __m256i rounded(Vector value) {
    const __m512i bits = _mm512_castps_si512(value), high = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    const __m512i up = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    const __mmask16 is_nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(up, is_nan, high, _mm512_set1_epi32(0x40)));
  }
};

template <>
struct Lanes<double> {
  using Vector = __m512d;
  static constexpr std::int64_t kWidth = 8;
  static Vector load(const double* from) { return _mm512_loadu_pd(from); }
  static void store(double* to, Vector value) { _mm512_storeu_pd(to, value); }
  static void stream(double* to, Vector value) { _mm512_stream_pd(to, value); }
  static Vector fill(double value) { return _mm512_set1_pd(value); }
  static Vector sqrt(Vector value) { return _mm512_sqrt_pd(value); }
};

void copy_line(std::byte* to, const std::byte* from) {
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(from));
}

}  // namespace
}  // namespace regatta

#include "worker/slice_loops.hpp"

namespace regatta {
extern const SliceKernels kAvx512SliceKernels;
const SliceKernels kAvx512SliceKernels{"AVX-512", update, sum, round, copy};
}  // namespace regatta
