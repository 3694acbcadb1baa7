#include "coordinator/dry_run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cluster/bill.hpp"
#include "common/printable.hpp"
#include "common/shell.hpp"
#include "coordinator/choice_words.hpp"
#include "coordinator/supervisor.hpp"
#include "jobs/shares.hpp"
#include "jobs/spec_reader.hpp"

namespace regatta {

namespace {

constexpr const char* kRunId = "RUN-ID";

/// What one configuration would be, worked out once for both forms.
struct Sketch {
  Plan plan;
  std::vector<std::string> argv;
  NanoUsd hourly;                          ///< what its slots or nodes cost
  std::vector<std::int64_t> batch_shares;  ///< samples of a full global batch, by rank
};

Sketch sketch_of(const Preparation& preparation, const PlannedRow& row, const std::filesystem::path& home,
                 const std::filesystem::path& worker) {
  Sketch sketch{.plan = plan_run(preparation, row, RunId{kRunId}, {}, 1)};
  const Placement& place = sketch.plan.placement;
  sketch.argv = launch_command(row.pool, attempt_launch(sketch.plan, home / "runs" / kRunId, worker));
  sketch.hourly = holding_cost(row.price, holding_of(place), std::chrono::hours(1));
  const auto batch = global_batch(sketch.plan.dataset.train_count, sketch.plan.training.train.batch, 0);
  for (int rank = 0; rank < place.ranks; ++rank)
    sketch.batch_shares.push_back(share_of(batch, sketch.plan.shares, rank).size());
  return sketch;
}

std::string cores_text(const Placement& place) {
  if (place.cores.empty()) return "not pinned";
  std::vector<std::string> ranks;
  for (const auto& cores : place.cores)
    ranks.push_back(cores.empty() ? "any" : fmt::format("{}", fmt::join(cores, "+")));
  return "cores " + fmt::format("{}", fmt::join(ranks, " | "));
}

std::string counted(int count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string ranks_text(const Placement& place) {
  if (place.cpu_ranks == 0) return counted(place.ranks, "rank") + " x " + counted(place.threads, "thread");
  return counted(place.ranks - place.cpu_ranks, "GPU rank") + " + " + counted(place.cpu_ranks, "CPU rank") + " x " +
         counted(place.threads, "thread");
}

/// The installed tree of a worker in its bin/.
std::filesystem::path tree_of(const HostsFound& found) {
  return found.worker.parent_path().parent_path();
}

Json push_json(const HostsFound& found) {
  if (found.lacking.empty()) return nullptr;
  return {{"folder", tree_of(found).string()}, {"hosts", found.lacking}, {"bytes", found.push_bytes}};
}

std::string sketch_text(const Sketch& sketch, const PlannedRow& row) {
  const Placement& place = sketch.plan.placement;
  std::string text = fmt::format("{}: pool {}, {}, {}, {}{}\n", place.configuration, place.pool, to_text(place.backend),
                                 ranks_text(place), cores_text(place), place.contended ? ", contended" : "");
  if (!row.refused.empty()) text += "  refused " + printable_lines(row.refused, 10) + "\n";
  if (row.choice)
    text +=
        fmt::format("  auto    {}, tried on {}\n", choice_sentence(*row.choice), row.choice->measured_at.substr(0, 10));
  else if (!row.ways.empty())
    text += fmt::format("  auto    {} ways to try before it runs; shown is the first\n", row.ways.size());
  const bool will_change = sketch.plan.training.train.shares == ShareRule::kMeasured && place.ranks > 1;
  text += fmt::format("  batch   {} = {} samples by rank{}; {} steps an epoch\n", sketch.plan.training.train.batch,
                      fmt::join(sketch.batch_shares, " + "), will_change ? ", until their speed is measured" : "",
                      sketch.plan.steps_per_epoch());
  if (sketch.plan.streamed)
    text += fmt::format("  data    streamed: decoded, its {:.1f} MB do not fit\n",
                        static_cast<double>(sketch.plan.dataset.decoded_bytes()) / 1e6);
  text += fmt::format("  price   ${} an hour, {}, by {}: {}{}\n", to_decimal(sketch.hourly), to_text(row.price.kind),
                      to_text(row.price.billing), printable(row.price.source),
                      row.price.date.empty() ? "" : ", " + printable(row.price.date));
  if (const HostsFound& found = row.pool.found; !found.lacking.empty())
    text += fmt::format("  push    {:.0f} MB to {} on {}\n", static_cast<double>(found.push_bytes) / 1e6,
                        printable(tree_of(found).string()), fmt::join(found.lacking, ", "));
  return text + "  command " + shell_command(sketch.argv) + "\n";
}

}  // namespace

std::string dry_run_text(const Preparation& preparation, const std::filesystem::path& home,
                         const std::filesystem::path& worker) {
  std::string text = fmt::format(
      "job {}: {} training and {} test samples, dataset {}, {} configuration{} x {} repeat{}\n", preparation.job.name,
      preparation.rows.front().dataset.train_count, preparation.rows.front().dataset.test_count,
      preparation.rows.front().dataset.key, preparation.rows.size(), preparation.rows.size() == 1 ? "" : "s",
      preparation.job.repeats, preparation.job.repeats == 1 ? "" : "s");
  if (const auto skipped = skipped_words(preparation.rows.front().dataset); !skipped.empty())
    text += "  " + printable(skipped) + "\n";
  for (const auto& row : preparation.rows) text += sketch_text(sketch_of(preparation, row, home, worker), row);
  return text + "nothing was created (--dry-run)\n";
}

Json dry_run_json(const Preparation& preparation, const std::filesystem::path& home,
                  const std::filesystem::path& worker) {
  Json rows = Json::array();
  for (const auto& row : preparation.rows) {
    const Sketch sketch = sketch_of(preparation, row, home, worker);
    Json ways = Json::array();
    if (!row.choice)
      for (const Way& way : row.ways) ways.push_back(to_text(way));
    rows.push_back({{"configuration", row.configuration.name},
                    {"pool", row.placement.pool},
                    {"ways_to_try", ways},
                    {"refused", row.refused.empty() ? Json(nullptr) : Json(row.refused)},
                    {"argv", sketch.argv},
                    {"push", push_json(row.pool.found)},
                    {"batch_shares", sketch.batch_shares},
                    {"cost_usd_per_hour", to_decimal(sketch.hourly)},
                    {"plan", to_json(sketch.plan)}});
  }
  return {{"job", preparation.job.name},
          {"job_id", job_id(preparation.job).value},
          {"dataset", to_json(preparation.rows.front().dataset)},
          {"repeats", preparation.job.repeats},
          {"configurations", rows}};
}

}  // namespace regatta
