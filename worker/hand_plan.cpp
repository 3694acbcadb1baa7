#include "worker/hand_plan.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "cluster/inventory.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "jobs/model_fit.hpp"
#include "jobs/spec_reader.hpp"
#include "jobs/start_weights.hpp"

namespace regatta {

namespace {

/// What the ranks of a launch have on their hosts.
struct Host {
  std::set<int> cores;  // that a rank may run on
  int gpu_ranks = 0;
};

struct Hosts {
  std::map<std::string, Host> by_name;
  bool disjoint = true;  // no two ranks of a host share a core
  int most_cores = 1;    // that a host really has
  int most_gpus = 0;     // that a host has, or ranks where they share them

  /// `gpu_ranks`: the first of them, as far as they are on GPUs.
  Hosts(const std::vector<RankSite>& sites, int gpu_ranks) {
    for (const auto& site : sites) {
      Host& host = by_name[site.host];
      if (gpu_ranks-- > 0) ++host.gpu_ranks;
      for (const int core : site.cores) disjoint &= host.cores.insert(core).second;
      most_cores = std::max(most_cores, site.host_cores);
      most_gpus = std::max({most_gpus, site.gpus, host.gpu_ranks});
    }
  }
  bool crowded(const std::vector<RankSite>& sites, const Placement& placement) const {
    std::map<std::string, std::size_t> threads;
    for (std::size_t rank = 0; rank < sites.size(); ++rank)
      threads[sites[rank].host] += static_cast<std::size_t>(threads_of(placement, static_cast<int>(rank)));
    return std::any_of(threads.begin(), threads.end(),
                       [&](const auto& entry) { return entry.second > by_name.at(entry.first).cores.size(); });
  }
};

/// Where a key that a configuration may override was written.
std::string own_or_job_key(const HandJob& read, const std::string& key) {
  for (std::size_t i = 0; i < read.job.configurations.size(); ++i) {
    const std::string own = "configurations[" + std::to_string(i) + "]." + key;
    if (read.job.configurations[i].name == read.configuration.name && read.job.source.written(own)) return own;
  }
  return key;
}

}  // namespace

RankSite this_site(int gpus) {
  const Inventory machine = this_machine();
  return {machine.host, machine.cores, machine.host_cores, gpus};
}

std::string encode_site(const RankSite& site) {
  return Json{{"host", site.host}, {"cores", site.cores}, {"host_cores", site.host_cores}, {"gpus", site.gpus}}.dump();
}

RankSite decode_site(const std::string& text) {
  const Json json = parse_json(text, "a rank's site");
  return {json_get<std::string>(json, "host"), json_get<std::vector<int>>(json, "cores"),
          json_get<int>(json, "host_cores"), json_get<int>(json, "gpus")};
}

Placement place_by_hand(const JobSpec& job, const ConfigurationSpec& configuration, const std::vector<RankSite>& sites,
                        bool launched) {
  const Hosts hosts(sites, static_cast<int>(sites.size()) - configuration.cpu_ranks);
  const int nodes = static_cast<int>(hosts.by_name.size());
  PoolCapacity pool{.name = configuration.pool,
                    .nodes = nodes,
                    .cores_per_node = hosts.most_cores,
                    .gpus_per_node = hosts.most_gpus,
                    .oversubscribe = true};  // who starts it by hand has decided
  if (nodes == 1) {
    const std::set<int>& cores = hosts.by_name.begin()->second.cores;
    pool.host_cores.assign(cores.begin(), cores.end());
  }
  Placement placement = place(job, configuration, pool);
  placement.nodes = nodes;  // place() packs the ranks, the launcher may have spread them
  placement.contended = hosts.crowded(sites, placement);
  bool enough = true;
  for (std::size_t rank = 0; rank < sites.size(); ++rank)
    enough &= std::cmp_greater_equal(sites[rank].cores.size(), threads_of(placement, static_cast<int>(rank)));
  if (!launched) {
    placement.cores.clear();
  } else if (hosts.disjoint && enough) {
    placement.cores.clear();
    for (const auto& site : sites) placement.cores.push_back(site.cores);
  }
  return placement;
}

HandJob read_by_hand(const WorkerOptions& options, const std::vector<RankSite>& sites, bool launched) {
  HandJob read{.job = read_job_file(*options.job)};
  if (auto findings = unsupported(read.job); !findings.empty()) throw ConfigError(std::move(findings));
  read.configuration = choose_configuration(read.job, options.configuration, static_cast<int>(sites.size()));
  read.configuration.ranks = static_cast<int>(sites.size()) - read.configuration.cpu_ranks;
  if (read.configuration.train.precision == Precision::kAuto)
    throw ConfigError({read.job.source.finding(
        own_or_job_key(read, "train.precision"),
        "auto is chosen by trials, and a worker started by hand makes none (expected fp32 or bf16)",
        "write precision: fp32 or bf16, or let regatta run choose; its plan.json can be started by hand")});
  read.placement = place_by_hand(read.job, read.configuration, sites, launched);
  return read;
}

std::optional<Backend> backend_of(const WorkerOptions& options, int world_size) {
  if (options.plan)
    return plan_from_json(parse_json(read_file(*options.plan), options.plan->string())).placement.backend;
  if (world_size == 0) return {};  // a launcher that does not say
  const JobSpec job = read_job_file(*options.job);
  return choose_configuration(job, options.configuration, world_size).backend;
}

Plan plan_by_hand(const HandJob& read) {
  const DatasetIndex index = index_dataset(read.job.data, read.configuration.train.seed);
  check_model_fits(read.job, index);
  Plan plan = make_plan(read.job, read.configuration, read.placement, index, new_run_id(), {}, 1, 1, {});
  plan.weights = index_start_weights(read.job, index);
  return plan;
}

}  // namespace regatta
