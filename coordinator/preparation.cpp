#include "coordinator/preparation.hpp"

#include <algorithm>
#include <map>

#include "cluster/price_book.hpp"
#include "common/files.hpp"
#include "common/findings.hpp"
#include "common/yaml_text.hpp"
#include "jobs/model_fit.hpp"
#include "jobs/spec_reader.hpp"
#include "jobs/start_weights.hpp"

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
  /// Each once: two rows may meet the same one.
  void add(const std::vector<Diagnostic>& more) {
    for (const auto& finding : more) {
      const bool known = std::any_of(found_.begin(), found_.end(),
                                     [&](const Diagnostic& before) { return before.text() == finding.text(); });
      if (!known) found_.push_back(finding);
    }
  }
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

/// Asked when the first row on GPUs is met, once.
class LazyGpus {
 public:
  explicit LazyGpus(const AskGpus& ask) : ask_(ask) {}
  const GpuReport& report() {
    if (!report_) report_ = ask_();
    return *report_;
  }

 private:
  const AskGpus& ask_;
  std::optional<GpuReport> report_;
};

PoolCapacity capacity_of(const PoolSpec& pool, const Inventory& machine) {
  const bool here = pool.launcher == LauncherKind::kLocal;
  return {.name = pool.name,
          .nodes = pool.nodes,
          .cores_per_node = pool.cores_per_node.value_or(static_cast<int>(machine.cores.size())),
          .gpus_per_node = pool.gpus_per_node.value_or(0),
          .oversubscribe = pool.oversubscribe,
          .host_cores = here ? machine.cores : std::vector<int>{}};
}

std::vector<Diagnostic> missing_files(const ClusterSpec& cluster) {
  std::vector<Diagnostic> found;
  for (const auto& pool : cluster.pools)
    if (pool.ssh_config && !fs::is_regular_file(*pool.ssh_config))
      found.push_back(cluster.source.finding("pools." + pool.name + ".ssh_config",
                                             "no such file: " + pool.ssh_config->string(),
                                             "relative paths begin at the cluster file's folder; without the key, ssh "
                                             "reads ~/.ssh/config"));
  return found;
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

/// Read when the first pool without a price is met, once.
class LazyPrices {
 public:
  Price assumed(int cores) { return assumed_price(book(), cores); }
  Price assumed_for_gpus(const std::string& name, int gpus) { return assumed_gpu_price(book(), name, gpus); }

 private:
  const PriceBook& book() {
    if (!book_) book_ = load_price_book();
    return *book_;
  }

  std::optional<PriceBook> book_;
};

/// `gpus`: that CUDA sees, for a row on them.
std::vector<Way> ways_of(const JobSpec& job, int order, const PoolCapacity& pool, int gpus) {
  const auto& configuration = job.configurations[static_cast<std::size_t>(order)];
  Open open{.ranks = configuration.ranks, .precision = configuration.train.precision};
  const bool written = job.source.written("configurations[" + std::to_string(order) + "].threads");
  if (configuration.ranks || written) open.threads = configuration.threads;
  if (configuration.backend == Backend::kNccl) {  // one rank a GPU; more threads take no more of them
    open.threads = 1;
    std::vector<Way> ways = ways_to_try(open, std::min(pool.gpus_per_node, gpus), configuration.train.batch);
    for (Way& way : ways) way.threads = configuration.threads;
    return ways;
  }
  int cores = pool.cores_per_node;
  if (!pool.host_cores.empty()) cores = std::min(cores, static_cast<int>(pool.host_cores.size()));
  return ways_to_try(open, cores, configuration.train.batch);
}

/// Why this machine cannot do the row; empty: it can. A pool that does not say has as many GPUs as CUDA sees. For a row
/// that is refused it gets those that the row asks for, so that it has a place in the ledger.
std::string settle_gpus(const ConfigurationSpec& configuration, const PoolSpec& pool, LazyGpus& gpus,
                        PoolCapacity& capacity) {
  if (configuration.backend != Backend::kNccl || pool.launcher != LauncherKind::kLocal) return "";
  const GpuReport& report = gpus.report();
  const int ranks = configuration.ranks.value_or(1);
  const std::string refused = gpu_refusal({.ranks = ranks, .may_share = pool.oversubscribe}, report, pci_gpus());
  if (!pool.gpus_per_node) {
    const int seen = static_cast<int>(report.devices.size());
    capacity.gpus_per_node = refused.empty() ? seen : std::max(seen, ranks);
  }
  if (!refused.empty() && configuration.cpu_ranks > 0) capacity.oversubscribe = true;  // likewise its cores
  return refused;
}

PlannedRow plan_row(const JobSpec& job, int order, const ClusterSpec& cluster, const Inventory& machine,
                    LazyPrices& prices, LazyGpus& gpus, bool contended) {
  const auto& configuration = job.configurations[static_cast<std::size_t>(order)];
  const PoolSpec* pool = cluster.find(configuration.pool);
  if (pool == nullptr) {
    std::vector<std::string> known;
    for (const auto& candidate : cluster.pools) known.push_back(candidate.name);
    throw ConfigError({job.source.finding("configurations[" + std::to_string(order) + "].pool",
                                          "no pool \"" + configuration.pool + "\" in the cluster file",
                                          known_words_advice(configuration.pool, known))});
  }
  PoolCapacity capacity = capacity_of(*pool, machine);
  const std::string refused = settle_gpus(configuration, *pool, gpus, capacity);
  const bool on_gpus = configuration.backend == Backend::kNccl;
  std::vector<GpuDevice> devices;
  if (on_gpus && pool->launcher == LauncherKind::kLocal) devices = gpus.report().devices;
  const auto assumed = [&] {
    return on_gpus ? prices.assumed_for_gpus(devices.empty() ? "" : devices[0].name, capacity.gpus_per_node)
                   : prices.assumed(capacity.cores_per_node);
  };
  PlannedRow row{.configuration = configuration,
                 .order = order,
                 .pool = *pool,
                 .capacity = capacity,
                 .price = pool->price ? *pool->price : assumed(),
                 .power = pool->power};
  row.placement.contended = contended;
  row.refused = refused;
  const Precision precision = configuration.train.precision;
  const bool open = !configuration.ranks || precision == Precision::kAuto;
  if (open && pool->launcher == LauncherKind::kSlurm)
    throw ConfigError({job.source.finding(
        "configurations[" + std::to_string(order) + "]",
        "auto is decided by trials, and on a Slurm pool each would wait in the queue (expected ranks and precision)",
        "write ranks: 4 and train.precision: fp32, for example")});
  if (open && refused.empty()) row.ways = ways_of(job, order, capacity, static_cast<int>(devices.size()));
  // Threads that no layout has room for are refused as they are with one rank. A refused row stands as it would begin.
  const int ranks = configuration.ranks.value_or(1);
  const Way written{ranks, configuration.threads, precision == Precision::kAuto ? Precision::kFp32 : precision};
  return in_way(job, row, row.ways.empty() ? written : row.ways.front());
}

/// Files are read once; synthetic data differ by seed, which a row may override.
void index_data(Preparation& preparation, const IndexProgress& progress) {
  std::map<std::uint64_t, DatasetIndex> known;
  const auto& data = preparation.job.data;
  for (auto& row : preparation.rows) {
    const std::uint64_t seed = row.configuration.train.seed;
    const std::uint64_t key = data.format == DataFormat::kSynthetic ? seed : 0;
    const auto found = known.find(key);
    if (found != known.end())
      row.dataset = found->second;
    else
      row.dataset = known.emplace(key, index_dataset(data, seed, host_memory_bytes(), progress)).first->second;
  }
}

}  // namespace

