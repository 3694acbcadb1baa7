#pragma once
// Shares that followed measured speed, for people: who had what from when on, and whether the slow ranks were worth it.
// Pure; cluster/METRICS.md, section 10, has the formulas.

#include <optional>
#include <string>
#include <vector>

#include "coordinator/comparison.hpp"
#include "coordinator/state.hpp"

namespace regatta {

/// CPU ranks beside ranks on GPUs.
struct CpuRanks {
  int count = 0;                       ///< the last ones; 0: none
  std::optional<double> times_billed;  ///< what all ranks cost an hour, in parts of what those on GPUs would
};
CpuRanks cpu_ranks_of(const RunState& run);

/// All ranks against the fast ones alone.
struct SlowRanksWorth {
  int ranks = 0;
  std::vector<int> fast;          ///< on GPUs; without any, at least 80 % as fast as the fastest: all: nobody is slow
  double slowest = 0;             ///< speed of the slowest as a part of the fastest's
  double all_samples_per_s = 0;   ///< measured
  double fast_samples_per_s = 0;  ///< estimated
  bool paid() const { return all_samples_per_s > fast_samples_per_s; }
};

/// By the last speeds that were measured and the last complete epoch; nothing without them.
std::optional<SlowRanksWorth> slow_ranks_worth(const AttemptState& attempt, int cpu_ranks = 0);

/// "the slow ranks paid: ...", "adding the CPUs paid: ..."; empty where nothing is known.
std::string worth_sentence(const AttemptState& attempt, const CpuRanks& cpus = {});

/// "50 : 50 %; from epoch 1, step 21: 75 : 25 %": what changed, the last few; empty where shares were equal by rule.
std::string shares_history(const AttemptState& attempt);

/// Both of a row, after each other; empty where shares were equal by rule.
std::string shares_words(const ComparisonRow& row);

/// A line a decision: epoch, step, shares and speeds by rank. Empty where shares were equal by rule.
std::string shares_table(const AttemptState& attempt, bool colour);

}  // namespace regatta
