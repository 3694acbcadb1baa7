// Every type here is an IEEE binary format, given by the bits of its exponent and of its fraction. F64 holds each value
// of the others exactly, so a cast goes through it: decode, round once to the target's grid, encode.

#include "jobs/tensor_cast.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>

#include "common/error.hpp"

namespace regatta {

namespace {

struct Format {
  const char* name;
  int exponent_bits, fraction_bits;

  std::size_t bytes() const { return static_cast<std::size_t>(1 + exponent_bits + fraction_bits) / 8; }
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  std::uint64_t infinity() const { return ((std::uint64_t{1} << exponent_bits) - 1) << fraction_bits; }
};

constexpr std::array<Format, 4> kFormats = {{{"F64", 11, 52}, {"F32", 8, 23}, {"F16", 5, 10}, {"BF16", 8, 7}}};

std::optional<Format> format_of(const std::string& dtype) {
  const auto found = std::find_if(kFormats.begin(), kFormats.end(), [&](const Format& f) { return dtype == f.name; });
  return found == kFormats.end() ? std::nullopt : std::optional(*found);
}

double decode(std::uint64_t bits, const Format& format) {
  const std::uint64_t fraction = bits & ((std::uint64_t{1} << format.fraction_bits) - 1);
  const auto exponent =
      static_cast<int>(bits >> format.fraction_bits & ((std::uint64_t{1} << format.exponent_bits) - 1));
  const double sign = bits >> (format.exponent_bits + format.fraction_bits) != 0 ? -1 : 1;
  if (exponent == (1 << format.exponent_bits) - 1)
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  const std::uint64_t significand = exponent == 0 ? fraction : fraction | std::uint64_t{1} << format.fraction_bits;
  return sign *
         std::ldexp(static_cast<double>(significand), std::max(exponent, 1) - format.bias() - format.fraction_bits);
}

std::uint64_t encode(double value, const Format& format) {
  const std::uint64_t sign = std::uint64_t{std::signbit(value)} << (format.exponent_bits + format.fraction_bits);
  if (std::isnan(value)) return format.infinity() | std::uint64_t{1} << (format.fraction_bits - 1);
  if (value == 0) return sign;
  if (std::isinf(value)) return sign | format.infinity();
  const int least = 1 - format.bias();  // exponent of the smallest normal number, and of all below it
  const int exponent = std::max(std::ilogb(value), least);
  // A whole number of the grid's steps. Rounding may carry into the next exponent: adding does that by itself.
  const auto steps =
      static_cast<std::uint64_t>(std::nearbyint(std::ldexp(std::fabs(value), format.fraction_bits - exponent)));
  const std::uint64_t base = static_cast<std::uint64_t>(exponent - least) << format.fraction_bits;
  return sign | std::min(base + steps, format.infinity());
}

}  // namespace

bool is_floating(const std::string& dtype) {
  return format_of(dtype).has_value();
}

std::vector<std::byte> cast_elements(const TensorView& tensor, const std::string& dtype) {
  const auto from = format_of(tensor.dtype), to = format_of(dtype);
  REGATTA_ENSURE(from && to, "a cast between floating types");
  const std::size_t count = tensor.bytes.size() / from->bytes();
  std::vector<std::byte> cast(count * to->bytes());
  for (std::size_t i = 0; i < count; ++i) {  // little-endian, as the container is and as the hosts are
    std::uint64_t bits = 0;
    std::memcpy(&bits, tensor.bytes.data() + i * from->bytes(), from->bytes());
    bits = encode(decode(bits, *from), *to);
    std::memcpy(cast.data() + i * to->bytes(), &bits, to->bytes());
  }
  return cast;
}

}  // namespace regatta
