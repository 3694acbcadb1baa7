#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "common/printable.hpp"
#include "coordinator/comparison.hpp"
#include "coordinator/figures.hpp"
#include "coordinator/share_words.hpp"
#include "coordinator/text_table.hpp"

namespace regatta {

namespace {

constexpr const char* kContendedMark = " !";
constexpr const char* kAssumedMark = " ~";

bool assumed(const ComparisonRow& row) {
  return row.price && row.price->kind == FigureKind::kAssumed;
}

bool has_energy(const ComparisonRow& row) {
  return row.energy.has_value();
}

Style style_of(const ComparisonRow& row, const Verdict& verdict) {
  if (row.configuration == verdict.fastest || row.configuration == verdict.cheapest) return Style::kGreen;
  return row.contended ? Style::kYellow : Style::kPlain;
}

Style style_of_status(const std::string& status) {
  if (status == to_text(RunStatus::kFailed) || status == to_text(RunStatus::kLost)) return Style::kRed;
  return status == to_text(RunStatus::kDone) ? Style::kPlain : Style::kYellow;
}

std::string main_table(const Comparison& comparison, bool colour) {
  const bool marks = std::any_of(comparison.rows.begin(), comparison.rows.end(), assumed);
  const bool energy = std::any_of(comparison.rows.begin(), comparison.rows.end(), has_energy);
  std::vector<TextTable::Column> columns{{"configuration"},
                                         {"pool"},
                                         {"ranks x threads", Align::kRight},
                                         {"s/epoch", Align::kRight},
                                         {"samples/s", Align::kRight},
                                         {marks ? "$/epoch  " : "$/epoch", Align::kRight},
                                         {"total $", Align::kRight},
                                         {"accuracy", Align::kRight},
                                         {"status"}};
  if (energy) columns.insert(columns.end() - 1, {"energy/epoch", Align::kRight});
  TextTable table(columns);
  for (const auto& row : comparison.rows) {
    const std::string mark = assumed(row) ? kAssumedMark : marks ? "  " : "";
    std::vector<Cell> cells{
        {row.configuration + (row.contended ? kContendedMark : ""), style_of(row, comparison.verdict)},
        row.pool,
        ranks_by_threads(row.ranks, row.threads, row.cpu_ranks),
        with_spread(row.seconds_per_epoch),
        figure(row.samples_per_s),
        dollars(row.usd_per_epoch.mean) + mark,
        dollars(row.usd_total),
        percent_text(row.test_accuracy),
        {row.status, style_of_status(row.status)}};
    if (energy) cells.insert(cells.end() - 1, energy_text(row.energy_j_per_epoch));
    table.add(cells);
  }
  return table.text(colour);
}

/// Where the time goes: shares of the epoch by phase, without the phases that nobody spent half a percent on.
std::string phase_table(const Comparison& comparison, bool colour) {
  constexpr double kWorthShowing = 0.005, kHundred = 100;
  std::vector<Phase> shown;
  for (std::size_t i = 0; i < kPhases; ++i)
    for (const auto& row : comparison.rows)
      if (row.seconds.values[i] > kWorthShowing * row.seconds.sum()) {
        shown.push_back(static_cast<Phase>(i));
        break;
      }
  if (shown.empty()) return "";
  std::vector<TextTable::Column> columns{{"where an epoch goes"}};
  for (const Phase phase : shown) columns.push_back({to_text(phase), Align::kRight});
  TextTable table(columns);
  for (const auto& row : comparison.rows) {
    const double sum = row.seconds.sum();
    if (!(sum > 0)) continue;
    std::vector<Cell> cells{row.configuration};
    for (const Phase phase : shown) cells.emplace_back(fmt::format("{:.0f} %", kHundred * row.seconds[phase] / sum));
    table.add(cells);
  }
  return "\n" + table.text(colour);
}

std::string footnotes(const Comparison& comparison) {
  std::string notes;
  const auto& rows = comparison.rows;
  if (std::any_of(rows.begin(), rows.end(), [](const auto& row) { return row.contended; }))
    notes += "! contended: the cores were shared, so it never wins a verdict\n";
  std::set<std::string> assumptions;  // pools alike share one
  for (const auto& row : rows)
    if (assumed(row))
      assumptions.insert(fmt::format("~ no price was given: ${} per node-hour, {}\n",
                                     to_decimal(row.price->usd_per_node_hour), printable(row.price->source)));
  for (const auto& assumption : assumptions) notes += assumption;
  std::set<std::string> meters;
  for (const auto& row : rows)
    if (row.energy)
      meters.insert(fmt::format("energy {} within {:g} %: {}\n", to_text(row.energy->kind), row.energy->error_pct,
                                printable(row.energy->source)));
  for (const auto& meter : meters) notes += meter;
  for (const auto& row : rows)
    if (const std::string words = shares_words(row); !words.empty())
      notes += printable_lines(row.configuration + ": " + words, 2) + "\n";
  for (const auto& row : rows)
    if (row.queue_s)
      notes +=
          fmt::format("{}: {} in the queue, not billed\n", printable(row.configuration), duration_text(*row.queue_s));
  for (const auto& row : rows)
    if (!row.stragglers.empty()) notes += printable_lines(row.configuration + ": " + row.stragglers, 2) + "\n";
  for (const auto& row : rows)
    if (!row.reason.empty())
      notes += printable_lines(fmt::format("{} {}: {}", row.configuration, row.status, row.reason), 2) + "\n";
  return notes;
}

std::string agreement_line(const Agreement& agreement) {
  std::string line = to_text(agreement.result);
  if (agreement.result == AgreementResult::kNotComparable) line = "not comparable";
  std::vector<std::string> numbers;
  if (agreement.early_loss_rel) numbers.push_back(fmt::format("first losses within {:.1g}", *agreement.early_loss_rel));
  if (agreement.accuracy_se)
    numbers.push_back(fmt::format("final accuracy within {:.1f} standard errors", *agreement.accuracy_se));
  if (!agreement.detail.empty()) numbers.push_back(agreement.detail);
  return numbers.empty() ? line : fmt::format("{} ({})", line, fmt::join(numbers, "; "));
}

}  // namespace

std::string to_table(const Comparison& comparison, bool colour) {
  const auto& verdict = comparison.verdict;
  std::string text = main_table(comparison, colour) + phase_table(comparison, colour) + "\n" + footnotes(comparison);
  text += painted("verdict     " + printable(verdict.sentence), Style::kBold, colour) + "\n";
  text += "confidence  " + verdict.confidence;
  if (!verdict.doubts.empty()) text += fmt::format(" ({})", fmt::join(verdict.doubts, ", "));
  return text + "\nagreement   " + printable(agreement_line(verdict.agreement)) + "\n";
}

}  // namespace regatta
