#pragma once
// `precision: auto` and `ranks: auto`: which ways of running a configuration are tried, and which one is kept. Pure;
// the coordinator runs the trials. A choice is a value that goes into the plan, so that a replay measures nothing.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "jobs/spec.hpp"

namespace regatta {

/// What `auto` can become.
struct Way {
  int ranks = 1, threads = 1;
  Precision precision = Precision::kFp32;
  bool operator==(const Way&) const = default;
};
std::string to_text(const Way&);  ///< "2 ranks x 1 thread, bf16"

/// What is left to measurement; the rest is as written.
struct Open {
  std::optional<int> ranks, threads;       ///< nothing: to be chosen. Threads only together with ranks
  Precision precision = Precision::kFp32;  ///< auto: fp32 or bf16
};

/// At most eight layouts, on at most `cores` cores and with a sample for every rank, each in one precision or two. In
/// order of preference: what is exact before what is not, fewer cores before more. Empty when threads exceed the cores.
std::vector<Way> ways_to_try(const Open& open, int cores, std::int64_t batch);

/// What was measured of one way, over all its rounds.
struct Trial {
  Way way;
  std::vector<double> losses;    ///< global mean loss by step, of the longest round
  std::vector<double> rounds_s;  ///< median step of each round
  std::string failure;           ///< empty: it ran

  /// One more round: its losses and the times of its steps. The first steps warm up and do not count.
  void add_round(const std::vector<double>& losses, const std::vector<double>& step_s);
  /// Of the best round, because neighbours only lengthen steps; nothing before the first.
  std::optional<double> step_s() const;
};

/// One line of what was tried.
struct TriedWay {
  Way way;
  int rounds = 0;
  std::optional<double> step_s, loss;     ///< the mean loss of the last steps
  std::optional<double> loss_difference;  ///< bf16: from fp32's, as loss_difference() has it
  bool acceptable = false;                ///< it ran, and its loss stays with fp32's
  std::string verdict;                    ///< "kept", "1.41x slower", "refused: ..."
  bool operator==(const TriedWay&) const = default;
};

struct Choice {
  Way kept;
  std::string reason;           ///< "2.10x faster than 1 rank x 1 thread, fp32; loss within 0.4 % of fp32's"
  std::vector<TriedWay> tried;  ///< in order of preference
  double took_s = 0;            ///< all trials together
  std::string measured_at;      ///< RFC 3339
  bool from_cache = false;
  bool operator==(const Choice&) const = default;
};

/// How far the loss of a bf16 trial may be from fp32's over the same batches; see choice.cpp.
inline constexpr double kLossTolerance = 0.03;
/// Steps that two losses must have in common before they can be said to agree.
inline constexpr std::size_t kLeastLossSteps = 8;
/// A way must be faster than one that stands before it by more than this, which is noise.
inline constexpr double kNoise = 0.02;

/// The largest difference between the two losses, each the mean of five steps, in parts of the reference's first such
/// mean, or of its present one where that is larger. Infinite where a loss is not finite, nothing with fewer than
/// kLeastLossSteps in common.
std::optional<double> loss_difference(const std::vector<double>& losses, const std::vector<double>& reference);

/// The fastest acceptable way, or one before it that is as fast within noise. `trials` in order of preference, at least
/// one; when none is acceptable, the first. A bf16 trial too short to compare is judged by the longest one's loss.
/// Fills in all but took_s, measured_at and from_cache.
Choice choose(const std::vector<Trial>& trials);

Json to_json(const Choice&);
/// Throws IoError naming the key.
Choice choice_from_json(const Json&);

}  // namespace regatta
