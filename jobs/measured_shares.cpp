// With seconds a sample s_i the slowest rank needs max n_i s_i. Handing out samples one by one, each to the rank that
// is then done first, makes that as small as integers allow (Beaumont, Boudet, Rastello and Robert, Matrix
// Multiplication on Heterogeneous Platforms, 2001, section 3; it is d'Hondt's method on speeds). A rank gets at least
// the whole part of its proportional share that way, so only what is left over is handed out one by one.
//
// A step also costs what does not grow with samples (launching kernels, for a small batch), so s_i falls with n_i, and
// the next measurement corrects: the iteration has its fixed point where all ranks take equally long.

#include "jobs/measured_shares.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "common/error.hpp"
#include "jobs/shares.hpp"

namespace regatta {

namespace {

constexpr double kSameSpeed = 1.0 / 6;         // a choice, not measured: less may be noise, more costs too much
constexpr double kWorthChanging = 0.02;        // of the slowest rank's time
constexpr double kLeast = 1e-12, kMost = 1e9;  // seconds a sample that a clock may have measured

bool is_known(double seconds_per_sample) {
  return seconds_per_sample >= kLeast && seconds_per_sample <= kMost;  // false for NaN
}

/// With the mean of the known speeds where nothing is known.
std::vector<double> completed(std::span<const double> seconds_per_sample) {
  double speeds = 0, known = 0;
  for (const double s : seconds_per_sample)
    if (is_known(s)) {
      speeds += 1 / s;
      ++known;
    }
  std::vector<double> all(seconds_per_sample.begin(), seconds_per_sample.end());
  for (double& s : all)
    if (!is_known(s)) s = known > 0 ? known / speeds : 1;
  return all;
}

/// One by one to the rank that is then done first, the lower one of two alike, until they sum to `samples`.
void hand_out_rest(std::vector<std::int64_t>& counts, const std::vector<double>& seconds_per_sample,
                   std::int64_t samples) {
  std::int64_t rest = samples - std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  REGATTA_ENSURE(rest >= 0, "no more samples than there are");
  for (; rest > 0; --rest) {
    std::size_t first = 0;
    const auto done = [&](std::size_t i) { return static_cast<double>(counts[i] + 1) * seconds_per_sample[i]; };
    for (std::size_t i = 1; i < counts.size(); ++i)
      if (done(i) < done(first)) first = i;
    ++counts[first];
  }
}

double slowest_s(const std::vector<std::int64_t>& counts, const std::vector<double>& seconds_per_sample) {
  double most = 0;
  for (std::size_t i = 0; i < counts.size(); ++i)
    most = std::max(most, static_cast<double>(counts[i]) * seconds_per_sample[i]);
  return most;
}

}  // namespace

std::vector<double> learn_speeds(std::span<const double> known, std::span<const ComputeMeasure> measured) {
  REGATTA_ENSURE(known.empty() || known.size() == measured.size(), "a measurement a rank");
  std::vector<double> speeds(known.begin(), known.end());
  speeds.resize(measured.size());
  for (std::size_t i = 0; i < measured.size(); ++i) {
    if (measured[i].samples <= 0) continue;
    const double now = measured[i].compute_s / static_cast<double>(measured[i].samples);
    if (!is_known(now)) continue;
    const bool confirms = is_known(speeds[i]) && std::abs(now - speeds[i]) <= kSameSpeed * speeds[i];
    speeds[i] = confirms ? (speeds[i] + now) / 2 : now;
  }
  return speeds;
}

std::vector<std::int64_t> fitting_shares(std::span<const double> seconds_per_sample, std::int64_t samples) {
  REGATTA_ENSURE(!seconds_per_sample.empty() && samples >= 1, "samples for ranks");
  const std::vector<double> all = completed(seconds_per_sample);
  const auto ranks = static_cast<std::int64_t>(all.size());
  const std::int64_t least = samples >= ranks ? 1 : 0;
  double speeds = 0;
  for (const double s : all) speeds += 1 / s;
  std::vector<std::int64_t> counts;
  for (const double s : all) {
    constexpr double kBelow = 1 - 1e-12;  // a whole part that rounding made larger would be taken from another rank
    const double part = static_cast<double>(samples - least * ranks) / (s * speeds) * kBelow;
    counts.push_back(std::max(least, static_cast<std::int64_t>(part)));
  }
  hand_out_rest(counts, all, samples);
  return counts;
}

std::optional<std::vector<std::int64_t>> better_shares(std::span<const std::int64_t> current,
                                                       std::span<const double> seconds_per_sample,
                                                       std::int64_t samples) {
  REGATTA_ENSURE(current.size() == seconds_per_sample.size(), "a weight and a speed a rank");
  const std::vector<double> all = completed(seconds_per_sample);
  std::vector<std::int64_t> now;
  for (std::size_t rank = 0; rank < current.size(); ++rank)
    now.push_back(share_of({0, samples}, current, static_cast<int>(rank)).size());
  std::vector<std::int64_t> next = fitting_shares(seconds_per_sample, samples);
  if (slowest_s(next, all) > (1 - kWorthChanging) * slowest_s(now, all)) return {};
  double moved = 0;
  for (std::size_t i = 0; i < now.size(); ++i) moved += static_cast<double>(std::abs(next[i] - now[i])) / 2;
  if (const double most = std::max(1.0, static_cast<double>(samples) / 2); moved > most) {
    for (std::size_t i = 0; i < now.size(); ++i) {
      const double step = static_cast<double>(next[i] - now[i]) * most / moved;
      next[i] = static_cast<std::int64_t>(std::floor(static_cast<double>(now[i]) + step));
    }
    hand_out_rest(next, all, samples);
  }
  return next;
}

}  // namespace regatta
