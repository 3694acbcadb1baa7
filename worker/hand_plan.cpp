#include "worker/hand_plan.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "cluster/inventory.hpp"
#include "common/json.hpp"
#include "jobs/spec_reader.hpp"
#include "worker/rank_context.hpp"

namespace regatta {

namespace {

/// All cores of each host, and whether no two of its ranks share one.
struct Hosts {
  std::map<std::string, std::set<int>> cores;
  bool disjoint = true;

  explicit Hosts(const std::vector<RankSite>& sites) {
    for (const auto& site : sites)
      for (const int core : site.cores) disjoint &= cores[site.host].insert(core).second;
  }
  int most_cores() const {
    std::size_t most = 1;
    for (const auto& [host, owned] : cores) most = std::max(most, owned.size());
    return static_cast<int>(most);
  }
};

void check_ranks(const ConfigurationSpec& configuration, std::size_t ranks) {
  if (!configuration.ranks || *configuration.ranks == static_cast<int>(ranks)) return;
  throw ConfigError("configuration \"" + configuration.name + "\" has " + std::to_string(*configuration.ranks) +
                    " ranks, this launch has " + std::to_string(ranks) + "\n  Start it with mpirun -np " +
                    std::to_string(*configuration.ranks) + ", or choose another with --config.");
}

}  // namespace

RankSite this_site() {
  return {host_name(), this_machine().cores};
}

std::string encode_site(const RankSite& site) {
  return Json{{"host", site.host}, {"cores", site.cores}}.dump();
}

RankSite decode_site(const std::string& text) {
  const Json json = parse_json(text, "a rank's site");
  return {json_get<std::string>(json, "host"), json_get<std::vector<int>>(json, "cores")};
}

Placement place_by_hand(const JobSpec& job, const ConfigurationSpec& configuration, const std::vector<RankSite>& sites,
                        bool launched) {
  const Hosts hosts(sites);
  const bool one_host = hosts.cores.size() == 1;
  PoolCapacity pool{.name = configuration.pool,
                    .nodes = static_cast<int>(hosts.cores.size()),
                    .cores_per_node = hosts.most_cores(),
                    .oversubscribe = true};  // who starts it by hand has decided
  if (one_host) pool.host_cores.assign(hosts.cores.begin()->second.begin(), hosts.cores.begin()->second.end());
  Placement placement = place(job, configuration, pool);
  const auto enough = [&](const RankSite& site) {
    return site.cores.size() >= static_cast<std::size_t>(placement.threads);
  };
  if (!launched) {
    placement.cores.clear();
  } else if (hosts.disjoint && std::all_of(sites.begin(), sites.end(), enough)) {
    placement.cores.clear();
    for (const auto& site : sites) placement.cores.push_back(site.cores);
  }
  return placement;
}

Plan plan_by_hand(const WorkerOptions& options, const std::vector<RankSite>& sites, bool launched) {
  const JobSpec job = read_job_file(*options.job);
  if (auto findings = unsupported(job); !findings.empty()) throw ConfigError(std::move(findings));
  const ConfigurationSpec& configuration =
      choose_configuration(job, options.configuration, static_cast<int>(sites.size()));
  check_ranks(configuration, sites.size());
  const Placement placement = place_by_hand(job, configuration, sites, launched);
  const DatasetIndex index = index_dataset(job.data, configuration.train.seed);
  return make_plan(job, configuration, placement, index, new_run_id(), {}, 1, 1, {});
}

}  // namespace regatta
