// `compare --json`: exact amounts are decimal text (see D-01), estimates are numbers, what is not known is null.

#include "coordinator/comparison.hpp"

namespace regatta {

namespace {

Json to_json(const Interval& interval) {
  return {{"mean", number_or_null(interval.mean)},
          {"low", value_or_null(interval.low)},
          {"high", value_or_null(interval.high)}};
}

Json maybe_number(const std::optional<double>& value) {
  return value ? number_or_null(*value) : Json(nullptr);
}

Json name_or_null(const std::string& name) {
  return name.empty() ? Json(nullptr) : Json(name);
}

Json parts_json(const ComparisonRow& row) {
  if (!row.usd_total) return nullptr;
  Json parts = Json::object();
  for (const auto& [part, amount] : row.usd_parts) parts[part] = to_decimal(amount);
  return parts;
}

Json to_json(const ComparisonRow& row) {
  return {{"configuration", row.configuration},
          {"pool", row.pool},
          {"backend", row.backend},
          {"nodes", row.nodes},
          {"ranks", row.ranks},
          {"threads", row.threads},
          {"precision", row.precision},
          {"epochs", row.epochs},
          {"repeats", row.repeats},
          {"seconds_per_epoch", to_json(row.seconds_per_epoch)},
          {"usd_per_epoch", to_json(row.usd_per_epoch)},
          {"usd_total", row.usd_total ? Json(to_decimal(*row.usd_total)) : Json(nullptr)},
          {"usd_parts", parts_json(row)},
          {"samples_per_s", number_or_null(row.samples_per_s)},
          {"test_accuracy", maybe_number(row.test_accuracy)},
          {"seconds", to_json(row.seconds)},
          {"energy_j_per_epoch", maybe_number(row.energy_j_per_epoch)},
          {"energy", row.energy ? to_json(*row.energy) : Json(nullptr)},
          {"price", row.price ? to_json(*row.price) : Json(nullptr)},
          {"contended", row.contended},
          {"status", row.status},
          {"shares", name_or_null(row.shares)},
          {"slow_ranks", name_or_null(row.slow_ranks)},
          {"stragglers", name_or_null(row.stragglers)},
          {"cpu_ranks", row.cpu_ranks},
          {"queue_s", maybe_number(row.queue_s)},
          {"choice", row.choice ? to_json(*row.choice) : Json(nullptr)}};
}

Json to_json(const Agreement& agreement) {
  return {{"result", to_text(agreement.result)},
          {"early_loss_rel", maybe_number(agreement.early_loss_rel)},
          {"accuracy_se", maybe_number(agreement.accuracy_se)},
          {"detail", agreement.detail}};
}

Json to_json(const BreakEven& break_even) {
  return {{"pool", break_even.pool},
          {"usd_per_node_hour", to_decimal(break_even.usd_per_node_hour)},
          {"sentence", break_even.sentence}};
}

Json to_json(const Verdict& verdict) {
  return {{"cheapest", name_or_null(verdict.cheapest)},
          {"fastest", name_or_null(verdict.fastest)},
          {"sentence", verdict.sentence},
          {"confidence", verdict.confidence},
          {"doubts", verdict.doubts},
          {"agreement", to_json(verdict.agreement)},
          {"break_even", verdict.break_even ? to_json(*verdict.break_even) : Json(nullptr)}};
}

}  // namespace

Json to_json(const Comparison& comparison) {
  Json rows = Json::array();
  for (const auto& row : comparison.rows) rows.push_back(to_json(row));
  return {{"ids", comparison.ids},
          {"job", comparison.job_name},
          {"configurations", rows},
          {"verdict", to_json(comparison.verdict)}};
}

}  // namespace regatta
