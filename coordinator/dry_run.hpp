#pragma once
// `regatta run --dry-run`: what would happen, as text and as JSON. Pure: nothing is created, nothing is started.

#include <filesystem>
#include <string>

#include "coordinator/preparation.hpp"

namespace regatta {

/// Every configuration once; run folders show as HOME/runs/RUN-ID, because ids are made when runs are.
std::string dry_run_text(const Preparation& preparation, const std::filesystem::path& home,
                         const std::filesystem::path& worker);
/// {job, job_id, dataset, repeats, configurations: [{configuration, pool, ways_to_try, refused|null, argv,
/// push: {folder, hosts, bytes}|null, batch_shares, cost_usd_per_hour, plan}]}
Json dry_run_json(const Preparation& preparation, const std::filesystem::path& home,
                  const std::filesystem::path& worker);

}  // namespace regatta
