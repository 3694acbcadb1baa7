// See slice_loops.hpp. Any x86-64: SSE2 for what is streamed, no fused multiply-add.

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "worker/slice_kernels.hpp"

namespace regatta {
namespace {

template <class T>
struct Lanes;

template <>
struct Lanes<float> {
  using Vector = __m128;
  static constexpr std::int64_t kWidth = 4;
  static Vector load(const float* from) { return _mm_loadu_ps(from); }
  static void store(float* to, Vector value) { _mm_storeu_ps(to, value); }
  static void stream(float* to, Vector value) { _mm_stream_ps(to, value); }
  static Vector fill(float value) { return _mm_set1_ps(value); }
  static Vector sqrt(Vector value) { return _mm_sqrt_ps(value); }
  static Vector load_bf16(const std::uint16_t* from) {
    const __m128i narrow = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), narrow));
  }
  static void store_bf16(std::uint16_t* to, Vector value) {
    const std::uint64_t four = rounded(value);
    std::memcpy(to, &four, sizeof four);
  }
  static void stream_bf16(std::uint16_t* to, Vector value) {
    _mm_stream_si64(reinterpret_cast<long long*>(to), static_cast<long long>(rounded(value)));
  }

 private:
  /// Four bfloat16, the nearest ones, ties to even; NaN stays NaN.
  static std::uint64_t rounded(Vector value) {
    const __m128i bits = _mm_castps_si128(value), high = _mm_srli_epi32(bits, 16);
    const __m128i odd = _mm_and_si128(high, _mm_set1_epi32(1));
    const __m128i up = _mm_srli_epi32(_mm_add_epi32(bits, _mm_add_epi32(odd, _mm_set1_epi32(0x7fff))), 16);
    const __m128i quiet = _mm_or_si128(high, _mm_set1_epi32(0x40));
    const __m128i is_nan = _mm_castps_si128(_mm_cmpunord_ps(value, value));
    const __m128i words = _mm_or_si128(_mm_and_si128(is_nan, quiet), _mm_andnot_si128(is_nan, up));
    const __m128i halves = _mm_shufflehi_epi16(_mm_shufflelo_epi16(words, 0b1000), 0b1000);
    return static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_shuffle_epi32(halves, 0b1000)));
  }
};

template <>
struct Lanes<double> {
  using Vector = __m128d;
  static constexpr std::int64_t kWidth = 2;
  static Vector load(const double* from) { return _mm_loadu_pd(from); }
  static void store(double* to, Vector value) { _mm_storeu_pd(to, value); }
  static void stream(double* to, Vector value) { _mm_stream_pd(to, value); }
  static Vector fill(double value) { return _mm_set1_pd(value); }
  static Vector sqrt(Vector value) { return _mm_sqrt_pd(value); }
};

void copy_line(std::byte* to, const std::byte* from) {
  for (int part = 0; part < 4; ++part)
    _mm_stream_si128(reinterpret_cast<__m128i*>(to) + part,
                     _mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + part));
}

}  // namespace
}  // namespace regatta

#include "worker/slice_loops.hpp"

namespace regatta {
extern const SliceKernels kPlainSliceKernels;
const SliceKernels kPlainSliceKernels{"plain", update, sum, round, copy};
}  // namespace regatta
