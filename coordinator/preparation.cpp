#include "coordinator/preparation.hpp"

#include <algorithm>
#include <map>

#include "cluster/price_book.hpp"
#include "common/files.hpp"
#include "common/findings.hpp"
#include "common/yaml_text.hpp"
#include "jobs/spec_reader.hpp"

namespace regatta {

namespace {

/// Gathers findings over several files, so that a person sees them all in one go.
class Gatherer {
 public:
  template <class Read>
  void attempt(Read read) {
    try {
      read();
    } catch (const ConfigError& error) {
      if (error.diagnostics().empty()) add({{.message = error.what()}});
      add(error.diagnostics());
    }
  }
  void add(const std::vector<Diagnostic>& more) { found_.insert(found_.end(), more.begin(), more.end()); }
  void throw_if_any() const {
    if (!found_.empty()) throw ConfigError(found_);
  }

 private:
  std::vector<Diagnostic> found_;
};

std::vector<Override> parse_overrides(const std::vector<std::string>& texts) {
  std::vector<Override> overrides;
  std::vector<Diagnostic> wrong;
  for (const auto& text : texts) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      wrong.push_back({.file = "--set",
                       .message = "expected KEY=VALUE, found \"" + text + "\"",
                       .advice = "for example --set train.batch=256"});
    else
      overrides.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  if (!wrong.empty()) throw ConfigError(wrong);
  return overrides;
}

PoolCapacity capacity_of(const PoolSpec& pool, const Inventory& machine) {
  const bool here = pool.launcher == LauncherKind::kLocal;
  return {.name = pool.name,
          .nodes = pool.nodes,
          .cores_per_node = pool.cores_per_node.value_or(static_cast<int>(machine.cores.size())),
          .gpus_per_node = pool.gpus_per_node,
          .oversubscribe = pool.oversubscribe,
          .host_cores = here ? machine.cores : std::vector<int>{}};
}

bool wanted(const std::vector<std::string>& only, const std::string& name) {
  return only.empty() || std::find(only.begin(), only.end(), name) != only.end();
}

void check_only(const std::vector<std::string>& only, const JobSpec& job) {
  std::vector<std::string> known;
  for (const auto& configuration : job.configurations) known.push_back(configuration.name);
  std::vector<Diagnostic> wrong;
  for (const auto& name : only)
    if (std::find(known.begin(), known.end(), name) == known.end())
      wrong.push_back({.file = "--only",
                       .message = "no configuration \"" + name + "\" in " + job.source.file,
                       .advice = known_words_advice(name, known)});
  if (!wrong.empty()) throw ConfigError(wrong);
}

PlannedRow plan_row(const JobSpec& job, int order, const ClusterSpec& cluster, const Inventory& machine,
                    bool contended) {
  const auto& configuration = job.configurations[static_cast<std::size_t>(order)];
  const PoolSpec* pool = cluster.find(configuration.pool);
  if (pool == nullptr) {
    std::vector<std::string> known;
    for (const auto& candidate : cluster.pools) known.push_back(candidate.name);
    throw ConfigError({job.source.finding("configurations[" + std::to_string(order) + "].pool",
                                          "no pool \"" + configuration.pool + "\" in the cluster file",
                                          known_words_advice(configuration.pool, known))});
  }
  const PoolCapacity capacity = capacity_of(*pool, machine);
  PlannedRow row{.configuration = configuration,
                 .order = order,
                 .launcher = pool->launcher,
                 .placement = place(job, configuration, capacity),
                 .price = pool->price ? *pool->price : assumed_price(load_price_book(), capacity.cores_per_node)};
  row.placement.contended |= contended;
  return row;
}

/// Files are read once; synthetic data differ by seed, which a row may override.
void index_data(Preparation& preparation) {
  std::map<std::uint64_t, DatasetIndex> known;
  const auto& data = preparation.job.data;
  for (auto& row : preparation.rows) {
    const std::uint64_t seed = row.configuration.train.seed;
    const std::uint64_t key = data.format == DataFormat::kSynthetic ? seed : 0;
    const auto found = known.find(key);
    row.dataset = found != known.end() ? found->second : known.emplace(key, index_dataset(data, seed)).first->second;
  }
}

}  // namespace

Preparation prepare(const RunOptions& options, const Inventory& machine) {
  Preparation result;
  ClusterSpec cluster = default_cluster();
  Gatherer findings;
  findings.attempt([&] {
    const auto overrides = parse_overrides(options.set);
    const std::string name = options.job.string();
    result.job_text = read_yaml_file(options.job, "job file");  // once: it may be a pipe
    result.job = read_job_text(result.job_text, name, fs::absolute(options.job).parent_path(), overrides);
    if (!overrides.empty()) result.job_text = to_yaml(parse_yaml(result.job_text, name, overrides).root);
    findings.add(unsupported(result.job));
  });
  if (options.cluster) {
    findings.attempt([&] {
      cluster = read_cluster_file(*options.cluster);
      findings.add(unsupported(cluster));
    });
  }
  findings.throw_if_any();

  findings.attempt([&] { check_only(options.only, result.job); });
  for (int order = 0; order < static_cast<int>(result.job.configurations.size()); ++order) {
    if (!wanted(options.only, result.job.configurations[static_cast<std::size_t>(order)].name)) continue;
    findings.attempt([&] { result.rows.push_back(plan_row(result.job, order, cluster, machine, options.contended)); });
  }
  findings.throw_if_any();

  if (options.cluster) result.cluster_text = read_file(*options.cluster);
  index_data(result);
  return result;
}

Plan plan_run(const Preparation& preparation, const PlannedRow& row, RunId run, std::optional<ComparisonId> comparison,
              int repeat) {
  return make_plan(preparation.job, row.configuration, row.placement, row.dataset, std::move(run),
                   std::move(comparison), repeat, /*attempt=*/1, row.price);
}

}  // namespace regatta
