#include <fmt/format.h>

#include "common/printable.hpp"
#include "coordinator/comparison.hpp"
#include "coordinator/figures.hpp"
#include "coordinator/share_words.hpp"

namespace regatta {

namespace {

/// A name of an old ledger may hold what ends a cell or a row.
std::string cell(const std::string& text) {
  std::string escaped;
  for (const char c : printable(text)) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string row_text(const ComparisonRow& row) {
  const bool assumed = row.price && row.price->kind == FigureKind::kAssumed;
  return fmt::format("| {} | {} | {} | {} | {} | {}{} | {} | {} | {}{} |\n", cell(row.configuration), cell(row.pool),
                     ranks_by_threads(row.ranks, row.threads, row.cpu_ranks), with_spread(row.seconds_per_epoch),
                     figure(row.samples_per_s), dollars(row.usd_per_epoch.mean), assumed ? " (assumed price)" : "",
                     dollars(row.usd_total), percent_text(row.test_accuracy), row.status,
                     row.contended ? ", contended" : "");
}

}  // namespace

std::string to_markdown(const Comparison& comparison) {
  const auto& verdict = comparison.verdict;
  std::string text =
      "| configuration | pool | ranks x threads | s/epoch | samples/s | $/epoch | total $ | accuracy | status |\n"
      "|---|---|---:|---:|---:|---:|---:|---:|---|\n";
  for (const auto& row : comparison.rows) text += row_text(row);
  for (const auto& row : comparison.rows)
    if (const std::string words = shares_words(row); !words.empty())
      text += "\n" + printable(row.configuration + ": " + words) + ".\n";
  for (const auto& row : comparison.rows)
    if (!row.stragglers.empty()) text += "\n" + printable(row.configuration + ": " + row.stragglers) + ".\n";
  text += "\n**Verdict:** " + printable(verdict.sentence) + "\n\nConfidence: " + verdict.confidence;
  if (!verdict.doubts.empty()) text += fmt::format(" ({})", fmt::join(verdict.doubts, ", "));
  text += fmt::format(". Agreement: {}", to_text(verdict.agreement.result));
  if (!verdict.agreement.detail.empty()) text += " (" + printable(verdict.agreement.detail) + ")";
  return text + ".\n";
}

}  // namespace regatta
