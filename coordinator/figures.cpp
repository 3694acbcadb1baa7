#include "coordinator/figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace regatta {

namespace {

/// Decimals that show `digits` significant digits of `value`.
int decimals_for(double value, int digits) {
  if (value == 0 || !std::isfinite(value)) return digits - 1;
  return std::max(0, digits - 1 - static_cast<int>(std::floor(std::log10(std::abs(value)))));
}

constexpr int kDigits = 3;
constexpr int kMoreForSpread = 2;  // decimals that a narrow interval may add to its mean
constexpr const char* kUnknown = "-";

}  // namespace

std::string figure(double value) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, decimals_for(value, kDigits)) : kUnknown;
}

std::string dollars(double usd) {
  if (!std::isfinite(usd)) return kUnknown;
  constexpr int kCents = 2, kNanos = 9;
  const int decimals = std::clamp(decimals_for(usd, kDigits), kCents, kNanos);
  return fmt::format("{}${:.{}f}", usd < 0 ? "-" : "", std::abs(usd), decimals);
}

std::string dollars(NanoUsd amount) {
  return dollars(static_cast<double>(amount.nano) * kUsdPerNano);
}

std::string dollars(const std::optional<NanoUsd>& amount) {
  return amount ? dollars(*amount) : kUnknown;
}

std::string ranks_by_threads(int ranks, int threads, int cpu_ranks) {
  if (cpu_ranks == 0) return fmt::format("{} x {}", ranks, threads);
  return fmt::format("{} GPU + {} x {}", ranks - cpu_ranks, cpu_ranks, threads);
}

std::string with_spread(const Interval& interval) {
  if (!interval.low || !interval.high || !std::isfinite(interval.mean)) return figure(interval.mean);
  const double half = (*interval.high - *interval.low) / 2;
  const int usual = decimals_for(interval.mean, kDigits);
  const int decimals = half == 0 ? usual : std::clamp(decimals_for(half, 1), usual, usual + kMoreForSpread);
  return fmt::format("{:.{}f} +- {:.{}f}", interval.mean, decimals, half, decimals);
}

std::string times(double ratio) {
  return figure(ratio) + "x";
}

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds)) return "-";
  if (seconds < 0.9995) return fmt::format("{:.3g} ms", seconds * 1e3);
  if (seconds < 99.95) return fmt::format("{:#.3g} s", seconds);
  const auto whole = std::llround(seconds);
  if (whole < 3600) return fmt::format("{}m {:02}s", whole / 60, whole % 60);
  return fmt::format("{}h {:02}m {:02}s", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string energy_text(const std::optional<double>& joules) {
  constexpr double kKilo = 1e3, kMega = 1e6;
  if (!joules || !std::isfinite(*joules)) return "-";
  if (*joules >= kMega) return figure(*joules / kMega) + " MJ";
  return *joules >= kKilo ? figure(*joules / kKilo) + " kJ" : figure(*joules) + " J";
}

std::string percent_text(const std::optional<double>& fraction) {
  return fraction && std::isfinite(*fraction) ? fmt::format("{:.2f} %", *fraction * 100) : "-";
}

}  // namespace regatta
