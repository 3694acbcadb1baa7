#include "coordinator/step_files.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/error.hpp"
#include "common/features.hpp"
#include "common/files.hpp"
#include "coordinator/ingest.hpp"

namespace regatta {

namespace {

bool was_without(const AttemptState& attempt) {
  if (!attempt.start) return false;
  Features features;
  features.switch_off(Feature::kStepTrace);
  const std::string warning = features.warnings().at(0);
  const auto& warnings = attempt.start->warnings;
  return std::find(warnings.begin(), warnings.end(), warning) != warnings.end();
}

std::string why_none(const RunState& run) {
  if (!is_final(run.status)) return std::string("the run is ") + to_text(run.status) + "; ask again when it has ended";
  if (!run.attempts.empty() && was_without(run.attempts.back()))
    return "the run had REGATTA_WITHOUT=step_trace; unset it and train again";
  if (run.status != RunStatus::kDone && run.status != RunStatus::kStopped)
    return std::string("the run ended before its training did (") + to_text(run.status) +
           "); `regatta show` and `regatta logs` say more";
  return "an older version trained it, or its folder was moved; train again to have them";
}

RankSteps read_rank(const fs::path& file, const RunState& run, int attempt, int rank) {
  RankSteps steps;
  try {
    steps = rank_steps_from_text(read_file(file));
    if (steps.run != run.id) json_bad("run_id", run.id.value, steps.run.value);
    if (steps.attempt != attempt) json_bad("attempt", std::to_string(attempt), std::to_string(steps.attempt));
    if (steps.rank != rank) json_bad("rank", std::to_string(rank), std::to_string(steps.rank));
    if (steps.ranks != run.ranks) json_bad("ranks", std::to_string(run.ranks), std::to_string(steps.ranks));
  } catch (const IoError& error) {
    const std::string words = error.what(), name = file.string();
    throw IoError(words.starts_with(name) ? words : name + ": " + words);
  }
  return steps;
}

}  // namespace

std::vector<RankSteps> read_steps(const RunState& run) {
  const int attempt = run.attempts.empty() ? 1 : run.attempts.back().attempt;
  const fs::path folder = attempt_folder(run.run_dir, attempt);
  std::vector<RankSteps> all;
  for (int rank = 0; rank < run.ranks; ++rank) {
    const fs::path file = folder / steps_file_name(rank);
    if (fs::exists(file))
      all.push_back(read_rank(file, run, attempt, rank));
    else if (rank == 0)
      throw Error(ExitCode::kFailure, fmt::format("{}: no steps there\n  {}", folder.string(), why_none(run)));
    else
      throw Error(ExitCode::kFailure,
                  fmt::format("{}: not there, though rank 0 has one\n  every rank writes its own: look into `regatta "
                              "logs {} --rank {}`, and whether its host shares the run folder",
                              file.string(), run.id.value, rank));
    const RankSteps& first = all.front();
    if (all.back().bucket_bytes != first.bucket_bytes || all.back().exchanger != first.exchanger)
      throw IoError(file.string() + ": other buckets or another exchanger than rank 0's");
  }
  return all;
}

}  // namespace regatta
