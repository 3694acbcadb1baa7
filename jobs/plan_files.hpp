#pragma once
// A plan in its attempt's folder: plan.json and, where the data set has one, manifest.tsv beside it.

#include <filesystem>

#include "jobs/plan.hpp"

namespace regatta {

/// Writes both, each whole or not at all, plan.json last: where it lies, the manifest does too. Throws IoError.
void write_plan(const Plan& plan, const std::filesystem::path& folder);

/// Reads both; the data can be decoded afterwards. Throws IoError naming the file, or the key in it.
Plan read_plan(const std::filesystem::path& file);

}  // namespace regatta
