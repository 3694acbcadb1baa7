#pragma once
// What `regatta compare` is asked about: which runs, at which prices.

#include <map>
#include <string>
#include <vector>

#include "coordinator/question.hpp"

namespace regatta {

/// The runs behind the ids (comparisons or runs, also their beginnings), each once, those of a comparison in the order
/// of its job file; without ids, those of the latest comparison. Throws Error (exit code 1) when there is nothing.
std::vector<const RunState*> compared_runs(const Asked& asked, const std::vector<std::string>& ids);

/// "here=2.10" -> here, 2.1 USD per node-hour. Throws ConfigError for what is no such text, for a pool named twice and
/// for one that none of the runs used.
std::map<std::string, NanoUsd> asked_prices(const std::vector<std::string>& texts,
                                            const std::vector<const RunState*>& runs);

}  // namespace regatta
