// Time is attributed in integer nanoseconds first and money follows it (METRICS.md, sections 2 and 3): an attempt's
// nanoseconds are dealt to the parts so that they sum to what was held, then its cost is split in that proportion.
#include "cluster/bill.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

namespace regatta {

namespace {

__extension__ using Wide = __int128;

// The order of a bill: startup, the phases in the order of Phase, then what is idle, in vain or last.
constexpr std::size_t kStartup = 0, kFirstPhase = 1;
constexpr std::size_t kHold = kFirstPhase + kPhases, kLost = kHold + 1, kShutdown = kHold + 2, kParts = kHold + 3;
using PartTimes = std::array<std::int64_t, kParts>;  // nanoseconds

const char* name_of(std::size_t part) {
  if (part == kStartup) return "startup";
  if (part == kHold) return "hold";
  if (part == kLost) return "lost";
  if (part == kShutdown) return "shutdown";
  return to_text(static_cast<Phase>(part - kFirstPhase));
}

Wide nanoseconds(double seconds) {
  return counted_time(seconds).count();
}

/// Sums each phase over the epochs; what an epoch's wall time has beyond its phases is `other`.
std::array<Wide, kPhases> phase_times(const std::vector<record::Epoch>& epochs) {
  std::array<Wide, kPhases> times{};
  for (const auto& epoch : epochs) {
    Wide in_phases = 0;
    for (std::size_t phase = 0; phase < kPhases; ++phase) {
      const Wide time = nanoseconds(epoch.seconds.values[phase]);
      times[phase] += time;
      in_phases += time;
    }
    times[static_cast<std::size_t>(Phase::kOther)] += std::max(Wide(0), nanoseconds(epoch.wall_s) - in_phases);
  }
  constexpr Wide kMost = Wide(1) << 62;  // 146 years: a product with any held time still fits
  for (Wide& time : times) time = std::min(time, kMost);
  return times;
}

/// Every nanosecond of `held` in exactly one part.
PartTimes attribute(const AttemptTime& attempt) {
  PartTimes parts{};
  const std::int64_t held = std::max<std::int64_t>(attempt.held.count(), 0);
  parts[kStartup] = std::clamp<std::int64_t>(attempt.startup.count(), 0, held);
  std::int64_t left = held - parts[kStartup];
  parts[kHold] = std::clamp<std::int64_t>(attempt.hold.count(), 0, left);
  left -= parts[kHold];
  if (!attempt.finished) {
    parts[kLost] = left;
    return parts;
  }
  const std::int64_t room = left;
  const auto phases = phase_times(attempt.epochs);
  Wide sum = 0;
  for (const Wide time : phases) sum += time;
  for (std::size_t phase = 0; phase < kPhases; ++phase) {
    const Wide time = sum > room ? phases[phase] * room / sum : phases[phase];
    parts[kFirstPhase + phase] = static_cast<std::int64_t>(time);
    left -= static_cast<std::int64_t>(time);
  }
  parts[kShutdown] = left;
  return parts;
}

}  // namespace

Duration counted_time(double seconds) {
  return seconds > 0 ? from_seconds(std::min(seconds, kLongestSeconds)) : Duration{0};
}

SlotShare slot_share(const Holding& holding) {
  const bool on_gpus = holding.gpus_per_node > 0;
  const std::int64_t on_cores = on_gpus ? holding.cpu_ranks : holding.ranks;
  const SlotShare cores{on_cores * holding.threads, holding.cores_per_node};
  if (!on_gpus) return cores;
  const SlotShare gpus{holding.ranks - holding.cpu_ranks, holding.gpus_per_node};
  return Wide(cores.taken) * gpus.of_node > Wide(gpus.taken) * cores.of_node ? cores : gpus;
}

NanoUsd holding_cost(const Price& price, const Holding& holding, Duration held) {
  const bool whole_nodes = price.billing == Billing::kNode;
  const auto [numerator, denominator] = whole_nodes ? SlotShare{holding.nodes, 1} : slot_share(holding);
  constexpr Wide kMostTime = Wide(1) << 79;  // cost_of() multiplies the time with the numerator in 80 bits
  const Duration time{
      static_cast<std::int64_t>(std::clamp<Wide>(held.count(), 0, kMostTime / std::max<std::int64_t>(numerator, 1)))};
  const double estimate = static_cast<double>(price.usd_per_node_hour.nano) * (seconds(time) / 3600) *
                          static_cast<double>(numerator) / static_cast<double>(denominator);
  if (estimate >= static_cast<double>(kMostCost.nano)) return kMostCost;
  return cost_of(price.usd_per_node_hour, time, numerator, denominator);
}

Bill make_bill(const Price& price, const Holding& holding, const std::vector<AttemptTime>& attempts) {
  Bill bill;
  for (std::size_t part = 0; part < kParts; ++part) bill.parts.emplace_back(name_of(part), NanoUsd{});
  for (const auto& attempt : attempts) {
    const NanoUsd cost = holding_cost(price, holding, attempt.held);
    const auto shares = split_exactly(cost, attribute(attempt));
    for (std::size_t part = 0; part < kParts; ++part) bill.parts[part].second += shares[part];
    bill.total += cost;
  }
  return bill;
}

}  // namespace regatta
