#include "coordinator/host_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "cluster/launcher.hpp"
#include "cluster/push.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/ids.hpp"

namespace regatta {

namespace {

constexpr const char* kDryRun = "";  // no token: nothing is written

/// What every host of a pool should see: written into the runs' folder, and gone with this object.
class Token {
 public:
  explicit Token(const fs::path& folder) : text_(new_run_id().value) {
    fs::create_directories(folder);
    path_ = folder / (".seen-by-hosts-" + text_);
    write_file_atomically(path_, text_ + "\n");
  }
  ~Token() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;
  const fs::path& path() const { return path_; }
  const std::string& text() const { return text_; }

 private:
  fs::path path_;
  std::string text_;
};

bool is_asked(const PlannedRow& row) {
  return row.refused.empty() && row.pool.launcher == LauncherKind::kSsh;
}

/// The first ones of its pool; all, where the number of its ranks is still open.
std::vector<std::string> hosts_of(const PlannedRow& row) {
  const auto used = row.ways.empty() ? static_cast<std::size_t>(row.placement.nodes) : row.pool.hosts.size();
  return {row.pool.hosts.begin(), row.pool.hosts.begin() + static_cast<std::ptrdiff_t>(used)};
}

/// What the ranks will read: the files of the data, or the folder of so many that one stands for all.
std::vector<fs::path> data_of(const Preparation& preparation, const PlannedRow& row) {
  std::vector<fs::path> paths;
  for (const auto& file : row.dataset.files) paths.push_back(file.path);
  if (!row.dataset.images.folder.empty()) paths.push_back(row.dataset.images.folder);
  if (preparation.weights) paths.push_back(preparation.weights->path);
  return paths;
}

/// Of those that a row uses, in its order.
std::vector<HostAnswer> answers_for(const std::vector<std::string>& hosts, const std::vector<HostAnswer>& all) {
  std::vector<HostAnswer> found;
  for (const auto& host : hosts)
    found.push_back(*std::find_if(all.begin(), all.end(), [&](const HostAnswer& one) { return one.host == host; }));
  return found;
}

bool is_among(const std::vector<std::string>& hosts, const std::string& host) {
  return std::find(hosts.begin(), hosts.end(), host) != hosts.end();
}

/// As it will be when --push has copied the tree there.
HostAnswer with_worker(HostAnswer answer, const HostNeeds& needs) {
  answer.worker_missing = answer.worker_blocked = false;
  answer.missing_libraries.clear();
  answer.worker_version = needs.worker_version;
  return answer;
}

class HostChecks {
 public:
  HostChecks(Preparation& preparation, const HostCheckParts& parts) : preparation_(preparation), parts_(parts) {}

  void run() {
    if (parts_.starts) token_.emplace(parts_.runs);
    needs_ = {.worker = parts_.worker.string(),
              .worker_version = first_line_of({parts_.worker.string(), "--version"}),
              .mpi_version = first_line_of({"mpirun", "--version"}),
              .token = token_ ? token_->text() : kDryRun,
              .runs = parts_.runs.string()};
    std::map<std::string, std::vector<PlannedRow*>> pools;
    for (auto& row : preparation_.rows)
      if (is_asked(row)) pools[row.pool.name].push_back(&row);
    for (auto& [name, rows] : pools) check_pool(rows);
  }

 private:
  void check_pool(const std::vector<PlannedRow*>& rows) {
    const PoolSpec pool = rows.front()->pool;
    std::vector<std::string> hosts;
    std::vector<fs::path> data;
    for (const PlannedRow* row : rows) {
      if (auto used = hosts_of(*row); used.size() > hosts.size()) hosts = std::move(used);
      for (auto& path : data_of(preparation_, *row))
        if (std::find(data.begin(), data.end(), path) == data.end()) data.push_back(std::move(path));
    }
    HostNeeds needs = needs_;
    PushOutcome pushed;
    if (parts_.push) {
      const PushMode mode = parts_.starts ? PushMode::kCopy : PushMode::kLook;
      pushed = push_tree(pool, hosts, parts_.worker, mode, parts_.keep_waiting);
      if (!pushed.said.empty()) parts_.display.note(pushed.said);
      if (!pushed.worker.empty()) needs.worker = pushed.worker.string();
    }
    auto answers =
        ask_hosts(pool, hosts, {.worker = needs.worker, .token = token_ ? token_->path() : fs::path(), .data = data},
                  parts_.keep_waiting);
    for (HostAnswer& answer : answers)
      if (is_among(pushed.lacking, answer.host)) answer = with_worker(std::move(answer), needs);
    for (PlannedRow* row : rows) judge(*row, answers_for(hosts_of(*row), answers), needs, pushed);
  }

  void judge(PlannedRow& row, const std::vector<HostAnswer>& answers, const HostNeeds& needs,
             const PushOutcome& pushed) {
    for (const auto& answer : answers) {
      const auto failed = pushed.failed.find(answer.host);
      const bool ours = answer.trouble.empty() && failed != pushed.failed.end();
      const std::string why = ours ? failed->second : host_refusal(answer, needs, answer.host == answers.front().host);
      if (!why.empty()) row.refused += (row.refused.empty() ? "" : "\n") + why;
    }
    if (!row.refused.empty()) return;
    const NetworkChoice choice = choose_network(row.pool.interface, answers, own_addresses());
    row.refused = choice.refused;
    row.pool.found = {.ranks_network = choice.ranks,
                      .daemons_network = choice.daemons,
                      .worker = pushed.worker,
                      .push_bytes = pushed.tree_bytes};
    for (const auto& answer : answers)
      if (is_among(pushed.lacking, answer.host)) row.pool.found.lacking.push_back(answer.host);
    if (!row.refused.empty()) return;
    const std::string& name = row.configuration.name;
    parts_.display.note(
        choice.words.empty()
            ? name +
                  ": the hosts were not reached over one network; Open MPI chooses among their interfaces "
                  "(name one: pools." +
                  row.pool.name + ".interface)"
            : name + ": ranks talk over " + choice.words);
    if (!choice.ranks.empty() && choice.daemons.empty())
      parts_.display.note(name + ": this host is not on that network; mpirun's daemons find it as Open MPI chooses");
    if (token_)
      for (const auto& answer : answers)
        if (answer.token != token_->text())
          parts_.display.note(fmt::format("{}: host {} does not see {}: the logs of its ranks stand in launch.log",
                                          name, answer.host, parts_.runs.string()));
  }

  Preparation& preparation_;
  const HostCheckParts& parts_;
  std::optional<Token> token_;
  HostNeeds needs_;
};

}  // namespace

void check_hosts(Preparation& preparation, const HostCheckParts& parts) {
  if (std::any_of(preparation.rows.begin(), preparation.rows.end(), is_asked)) HostChecks(preparation, parts).run();
}

}  // namespace regatta
