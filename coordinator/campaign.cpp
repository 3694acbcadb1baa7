#include "coordinator/campaign.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coordinator/ingest.hpp"
#include "coordinator/run_words.hpp"
#include "jobs/spec_reader.hpp"

namespace regatta {

namespace {

struct PlannedRun {
  Plan plan;
  int order = 0;
  std::filesystem::path folder;
  PoolSpec pool;
  std::string refused;  ///< why it is not launched; empty: it is
};

std::vector<PlannedRun> plan_all(const Preparation& preparation, const ComparisonId& comparison,
                                 const std::filesystem::path& home) {
  std::vector<PlannedRun> runs;
  for (int repeat = 1; repeat <= preparation.job.repeats; ++repeat) {
    for (const auto& row : preparation.rows) {
      const RunId id = new_run_id();
      runs.push_back({plan_run(preparation, row, id, comparison, repeat), row.order, home / "runs" / id.value, row.pool,
                      row.refused});
    }
  }
  return runs;
}

std::vector<Event> opening_events(const Preparation& preparation, const ComparisonId& comparison,
                                  const std::vector<std::string>& argv, const std::vector<PlannedRun>& runs,
                                  const Owner& owner) {
  const Timestamp now = wall_now();
  std::vector<Event> events{{.at = now,
                             .run_id = comparison.value,
                             .source = "coordinator",
                             .kind = "comparison",
                             .body = {{"comparison_id", comparison.value},
                                      {"job_id", job_id(preparation.job).value},
                                      {"job_name", preparation.job.name},
                                      {"job_text", preparation.job_text},
                                      {"cluster", value_or_null(preparation.cluster_text)},
                                      {"argv", argv},
                                      {"at", to_text(now)}}}};
  for (const auto& run : runs) {
    events.push_back(run_event(run.plan, run.folder, run.order, now));
    events.push_back(
        {.at = now, .run_id = run.plan.run.value, .source = "coordinator", .kind = "owner", .body = to_json(owner)});
    if (!run.refused.empty()) events.push_back(refused_event(run.plan.run, run.refused, now));
  }
  return events;
}

/// Whether a timed run had its cores for itself.
class Quiet {
 public:
  Quiet(const SlotLock* slots, const Plan& plan)
      : slots_(slots), timed_(slots != nullptr && !plan.placement.contended), before_(timed_ ? slots->arrivals() : 0) {
    broken_ = timed_ && slots->has_guest();
  }
  bool broken() const { return timed_ && (broken_ || slots_->arrivals() != before_); }

 private:
  const SlotLock* slots_;
  bool timed_, broken_ = false;
  std::int64_t before_;
};

}  // namespace

CampaignResult run_campaign(const Preparation& preparation, const std::vector<std::string>& argv,
                            const std::filesystem::path& home, SupervisorParts parts, const SlotLock* slots) {
  const ComparisonId comparison = new_comparison_id();
  std::vector<PlannedRun> planned = plan_all(preparation, comparison, home);
  parts.ledger.append(opening_events(preparation, comparison, argv, planned, parts.owner));

  CampaignResult result;
  for (auto& run : planned) {
    if (!run.refused.empty()) {
      if (run.plan.repeat == 1) parts.display.say(run.plan.placement.configuration + ": refused: " + run.refused);
      continue;
    }
    parts.reactor.wait(Duration(0));  // an interrupt between two runs counts too
    result.interrupted |= parts.reactor.interrupts() > 0;
    if (result.interrupted) {
      parts.ledger.append({end_event(run_state(parts.ledger, run.plan.run), wall_now())}, parts.owner);
      continue;
    }
    const Quiet quiet(run.pool.launcher != LauncherKind::kSlurm ? slots : nullptr, run.plan);
    const RunState ended = supervise(run.plan, run.pool, run.folder, preparation.job_text, parts);
    if (quiet.broken()) {
      parts.ledger.append({{.at = wall_now(),
                            .run_id = run.plan.run.value,
                            .source = "coordinator",
                            .kind = "contended",
                            .body = Json::object()}},
                          parts.owner);
      parts.display.say(ended.configuration + ": another run shared its cores (--contended): it never wins a verdict");
    }
    const std::string name =
        run.plan.repeat > 1 ? fmt::format("{} #{}", ended.configuration, run.plan.repeat) : ended.configuration;
    if (ended.status == RunStatus::kDone)
      parts.display.note(name + ": " + ending_words(ended));
    else
      parts.display.say(name + ": " + ending_words(ended) + "\n  see " + (run.folder / "attempt-1").string());
  }
  result.interrupted |= parts.reactor.interrupts() > 0;

  std::stable_sort(planned.begin(), planned.end(), [](const auto& a, const auto& b) { return a.order < b.order; });
  for (const auto& run : planned) result.runs.push_back(run_state(parts.ledger, run.plan.run));
  return result;
}

}  // namespace regatta
