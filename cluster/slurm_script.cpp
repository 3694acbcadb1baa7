// Why srun and not mpirun within the job (see D-23): srun's ranks get a signal from `scancel` directly, a lost node
// ends the job as Slurm's own, and Slurm sees every rank. -K, because without it a rank that was killed leaves the
// others waiting, and the job with them.
//
// More ranks than slots: a job that asks for more tasks a node than the node has cores waits for ever (PartitionConfig,
// Slurm 22.05), with --overcommit too. So the job asks for the slots that there are, and srun --overcommit starts all
// ranks on them.
#include "cluster/slurm_script.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "common/error.hpp"
#include "common/shell.hpp"

namespace regatta {

namespace {

/// As sbatch reads an #SBATCH line: in double quotes.
std::string sbatch_quoted(const std::string& path) {
  std::string text = "\"";
  for (const char letter : path) {
    if (letter == '"' || letter == '\\') text += '\\';
    text += letter;
  }
  return text + "\"";
}

/// What has no patterns (%j) where sbatch looks for them: in --output, not in --chdir.
std::string without_patterns(const std::string& path) {
  std::string text;
  for (const char letter : path) text += letter == '%' ? std::string("%%") : std::string(1, letter);
  return text;
}

int most_on_a_node(const LaunchRequest& request) {
  return *std::max_element(request.ranks_by_node.begin(), request.ranks_by_node.end());
}

/// What the job holds of a node.
struct Slots {
  int tasks = 1, cores_each = 1;
  bool shared = false;  ///< more ranks than tasks
};

Slots slots_of(const LaunchRequest& request) {
  const int most = most_on_a_node(request);
  if (request.cores_on_node == 0 || most * request.threads <= request.cores_on_node) return {most, request.threads};
  const int cores_each = std::min(request.threads, request.cores_on_node);
  return {request.cores_on_node / cores_each, cores_each, true};
}

bool is_plain_letter(char c) {
  constexpr std::string_view kNot = "\"'\\#`$";
  return c > ' ' && c < 0x7F && kNot.find(c) == std::string_view::npos;
}

void check_path(const std::filesystem::path& path) {
  if (path.native().find_first_of("\n\r") != std::string::npos)
    throw ConfigError("a path with a line break cannot stand in a batch script: " + path.string() +
                      "\n  choose another --home");
}

}  // namespace

std::string slurm_job_name(const std::string& run, int attempt) {
  return fmt::format("regatta-{}-{}", run, attempt);
}

std::vector<std::pair<std::string, std::string>> rank_variables(const PoolSpec& pool, const LaunchRequest& request) {
  std::vector<std::pair<std::string, std::string>> variables;
  if (!pool.interface.empty()) variables.emplace_back("OMPI_MCA_btl_tcp_if_include", pool.interface);
  if (request.contended) variables.emplace_back("OMPI_MCA_mpi_yield_when_idle", "1");
  return variables;
}

std::vector<std::string> srun_command(const LaunchRequest& request) {
  REGATTA_ENSURE(!request.ranks_by_node.empty(), "a node for the ranks");
  std::vector<std::string> argv = {"srun",
                                   "--mpi=pmix",
                                   "--kill-on-bad-exit=1",
                                   fmt::format("--nodes={}", request.ranks_by_node.size()),
                                   fmt::format("--ntasks={}", request.ranks),
                                   fmt::format("--cpus-per-task={}", slots_of(request).cores_each),
                                   "--distribution=block"};
  if (slots_of(request).shared) argv.emplace_back("--overcommit");
  argv.insert(argv.end(),
              {request.worker.string(), "--plan", request.plan.string(), "--run-dir", request.run_dir.string()});
  return argv;
}

std::string slurm_script(const PoolSpec& pool, const LaunchRequest& request) {
  const std::filesystem::path attempt = request.plan.parent_path();
  for (const auto& path : {request.worker, request.plan, request.run_dir}) check_path(path);
  std::string script = "#!/bin/bash\n";
  const auto option = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) script += "#SBATCH --" + name + "=" + value + "\n";
  };
  option("job-name", request.job_name);
  option("nodes", std::to_string(request.ranks_by_node.size()));
  // Uneven ranks: the first nodes have one more. srun deals --ntasks of the script's end out by turns.
  option("ntasks-per-node", std::to_string(slots_of(request).tasks));
  option("cpus-per-task", std::to_string(slots_of(request).cores_each));
  if (request.whole_nodes) script += "#SBATCH --exclusive\n";
  option("partition", pool.partition);
  option("account", pool.account);
  option("qos", pool.qos);
  option("constraint", pool.constraint);
  option("time", pool.time);
  if (request.gpus_on_node > 0)
    option("gres", pool.gres.empty() ? fmt::format("gpu:{}", request.gpus_on_node) : pool.gres);
  for (const auto& more : pool.extra) script += "#SBATCH " + more + "\n";
  option("chdir", sbatch_quoted(request.run_dir.string()));
  option("output", sbatch_quoted(without_patterns((attempt / "launch.log").string())));
  script +=
      "#SBATCH --open-mode=append\n"
      "#SBATCH --requeue\n"
      "\n"
      "# Started again by Slurm, or given up meanwhile: what the first start wrote stays as it is.\n";
  script += fmt::format("if [ \"${{SLURM_RESTART_COUNT:-0}}\" -gt 0 ] || [ -e {} ]; then exit 11; fi\n\n",
                        shell_readable((attempt / kGivenUp).string()));
  script += "export REGATTA_HELD_SINCE=$(date +%s)  # what was spent in the queue is not billed\n";
  for (const auto& [name, value] : rank_variables(pool, request))
    script += "export " + name + "=" + shell_readable(value) + "\n";
  script += "exec";
  for (const auto& argument : srun_command(request)) {
    const bool new_line = argument.starts_with("/") || argument == "--plan" || argument == "--run-dir";
    script += new_line && argument != request.plan && argument != request.run_dir ? " \\\n  " : " ";
    script += shell_readable(argument);
  }
  return script + "\n";
}

std::string wrong_slurm_word(const std::string& word) {
  if (word.empty()) return "a word";
  if (word.front() == '-') return "a word that does not begin with '-'";
  if (!std::all_of(word.begin(), word.end(), is_plain_letter))
    return "a word without blanks, quotes, '#', '$' and '\\'";
  return {};
}

std::string wrong_slurm_option(const std::string& option) {
  constexpr std::array<std::string_view, 27> kOurs{
      "account",         "array",     "chdir",     "clusters",      "constraint", "cpus-per-task", "error",
      "exclusive",       "gres",      "input",     "job-name",      "nodes",      "no-requeue",    "ntasks",
      "ntasks-per-node", "open-mode", "output",    "oversubscribe", "parsable",   "partition",     "qos",
      "requeue",         "share",     "test-only", "time",          "wait",       "wrap"};
  if (!option.starts_with("--") || option.size() < 4) return "one long option, such as --mem=4G";
  if (!std::all_of(option.begin(), option.end(), is_plain_letter))
    return "one long option without blanks, quotes, '#', '$' and '\\'";
  const std::string name = option.substr(2, option.find('=') - 2);
  // Slurm takes an option's beginning for the whole.
  if (std::any_of(kOurs.begin(), kOurs.end(), [&](auto ours) { return ours.starts_with(name); }))
    return "an option that Regatta does not set itself";
  return {};
}

}  // namespace regatta
