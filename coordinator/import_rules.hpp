#pragma once
// What a run's files must agree on before they are taken into the ledger: they come from anywhere, and a ledger that
// took in nonsense once says nonsense for good. Pure.

#include <string>
#include <vector>

#include "common/records.hpp"
#include "jobs/plan.hpp"

namespace regatta {

/// Throws IoError naming the key: names that are none, numbers that no job file may have.
void check_imported_plan(const Plan& plan);

/// `lines`: an attempt's journal from its start line. `epochs_before`: complete ones of the attempts before it.
/// Throws IoError "line N: KEY: expected ..., found ..." for a line that contradicts the plan or the lines before it.
void check_imported_journal(const Plan& plan, const std::vector<JournalLine>& lines, int epochs_before);

/// Epochs of these lines that are complete.
int complete_epochs(const std::vector<JournalLine>& lines);

}  // namespace regatta
