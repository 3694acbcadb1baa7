// The verdict as one sentence: clauses joined by semicolons, names as the job file has them.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "coordinator/figures.hpp"
#include "coordinator/verdict.hpp"

namespace regatta {

namespace {

std::string joined(const std::vector<std::string>& words, const char* between) {
  return fmt::format("{}", fmt::join(words, between));
}

/// "1.13x as fast as two-threads, 1.84x as fast as one-core": the next one, and the job file's first.
std::string speed_margin(const std::vector<MeasuredRow>& rows, const Ranking& speed) {
  const auto& winner = *speed.order.front();
  std::vector<const MeasuredRow*> compared{speed.order[1]};
  const auto baseline =
      std::find_if(rows.begin(), rows.end(), [](const auto& measured) { return may_win(measured.row); });
  if (&*baseline != &winner && &*baseline != compared[0]) compared.push_back(&*baseline);
  std::vector<std::string> margins;
  margins.reserve(compared.size());
  for (const auto* other : compared)
    margins.push_back(times(other->row.seconds_per_epoch.mean / winner.row.seconds_per_epoch.mean) + " as fast as " +
                      other->row.configuration);
  return joined(margins, ", ");
}

std::string speed_clause(const std::vector<MeasuredRow>& rows, const Ranking& speed) {
  const auto& row = speed.order.front()->row;
  return fmt::format("{} is fastest ({} s an epoch, {})", row.configuration, figure(row.seconds_per_epoch.mean),
                     speed_margin(rows, speed));
}

std::string cost_clause(const Ranking& cost, bool same_row) {
  const auto& row = cost.order.front()->row;
  const auto& next = cost.order[1]->row;
  const std::string margin = row.usd_per_epoch.mean > 0 ? times(next.usd_per_epoch.mean / row.usd_per_epoch.mean)
                                                        : dollars(next.usd_per_epoch.mean);
  return fmt::format("{} is {}cheapest ({} an epoch; {} costs {}{})", same_row ? "it" : row.configuration,
                     same_row ? "also " : "", dollars(row.usd_per_epoch.mean), next.configuration, margin,
                     row.usd_per_epoch.mean > 0 ? " as much" : "");
}

/// "broken (failed), both (contended) cannot win"
std::string left_out(const std::vector<MeasuredRow>& rows) {
  std::vector<std::string> names;
  for (const auto& [row, holding, walls] : rows) {
    if (may_win(row)) continue;
    const bool done = row.status == to_text(RunStatus::kDone);
    names.push_back(row.configuration + " (" + (!done ? row.status : row.contended ? "contended" : "no epoch") + ")");
  }
  return names.empty() ? "" : joined(names, ", ") + " cannot win";
}

std::string assumed_prices(const Ranking& cost) {
  std::set<std::string> pools;
  for (const auto* measured : cost.order)
    if (measured->row.price && measured->row.price->kind == FigureKind::kAssumed) pools.insert(measured->row.pool);
  if (pools.empty()) return "";
  return fmt::format("the price of {} {} is assumed", pools.size() == 1 ? "pool" : "pools", fmt::join(pools, ", "));
}

}  // namespace

std::string verdict_sentence(const std::vector<MeasuredRow>& rows, const Ranking& speed, const Ranking& cost,
                             const Verdict& verdict) {
  std::vector<std::string> clauses;
  if (!speed.clear && !cost.clear && speed.why_not == cost.why_not) {
    clauses.push_back("there is no clear winner: " + speed.why_not);
  } else {
    clauses.push_back(speed.clear ? speed_clause(rows, speed) : "there is no clear winner on speed: " + speed.why_not);
    const bool same_row = speed.clear && cost.clear && speed.order.front() == cost.order.front();
    clauses.push_back(cost.clear ? cost_clause(cost, same_row) : "there is no clear winner on cost: " + cost.why_not);
  }
  if (verdict.break_even) clauses.push_back(verdict.break_even->sentence);
  if (verdict.agreement.result == AgreementResult::kDiffer)
    clauses.push_back("the trainings differ (" + verdict.agreement.detail + ")");
  for (const auto& more : {assumed_prices(cost), left_out(rows)})
    if (!more.empty()) clauses.push_back(more);
  return joined(clauses, "; ") + ".";
}

}  // namespace regatta
