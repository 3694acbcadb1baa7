#pragma once
// `regatta import RUN_DIR`: a run of which the ledger knows nothing, from its files alone.

#include <filesystem>
#include <optional>

#include "coordinator/ledger.hpp"
#include "jobs/plan.hpp"

namespace regatta {

/// The plan of the run's first attempt. Throws DataError for a folder that is no run.
Plan plan_of_run(const std::filesystem::path& run_dir);

struct Imported {
  RunId run;
  bool is_new = false;  ///< false: the ledger knew it already, and nothing changed
};

/// Takes a run into the ledger, in one transaction: plan, journal, exit by its stop line, result, bill. Held time is
/// the processes' own, from their start to their stop; a run without a stop line whose processes are gone is `lost`: on
/// this host none is there any more, on others the journal rests for a minute or longer (six times its longest pause).
/// Idempotent: a run that the ledger knows stays as it is, with its price. `price` fills in where the plan has none.
/// Throws DataError for a folder that is no run, has nothing to import, is still being written, or says what cannot be
/// (import_rules.hpp); the ledger is then as it was.
Imported import_run(Ledger& ledger, const std::filesystem::path& run_dir, const std::optional<Price>& price);

}  // namespace regatta
