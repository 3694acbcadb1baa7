// The schema of cluster.yaml, key by key, in the order of jobs/SCHEMA.md, and the rules across its keys.

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "cluster/slurm_script.hpp"
#include "cluster/spec.hpp"
#include "cluster/spec_words.hpp"
#include "common/files.hpp"
#include "common/yaml_reader.hpp"

namespace regatta {

namespace {

/// The owner's way of stating a price. `written`: any of its keys is; `good`: all of them are, and in range.
struct OwnerRead {
  bool written = false, good = true;
};

OwnerRead read_owner(YamlMap& map, OwnerPrice& owner) {
  YamlField fields[] = {map.usd("node_usd", owner.node_usd).at_least(0).at_most(100'000'000),
                        map.number("lifetime_years", owner.lifetime_years).at_least(0.1L).at_most(100),
                        map.number("utilisation", owner.utilisation).at_least(0.001L).at_most(1),
                        map.number("watts", owner.watts).at_least(0).at_most(1'000'000),
                        map.usd("usd_per_kwh", owner.usd_per_kwh).at_least(0).at_most(1'000)};
  OwnerRead read;
  for (const auto& field : fields) {
    read.written = read.written || field.written();
    read.good = read.good && field.good();
  }
  if (read.written)
    for (auto& field : fields)
      field.required("an owner's price needs node_usd, lifetime_years, utilisation, watts and usd_per_kwh");
  return read;
}

void read_price(YamlMap& map, PoolSpec& pool, Findings& findings) {
  Price price{.billing = default_billing(pool.name)};
  OwnerPrice owner;
  YamlField hourly = map.usd("usd_per_node_hour", price.usd_per_node_hour).at_least(0).at_most(kMostUsd);
  const OwnerRead read = read_owner(map, owner);
  const bool owned = read.written;
  if (owned) {
    hourly.only(false, "no owner's price (node_usd and the rest)");
    if (read.good) {
      const Billing billing = price.billing;
      price = owned_price(owner);
      price.billing = billing;
      if (price.usd_per_node_hour > NanoUsd{kMostUsd * 1'000'000'000})
        findings.add(map.path(),
                     fmt::format("an hour costs too much (expected at most {} USD, found {})", kMostUsd,
                                 to_decimal(price.usd_per_node_hour)),
                     "look at lifetime_years and utilisation");
    }
    price.market = Market::kOwned;
  } else {
    hourly.required("write usd_per_node_hour: 0.08925, or an owner's price: node_usd, lifetime_years, ...");
    const auto place = findings.positions().finding(map.path(), "");
    price.source = fmt::format("{}:{}", place.file, place.line);
  }
  map.word("billing", "billing", price.billing, kBillings);
  map.word("market", "market", price.market, kMarkets)
      .check(!owned || price.market == Market::kOwned, "owned beside an owner's price");
  map.text("region", price.region);
  map.text("source", price.source);
  map.text("date", price.date);
  pool.price = price;
}

void read_power(YamlMap& map, PowerSpec& power) {
  map.number("idle_w", power.idle_w).required("write idle_w: 60, for example").at_least(0).at_most(1'000'000);
  map.number("busy_w", power.busy_w)
      .required("write busy_w: 220, for example")
      .at_most(1'000'000)
      .check(power.busy_w >= power.idle_w, fmt::format("at least idle_w, {:g}", power.idle_w));
  map.text("source", power.source).required("write source: \"vendor TDP\", for example");
}

/// A name that ssh and a hostfile of mpirun take for a host and for nothing else.
bool is_host(const std::string& text) {
  const auto fine = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  };
  constexpr std::size_t kLongest = 253;  // RFC 1035
  return !text.empty() && text.size() <= kLongest && std::isalnum(static_cast<unsigned char>(text[0])) != 0 &&
         std::all_of(text.begin(), text.end(), fine);
}

void check_hosts(const std::vector<std::string>& hosts, const std::string& path, Findings& findings) {
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    const std::string at = path + "[" + std::to_string(i) + "]";
    if (!is_host(hosts[i]))
      findings.add(at,
                   "not a host's name (expected letters, digits, '.', '_' and '-', a letter or digit first, found \"" +
                       hosts[i] + "\")",
                   "write the name alone; options, user and port belong into the ssh_config");
    else if (std::find(hosts.begin(), hosts.begin() + static_cast<std::ptrdiff_t>(i), hosts[i]) !=
             hosts.begin() + static_cast<std::ptrdiff_t>(i))
      findings.add(at, "the same host again (expected each once, found \"" + hosts[i] + "\")",
                   "remove one; cores_per_node says how many ranks it takes");
  }
}

/// What mpirun would take for several words, a list, or an option.
bool is_one_word(const std::string& text, const char* not_in_it) {
  return !text.empty() && text[0] != '-' && std::none_of(text.begin(), text.end(), [&](char c) {
    return std::isspace(static_cast<unsigned char>(c)) != 0;
  }) && text.find_first_of(not_in_it) == std::string::npos;
}

void read_pool(YamlMap& map, PoolSpec& pool, const fs::path& folder, Findings& findings) {
  const bool known = map.word("launcher", "launcher", pool.launcher, kLauncherKinds).good() || !map.written("launcher");
  const auto is = [&](LauncherKind kind) { return !known || pool.launcher == kind; };
  const bool ssh = is(LauncherKind::kSsh);
  const bool slurm = is(LauncherKind::kSlurm);
  map.integer("nodes", pool.nodes)
      .at_least(1)
      .at_most(1'000'000)
      .check(!known || pool.launcher != LauncherKind::kLocal || pool.nodes == 1, "1 with launcher: local",
             "write nodes: 1, or launcher: ssh or slurm");
  int cores = 0;
  YamlField field = map.integer("cores_per_node", cores).at_least(1).at_most(65'536);
  if (field.good()) pool.cores_per_node = cores;
  if (known && pool.launcher != LauncherKind::kLocal)
    field.required("write cores_per_node: 16, for example; only this machine can be asked");
  int gpus = 0;
  if (map.integer("gpus_per_node", gpus).at_least(0).at_most(1'024).good()) pool.gpus_per_node = gpus;
  map.flag("oversubscribe", pool.oversubscribe);
  map.section("price", [&](YamlMap& below) { read_price(below, pool, findings); });
  map.section("power", [&](YamlMap& below) { read_power(below, pool.power.emplace()); });

  YamlField hosts = map.texts("hosts", pool.hosts).only(ssh, "launcher: ssh");
  hosts.check(pool.hosts.size() == static_cast<std::size_t>(pool.nodes), fmt::format("one host a node, {}", pool.nodes),
              "write as many hosts as nodes");
  if (known && ssh) hosts.required("write hosts: [n1, n2]");
  if (hosts.good()) check_hosts(pool.hosts, map.path() + ".hosts", findings);
  fs::path ssh_config;
  YamlField config = map.path("ssh_config", ssh_config, folder).only(ssh, "launcher: ssh");
  config.check(is_one_word(ssh_config.string(), "\"'"), "a path without spaces and quotes",
               "mpirun takes ssh's command line apart at spaces: rename the folder");
  if (config.good()) pool.ssh_config = ssh_config;
  map.text("push_to", pool.push_to)
      .only(ssh, "launcher: ssh")
      .check(pool.push_to.starts_with('/'), "an absolute path, the same on all hosts",
             "write push_to: /scratch/regatta, for example");
  const auto slurm_word = [&](const char* key, std::string& value) {
    YamlField word = map.text(key, value).only(slurm, "launcher: slurm");
    if (const std::string wrong = wrong_slurm_word(value); word.good()) word.check(wrong.empty(), wrong);
  };
  slurm_word("partition", pool.partition);
  slurm_word("account", pool.account);
  slurm_word("qos", pool.qos);
  slurm_word("constraint", pool.constraint);
  slurm_word("time", pool.time);
  slurm_word("gres", pool.gres);
  YamlField extra = map.texts("extra", pool.extra).only(slurm, "launcher: slurm");
  for (const auto& option : pool.extra)
    if (const std::string wrong = wrong_slurm_option(option); !wrong.empty() && extra.good())
      findings.add(map.path() + ".extra", fmt::format("not allowed (expected {}, found \"{}\")", wrong, option),
                   "write " + wrong);
  map.text("interface", pool.interface)
      .only(ssh || slurm, "launcher: ssh or slurm")
      .check(is_one_word(pool.interface, ",^"), "one interface or network",
             "write interface: eth0, or interface: 10.0.0.0/24");
  map.duration("queue_timeout", pool.queue_timeout_s).only(slurm, "launcher: slurm").above(0);
}

}  // namespace

ClusterSpec read_cluster_text(const std::string& text, const std::string& name, const fs::path& folder) {
  YamlFile file = parse_yaml(text, name);
  ClusterSpec cluster;
  const fs::path base = fs::absolute(folder);
  read_map(file, [&](YamlMap& root) {
    root.section("pools",
                 [&](YamlMap& pools) {
                   pools.each([&](const std::string& pool_name, YamlMap& map) {
                     if (!is_plain_name(pool_name))
                       file.findings.add(
                           map.path(),
                           "not a pool's name (expected 1 to 64 letters, digits, '.', '_' or '-', found \"" +
                               pool_name + "\")",
                           "rename the pool");
                     PoolSpec& pool = cluster.pools.emplace_back(PoolSpec{.name = pool_name});
                     read_pool(map, pool, base, file.findings);
                   });
                 })
        .required("write pools: {here: {launcher: local}}, for example");
  });
  if (cluster.pools.empty() && file.findings.empty())
    file.findings.add("pools", "no pool (expected at least one, found none)", "write pools: {here: {launcher: local}}");
  file.findings.throw_if_any();
  cluster.source = file.findings.positions();
  return cluster;
}

ClusterSpec read_cluster_file(const fs::path& path) {
  return read_cluster_text(read_yaml_file(path, "cluster file"), path.string(), fs::absolute(path).parent_path());
}

}  // namespace regatta
