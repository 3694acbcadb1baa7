#pragma once
// Who is fastest, who is cheapest, how sure that is, and when it would change. Pure.

#include <vector>

#include "coordinator/measured_row.hpp"

namespace regatta {

/// METRICS.md, section 7, has the rules. Rows that failed or are contended never win.
Verdict make_verdict(const std::vector<MeasuredRow>& rows, const Agreement& agreement);

/// One question of the verdict: the row with the lowest mean, and whether it wins.
struct Ranking {
  std::vector<const MeasuredRow*> order;  ///< rows that may win and have a figure, lowest mean first
  bool clear = false;                     ///< the first one's interval lies below every other's
  std::string why_not;                    ///< one clause
};
enum class Question { kSpeed, kCost };
Ranking rank_rows(const std::vector<MeasuredRow>& rows, Question question);

/// How far the price of another pool must fall until `cheapest` is no longer the cheapest by means: of the pool whose
/// price is nearest to that, relative to what it costs now. Nothing when all rows share one pool, or none has a price.
std::optional<BreakEven> break_even(const MeasuredRow& cheapest, const Ranking& cost);

/// One plain sentence from what the rest of `verdict` says.
std::string verdict_sentence(const std::vector<MeasuredRow>& rows, const Ranking& speed, const Ranking& cost,
                             const Verdict& verdict);

}  // namespace regatta
