#include "coordinator/run_listing.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coordinator/figures.hpp"
#include "coordinator/measured_row.hpp"

namespace regatta {

namespace {

/// Of the runs that have a bill; nothing when none has.
std::optional<NanoUsd> total_of(const std::vector<const RunState*>& runs) {
  std::optional<NanoUsd> total;
  for (const auto* run : runs)
    if (run->bill) total = total.value_or(NanoUsd{}) + run->bill->total;
  return total;
}

std::vector<Cell> run_cells(const RunState& run, bool indented) {
  const ComparisonRow row = measure({&run}, {}).row;
  std::string name = run.configuration;
  if (run.repeat > 1) name += fmt::format(" #{}", run.repeat);
  return {(indented ? "  " : "") + run.id.value,
          when_text(run.created_at),
          job_name(run),
          name,
          {to_text(run.status), style_of(run.status)},
          std::to_string(row.epochs),
          percent_text(row.test_accuracy),
          figure(row.seconds_per_epoch.mean),
          dollars(row.usd_total)};
}

Json run_json(const RunState& run) {
  const ComparisonRow row = measure({&run}, {}).row;
  return {{"run_id", run.id.value},
          {"configuration", run.configuration},
          {"repeat", run.repeat},
          {"created_at", to_text(run.created_at)},
          {"status", to_text(run.status)},
          {"epochs", row.epochs},
          {"test_accuracy", value_or_null(row.test_accuracy)},
          {"seconds_per_epoch", number_or_null(row.seconds_per_epoch.mean)},
          {"usd_total", row.usd_total ? Json(to_decimal(*row.usd_total)) : Json(nullptr)}};
}

}  // namespace

ListEntry entry_of(const ComparisonState& comparison, const State& state) {
  return {.comparison = &comparison, .runs = runs_of(comparison, state), .created_at = comparison.created_at};
}

std::vector<ListEntry> list_entries(const State& state, std::optional<std::size_t> limit) {
  std::vector<ListEntry> entries;
  for (const auto& [id, comparison] : state.comparisons) entries.push_back(entry_of(comparison, state));
  for (const auto& [id, run] : state.runs)
    if (is_alone(run, state)) entries.push_back({.runs = {&run}, .created_at = run.created_at});
  std::stable_sort(entries.begin(), entries.end(),
                   [](const ListEntry& a, const ListEntry& b) { return a.created_at > b.created_at; });
  if (limit && entries.size() > *limit) entries.resize(*limit);
  return entries;
}

std::string to_table(const std::vector<ListEntry>& entries, bool colour) {
  TextTable table({{"id"},
                   {"when (UTC)"},
                   {"job"},
                   {"configuration"},
                   {"status"},
                   {"epochs", Align::kRight},
                   {"accuracy", Align::kRight},
                   {"s/epoch", Align::kRight},
                   {"cost", Align::kRight}});
  for (const auto& entry : entries) {
    if (entry.comparison != nullptr)
      table.add({{entry.comparison->id.value, Style::kBold},
                 when_text(entry.created_at),
                 entry.comparison->job_name,
                 fmt::format("{} run{}", entry.runs.size(), entry.runs.size() == 1 ? "" : "s"),
                 "",
                 "",
                 "",
                 "",
                 dollars(total_of(entry.runs))});
    for (const auto* run : entry.runs) table.add(run_cells(*run, entry.comparison != nullptr));
  }
  return table.text(colour);
}

Json to_json(const std::vector<ListEntry>& entries) {
  Json list = Json::array();
  for (const auto& entry : entries) {
    Json runs = Json::array();
    for (const auto* run : entry.runs) runs.push_back(run_json(*run));
    const auto total = total_of(entry.runs);
    list.push_back({{"comparison_id", entry.comparison != nullptr ? Json(entry.comparison->id.value) : Json(nullptr)},
                    {"job_name", entry.comparison != nullptr ? entry.comparison->job_name : job_name(*entry.runs[0])},
                    {"created_at", to_text(entry.created_at)},
                    {"usd_total", total ? Json(to_decimal(*total)) : Json(nullptr)},
                    {"runs", std::move(runs)}});
  }
  return list;
}

std::string when_text(Timestamp at) {
  std::string text = to_text(at).substr(0, 19);
  text[10] = ' ';
  return text;
}

Style style_of(RunStatus status) {
  switch (status) {
    case RunStatus::kDone:
      return Style::kGreen;
    case RunStatus::kFailed:
    case RunStatus::kLost:
      return Style::kRed;
    case RunStatus::kStopped:
    case RunStatus::kCancelled:
    case RunStatus::kRefused:
      return Style::kYellow;
    case RunStatus::kWaiting:
    case RunStatus::kRunning:
      return Style::kPlain;
  }
  return Style::kPlain;
}

}  // namespace regatta
