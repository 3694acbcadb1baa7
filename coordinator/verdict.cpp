#include "coordinator/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "coordinator/figures.hpp"

namespace regatta {

namespace {

constexpr int kRepeatsForHigh = 3;

const Interval& figure_of(const ComparisonRow& row, Question question) {
  return question == Question::kSpeed ? row.seconds_per_epoch : row.usd_per_epoch;
}

bool has_bounds(const Interval& interval) {
  return interval.low && interval.high;
}

std::string shown(const MeasuredRow& measured, Question question) {
  const auto& row = measured.row;
  const Interval& interval = figure_of(row, question);
  if (question == Question::kSpeed) return fmt::format("{} {} s", row.configuration, with_spread(interval));
  if (!has_bounds(interval)) return row.configuration + " " + dollars(interval.mean);
  return fmt::format("{} {} to {}", row.configuration, dollars(*interval.low), dollars(*interval.high));
}

constexpr const char* kAlone = "there is only one configuration";

/// Why fewer than two may win: most did not finish, or they did and are contended.
std::string too_few(const std::vector<MeasuredRow>& rows, std::size_t contenders) {
  if (rows.size() == 1) return kAlone;
  const auto finished = std::count_if(rows.begin(), rows.end(), [](const MeasuredRow& measured) {
    return measured.row.status == to_text(RunStatus::kDone);
  });
  return fmt::format("{} configuration {}", contenders == 0 ? "no" : "only one",
                     static_cast<std::size_t>(finished) == contenders ? "finished" : "can win");
}

/// Why the first of the ranking is no clear winner; empty when it is one.
std::string doubt_of(const std::vector<MeasuredRow>& rows, const Ranking& ranking, std::size_t contenders,
                     Question question) {
  const auto& order = ranking.order;
  if (contenders < 2) return too_few(rows, contenders);
  if (order.size() < contenders) return "not every pool has a price";
  for (const auto* row : order)
    if (!has_bounds(figure_of(row->row, question)))
      return row->row.configuration + " has fewer than three epochs or repeats to judge by";
  for (std::size_t i = 1; i < order.size(); ++i)
    if (!clearly_below(figure_of(order[0]->row, question), figure_of(order[i]->row, question)))
      return "the intervals of " + shown(*order[0], question) + " and " + shown(*order[i], question) + " overlap";
  return "";
}

std::vector<std::string> doubts_of(const std::vector<MeasuredRow>& rows, const Verdict& verdict) {
  if (rows.size() == 1) return {kAlone};
  std::vector<std::string> doubts;
  if (verdict.agreement.result == AgreementResult::kDiffer) doubts.push_back("the trainings differ");
  if (verdict.agreement.result == AgreementResult::kNotComparable) doubts.push_back("the trainings are not comparable");
  bool assumed = false, left_out = false, few = false;
  for (const auto& measured : rows) {
    left_out |= !may_win(measured.row);
    if (!may_win(measured.row)) continue;
    assumed |= measured.row.price && measured.row.price->kind == FigureKind::kAssumed;
    few |= measured.row.repeats < kRepeatsForHigh;
  }
  if (assumed) doubts.push_back("a price is assumed");
  if (left_out) doubts.push_back("a configuration is left out");
  if (few) doubts.push_back("fewer than three repeats");
  return doubts;
}

std::string confidence_of(const Verdict& verdict) {
  if (verdict.fastest.empty() && verdict.cheapest.empty()) return "none";
  if (verdict.fastest.empty() || verdict.cheapest.empty()) return "low";
  if (verdict.agreement.result == AgreementResult::kDiffer) return "low";
  return verdict.doubts.empty() ? "high" : "medium";
}

}  // namespace

Ranking rank_rows(const std::vector<MeasuredRow>& rows, Question question) {
  Ranking ranking;
  std::size_t contenders = 0;
  for (const auto& measured : rows) {
    if (!may_win(measured.row)) continue;
    ++contenders;
    if (std::isfinite(figure_of(measured.row, question).mean)) ranking.order.push_back(&measured);
  }
  std::stable_sort(ranking.order.begin(), ranking.order.end(), [&](const MeasuredRow* a, const MeasuredRow* b) {
    return figure_of(a->row, question).mean < figure_of(b->row, question).mean;
  });
  ranking.why_not = doubt_of(rows, ranking, contenders, question);
  ranking.clear = ranking.why_not.empty();
  return ranking;
}

Verdict make_verdict(const std::vector<MeasuredRow>& rows, const Agreement& agreement) {
  const Ranking speed = rank_rows(rows, Question::kSpeed);
  const Ranking cost = rank_rows(rows, Question::kCost);
  Verdict verdict{.agreement = agreement};
  if (speed.clear) verdict.fastest = speed.order.front()->row.configuration;
  if (cost.clear) {
    verdict.cheapest = cost.order.front()->row.configuration;
    verdict.break_even = break_even(*cost.order.front(), cost);
  }
  verdict.doubts = doubts_of(rows, verdict);
  verdict.confidence = confidence_of(verdict);
  verdict.sentence = verdict_sentence(rows, speed, cost, verdict);
  return verdict;
}

}  // namespace regatta
