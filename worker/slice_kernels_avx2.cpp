// See slice_loops.hpp. The pragma stands after the headers, so that no function of theirs is made for AVX2.

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "worker/slice_kernels.hpp"

#pragma GCC target("avx2,fma")

namespace regatta {
namespace {

template <class T>
struct Lanes;

template <>
struct Lanes<float> {
  using Vector = __m256;
  static constexpr std::int64_t kWidth = 8;
  static Vector load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, Vector value) { _mm256_storeu_ps(to, value); }
  static void stream(float* to, Vector value) { _mm256_stream_ps(to, value); }
  static Vector fill(float value) { return _mm256_set1_ps(value); }
  static Vector sqrt(Vector value) { return _mm256_sqrt_ps(value); }
  static Vector load_bf16(const std::uint16_t* from) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
  static void store_bf16(std::uint16_t* to, Vector value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), rounded(value));
  }
  static void stream_bf16(std::uint16_t* to, Vector value) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(to), rounded(value));
  }

 private:
  /// To the nearest bfloat16, ties to even; NaN stays NaN.
  static __m128i rounded(Vector value) {
    const __m256i bits = _mm256_castps_si256(value), high = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i up = _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
    const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    const __m256i words = _mm256_blendv_epi8(up, quiet, is_nan);
    const __m256i packed = _mm256_packus_epi32(words, words);  // within halves: 0 1 2 3 0 1 2 3 | 4 5 6 7 4 5 6 7
    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0b1000));
  }
};

template <>
struct Lanes<double> {
  using Vector = __m256d;
  static constexpr std::int64_t kWidth = 4;
  static Vector load(const double* from) { return _mm256_loadu_pd(from); }
  static void store(double* to, Vector value) { _mm256_storeu_pd(to, value); }
  static void stream(double* to, Vector value) { _mm256_stream_pd(to, value); }
  static Vector fill(double value) { return _mm256_set1_pd(value); }
  static Vector sqrt(Vector value) { return _mm256_sqrt_pd(value); }
};

void copy_line(std::byte* to, const std::byte* from) {
  for (int half = 0; half < 2; ++half)
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to) + half,
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from) + half));
}

}  // namespace
}  // namespace regatta

#include "worker/slice_loops.hpp"

namespace regatta {
extern const SliceKernels kAvx2SliceKernels;
const SliceKernels kAvx2SliceKernels{"AVX2", update, sum, round, copy};
}  // namespace regatta
