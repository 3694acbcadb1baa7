// Against the hardware's own rounding for float, and IEEE 754's tables for the rest.

#include "jobs/tensor_cast.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace regatta {
namespace {

template <class To, class From>
To cast_one(From value, const std::string& from, const std::string& to) {
  const TensorView tensor{"t", from, {1}, std::as_bytes(std::span(&value, 1))};
  const std::vector<std::byte> bytes = cast_elements(tensor, to);
  EXPECT_EQ(bytes.size(), sizeof(To));
  To result;
  std::memcpy(&result, bytes.data(), sizeof(To));
  return result;
}

TEST(TensorCast, DoubleToFloatRoundsAsTheProcessorDoes) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const auto value = std::bit_cast<double>(random());
    if (std::isnan(value)) continue;
    const auto expected = static_cast<float>(value);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(cast_one<float>(value, "F64", "F32")),
              std::bit_cast<std::uint32_t>(expected))
        << value;
  }
  // Numbers of float's own range, where the random bits above seldom fall.
  std::uniform_real_distribution<double> exponent(-160, 140);
  for (int i = 0; i < 20'000; ++i) {
    const double value = std::exp2(exponent(random));
    EXPECT_EQ(cast_one<float>(value, "F64", "F32"), static_cast<float>(value)) << value;
  }
}

TEST(TensorCast, FloatAndDoubleSurviveTheWayThere) {
  std::mt19937 random(2);
  for (int i = 0; i < 20'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (std::isnan(value)) continue;
    EXPECT_EQ(cast_one<double>(value, "F32", "F64"), static_cast<double>(value));
    EXPECT_EQ(cast_one<float>(value, "F32", "F32"), value);
  }
}

TEST(TensorCast, EveryHalfSurvivesTheWayThereAndBack) {
  for (std::uint32_t bits = 0; bits < 1U << 16; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    for (const char* type : {"F16", "BF16"}) {
      const auto wide = cast_one<float>(half, type, "F32");
      if (std::isnan(wide)) continue;
      EXPECT_EQ(cast_one<std::uint16_t>(wide, "F32", type), half) << type;
    }
  }
}

TEST(TensorCast, HalvesByHand) {
  const auto half = [](double value) { return cast_one<std::uint16_t>(value, "F64", "F16"); };
  EXPECT_EQ(half(1), 0x3c00);
  EXPECT_EQ(half(-2), 0xc000);
  EXPECT_EQ(half(65504), 0x7bff);               // the largest
  EXPECT_EQ(half(65519.99), 0x7bff);            // below the middle to the next one, which is not there
  EXPECT_EQ(half(65520), 0x7c00);               // the middle: to even, infinity
  EXPECT_EQ(half(std::ldexp(1, -24)), 0x0001);  // the smallest
  EXPECT_EQ(half(std::ldexp(1, -25)), 0x0000);  // a tie goes to even
  EXPECT_EQ(half(std::ldexp(1.0001, -25)), 0x0001);
  EXPECT_EQ(half(std::ldexp(1023.75, -24)), 0x0400);  // rounds up into the normal numbers
  EXPECT_EQ(half(1 + std::ldexp(1, -11)), 0x3c00);    // ties: to even, down
  EXPECT_EQ(half(1 + std::ldexp(3, -11)), 0x3c02);    // and up
  // Rounding twice, by way of float, would give 0x3c00.
  EXPECT_EQ(half(1 + std::ldexp(1, -11) + std::ldexp(1, -30)), 0x3c01);
  EXPECT_TRUE((half(std::numeric_limits<double>::quiet_NaN()) & 0x7fff) > 0x7c00);
  EXPECT_EQ(half(-0.0), 0x8000);
  const auto brain = [](float value) { return cast_one<std::uint16_t>(value, "F32", "BF16"); };
  EXPECT_EQ(brain(1), 0x3f80);
  EXPECT_EQ(brain(std::bit_cast<float>(0x3f808000U)), 0x3f80);  // a tie, even below
  EXPECT_EQ(brain(std::bit_cast<float>(0x3f818000U)), 0x3f82);  // a tie, even above
  EXPECT_EQ(brain(std::numeric_limits<float>::max()), 0x7f80);
}

}  // namespace
}  // namespace regatta
