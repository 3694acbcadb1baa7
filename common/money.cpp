#include "common/money.hpp"

#include <algorithm>
#include <numeric>

#include "common/error.hpp"

namespace regatta {

namespace {

__extension__ using Wide = __int128;  // 64 x 64 bits without loss
constexpr std::int64_t kNanoPerUsd = 1'000'000'000;
constexpr std::size_t kDecimals = 9;

std::int64_t narrow(Wide value) {
  REGATTA_ENSURE(value <= INT64_MAX && value >= INT64_MIN, "an amount beyond 9.2 billion USD");
  return static_cast<std::int64_t>(value);
}

Wide divide_half_even(Wide numerator, Wide denominator) {
  Wide quotient = numerator / denominator;
  const Wide twice = 2 * (numerator % denominator);
  if (twice > denominator || (twice == denominator && quotient % 2 != 0)) ++quotient;
  return quotient;
}

}  // namespace

std::optional<NanoUsd> parse_usd(std::string_view text) {
  const bool negative = !text.empty() && text[0] == '-';
  if (negative) text.remove_prefix(1);
  const auto dot = text.find('.');
  const std::string_view whole = text.substr(0, dot);
  std::string decimals(dot == std::string_view::npos ? std::string_view("0") : text.substr(dot + 1));
  const auto only_digits = [](std::string_view part) {
    return !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
  };
  if (!only_digits(whole) || !only_digits(decimals) || decimals.size() > kDecimals || whole.size() > 10) return {};
  decimals.resize(kDecimals, '0');
  const Wide value = Wide(std::stoll(std::string(whole))) * kNanoPerUsd + std::stoll(decimals);
  if (value > INT64_MAX) return {};
  return NanoUsd{static_cast<std::int64_t>(negative ? -value : value)};
}

std::string to_decimal(NanoUsd amount) {
  const bool negative = amount.nano < 0;
  const auto magnitude = negative ? -static_cast<Wide>(amount.nano) : static_cast<Wide>(amount.nano);
  std::string text = std::to_string(static_cast<std::int64_t>(magnitude / kNanoPerUsd));
  std::string decimals = std::to_string(static_cast<std::int64_t>(magnitude % kNanoPerUsd));
  decimals.insert(0, kDecimals - decimals.size(), '0');
  decimals.erase(decimals.find_last_not_of('0') + 1);
  if (!decimals.empty()) text += "." + decimals;
  return negative ? "-" + text : text;
}

NanoUsd cost_of(NanoUsd rate_per_hour, Duration held, std::int64_t numerator, std::int64_t denominator) {
  REGATTA_ENSURE(held.count() >= 0 && rate_per_hour.nano >= 0, "costs need non-negative time and rate");
  REGATTA_ENSURE(numerator >= 0 && denominator > 0, "a share needs a positive denominator");
  constexpr Wide kNanosecondsPerHour = Wide(3'600) * 1'000'000'000;
  // rate (63 bits) x time (63 bits) already fills the type, so the share is brought in after dividing by its gcd with
  // the hour; shares are small (ranks x threads / cores), which leaves the product within 127 bits for any real bill.
  const std::int64_t common = std::gcd(numerator, denominator);
  const Wide time_and_share = Wide(held.count()) * (numerator / common);
  REGATTA_ENSURE(time_and_share <= (Wide(1) << 80) && rate_per_hour.nano < (std::int64_t(1) << 46),
                 "a bill beyond 70 thousand USD an hour or 38 million node-years");
  return {narrow(divide_half_even(time_and_share * rate_per_hour.nano, kNanosecondsPerHour * (denominator / common)))};
}

std::vector<NanoUsd> split_exactly(NanoUsd total, std::span<const std::int64_t> weights) {
  REGATTA_ENSURE(!weights.empty() && total.nano >= 0, "a split needs parts and a non-negative total");
  Wide sum = 0;
  for (const auto weight : weights) {
    REGATTA_ENSURE(weight >= 0, "a split needs non-negative weights");
    sum += weight;
  }
  std::vector<NanoUsd> parts(weights.size());
  if (sum == 0) {
    parts.back() = total;
    return parts;
  }
  std::vector<Wide> remainders(weights.size());
  std::int64_t left = total.nano;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Wide product = Wide(total.nano) * weights[i];
    parts[i] = {narrow(product / sum)};
    remainders[i] = product % sum;
    left -= parts[i].nano;
  }
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return remainders[a] > remainders[b]; });
  for (std::size_t i = 0; left > 0; ++i, --left) parts[order[i]].nano += 1;
  return parts;
}

}  // namespace regatta
