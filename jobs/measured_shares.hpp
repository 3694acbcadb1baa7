#pragma once
// train.shares: measured. How many samples of a batch each rank should have, from how fast it computed: pure functions.
// Rank 0 decides with them, between epochs, and tells the others.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace regatta {

/// What one rank computed in some steps. Wall time: a rank that is stopped or starved of its core takes longer without
/// burning a cycle more. Nothing else than forward and backward, because nothing else grows with a rank's samples.
struct ComputeMeasure {
  double compute_s = 0;
  std::int64_t samples = 0;
};

/// Seconds a sample, by rank, after `measured` (one a rank) came to what was `known` (0: nothing; empty: of nobody).
/// What confirms the known is averaged with it, against noise; what differs by more than a sixth replaces it, because
/// such a difference is no noise. A measurement without samples or without a sensible time changes nothing.
std::vector<double> learn_speeds(std::span<const double> known, std::span<const ComputeMeasure> measured);

/// `samples` divided so that the slowest rank is done as early as it can be; they sum to `samples`. Each rank has at
/// least one where there are enough, so that one that recovers is measured again. A faster rank never gets fewer. Ranks
/// of which nothing is known count as the known ones' mean; where nobody is known, all are equal.
std::vector<std::int64_t> fitting_shares(std::span<const double> seconds_per_sample, std::int64_t samples);

/// Weights that sum to `samples` (of one part of a full batch) instead of `current`; nothing where they would not make
/// the slowest rank faster by 2 %, so that noise changes nothing. At most half of the samples change hands at a time:
/// one wild measurement does not turn everything around, and two decisions get anywhere.
std::optional<std::vector<std::int64_t>> better_shares(std::span<const std::int64_t> current,
                                                       std::span<const double> seconds_per_sample,
                                                       std::int64_t samples);

}  // namespace regatta