Preparation prepare(const RunOptions& options, const Inventory& machine, const AskGpus& ask_gpus,
                    const IndexProgress& progress) {
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
      result.cluster_text = read_yaml_file(*options.cluster, "cluster file");
      cluster = read_cluster_text(*result.cluster_text, options.cluster->string(),
                                  fs::absolute(*options.cluster).parent_path());
      findings.add(missing_files(cluster));
    });
  }
  findings.throw_if_any();

  LazyPrices prices;
  LazyGpus gpus(ask_gpus);
  findings.attempt([&] { check_only(options.only, result.job); });
  for (int order = 0; order < static_cast<int>(result.job.configurations.size()); ++order) {
    if (!wanted(options.only, result.job.configurations[static_cast<std::size_t>(order)].name)) continue;
    findings.attempt(
        [&] { result.rows.push_back(plan_row(result.job, order, cluster, machine, prices, gpus, options.contended)); });
  }
  findings.throw_if_any();

  index_data(result, progress);
  check_model_fits(result.job, result.rows.front().dataset);
  result.weights = index_start_weights(result.job, result.rows.front().dataset);
  return result;
}

PlannedRow in_way(const JobSpec& job, const PlannedRow& row, const Way& way) {
  PlannedRow result = row;
  result.configuration.ranks = way.ranks;
  result.configuration.threads = way.threads;
  result.configuration.train.precision = way.precision;
  result.placement = place(job, result.configuration, row.capacity);
  result.placement.contended |= row.placement.contended;
  return result;
}

void settle(const JobSpec& job, PlannedRow& row, const Choice& choice) {
  row = in_way(job, row, choice.kept);
  row.choice = choice;
}

Plan plan_run(const Preparation& preparation, const PlannedRow& row, RunId run, std::optional<ComparisonId> comparison,
              int repeat) {
  Plan plan = make_plan(preparation.job, row.configuration, row.placement, row.dataset, std::move(run),
                        std::move(comparison), repeat, /*attempt=*/1, row.price);
  plan.weights = preparation.weights;
  plan.power = row.power;
  plan.choice = row.choice;
  plan.kernels = row.kernels;
  plan.lanes = row.lanes;
  return plan;
}

}  // namespace regatta
