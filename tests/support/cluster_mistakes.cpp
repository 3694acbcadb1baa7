#include "tests/support/config_mistakes.hpp"

namespace regatta::test {

namespace {

const char* const kLauncher = "    launcher: local";
const char* const kNodes = "    nodes: 1";
const char* const kCores = "    cores_per_node: 2";
const char* const kGpus = "    gpus_per_node: 0";
const char* const kOversubscribe = "    oversubscribe: false";
const char* const kPrice = "    price: {usd_per_node_hour: 0.08925, billing: slot, source: list}";

// Name, line, what stands there instead; place, path; expected, found, advice.
const Mistake kMistakes[] = {
    {"Unclosed", kNodes, "    nodes: [1", "5:19", "", "not YAML", "flow", "indentation, brackets, quotes"},
    {"NoPools", "pools:", "pool:", "1:1", "pool", "known: pools", "\"pool\"", "Did you mean \"pools\"?"},
    {"UnknownKey", kCores, "    core_per_node: 2", "5:5", "pools.here.core_per_node", "known: account",
     "\"core_per_node\"", "Did you mean \"cores_per_node\"?"},
    {"DuplicateKey", kNodes, "    nodes: 1\n    nodes: 1", "5:5", "pools.here.nodes", "once", "line 4", "remove one"},
    {"DuplicatePool", kPrice, "  here: {cores_per_node: 2}", "8:3", "pools.here", "once", "line 2", "remove one"},
    {"BadPoolName", kPrice, "  over there: {cores_per_node: 2}", "8:3", "pools.over there", "letters, digits",
     "\"over there\"", "rename the pool"},
    {"UnknownLauncher", kLauncher, "    launcher: slurmm", "3:5", "pools.here.launcher", "local, slurm, ssh",
     "\"slurmm\"", "Did you mean \"slurm\"?"},
    {"TextForInteger", kCores, "    cores_per_node: two", "5:5", "pools.here.cores_per_node", "an integer", "\"two\"",
     "write an integer"},
    {"ZeroCores", kCores, "    cores_per_node: 0", "5:5", "pools.here.cores_per_node", "at least 1", "found 0",
     "at least 1"},
    {"TwoLocalNodes", kNodes, "    nodes: 2", "4:5", "pools.here.nodes", "1 with launcher: local", "\"2\"",
     "write nodes: 1"},
    {"NegativeGpus", kGpus, "    gpus_per_node: -1", "6:5", "pools.here.gpus_per_node", "at least 0", "found -1",
     "at least 0"},
    {"YesForTrue", kOversubscribe, "    oversubscribe: yes", "7:5", "pools.here.oversubscribe", "true or false",
     "\"yes\"", "write true or false"},
    {"HostsOfLocal", kOversubscribe, "    hosts: [n1]", "7:5", "pools.here.hosts", "beside launcher: ssh", "a list",
     "remove this key"},
    {"PartitionOfLocal", kOversubscribe, "    partition: cpu", "7:5", "pools.here.partition", "beside launcher: slurm",
     "\"cpu\"", "remove this key"},
    {"HostIsAnOption", kLauncher, "    launcher: ssh\n    hosts: [-oProxyCommand=x]", "4:13", "pools.here.hosts[0]",
     "letters, digits", "\"-oProxyCommand=x\"", "write the name alone"},
    {"HostWithSpace", kLauncher, "    launcher: ssh\n    hosts: [\"n1 n2\"]", "4:13", "pools.here.hosts[0]",
     "letters, digits", "\"n1 n2\"", "write the name alone"},
    {"HostWithSlots", kLauncher, "    launcher: ssh\n    hosts: [\"n1:2\"]", "4:13", "pools.here.hosts[0]",
     "letters, digits", "\"n1:2\"", "write the name alone"},
    {"HostList", kLauncher, "    launcher: ssh\n    hosts: [\"n1,n2\"]", "4:13", "pools.here.hosts[0]",
     "letters, digits", "\"n1,n2\"", "write the name alone"},
    {"SpacesInSshConfig", kLauncher, "    launcher: ssh\n    hosts: [n1]\n    ssh_config: my config", "5:5",
     "pools.here.ssh_config", "a path without spaces", "\"my config\"", "rename the folder"},
    {"InterfaceIsAnOption", kLauncher, "    launcher: ssh\n    hosts: [n1]\n    interface: --mca", "5:5",
     "pools.here.interface", "one interface or network", "\"--mca\"", "write interface: eth0"},
    {"RelativePushTo", kLauncher, "    launcher: ssh\n    hosts: [n1]\n    push_to: here", "5:5", "pools.here.push_to",
     "an absolute path", "\"here\"", "write push_to:"},
    {"NoHosts", kLauncher, "    launcher: ssh", "2:3", "pools.here.hosts", "a list of words", "nothing",
     "write hosts: [n1, n2]"},
    {"TooManyHosts", kLauncher, "    launcher: ssh\n    hosts: [n1, n2]", "4:5", "pools.here.hosts", "one host a node",
     "a list", "as many hosts as nodes"},
    {"AmountWithCurrency", kPrice, "    price: {usd_per_node_hour: $3}", "8:13", "pools.here.price.usd_per_node_hour",
     "a decimal amount", "\"$3\"", "0.08925"},
    {"AmountWithExponent", kPrice, "    price: {usd_per_node_hour: 1e-2}", "8:13", "pools.here.price.usd_per_node_hour",
     "a decimal amount", "\"1e-2\"", "0.08925"},
    {"NegativePrice", kPrice, "    price: {usd_per_node_hour: -1}", "8:13", "pools.here.price.usd_per_node_hour",
     "at least 0", "found -1", "at least 0"},
    {"PriceAsNumber", kPrice, "    price: 0.08925", "8:5", "pools.here.price", "a map", "\"0.08925\"", "write a map"},
    {"NoAmount", kPrice, "    price: {source: list}", "8:5", "pools.here.price.usd_per_node_hour", "a decimal amount",
     "nothing", "or an owner's price"},
    {"UnknownBilling", kPrice, "    price: {usd_per_node_hour: 1, billing: hour}", "8:35", "pools.here.price.billing",
     "known: node, slot", "\"hour\"", "known:"},
    {"UnknownMarket", kPrice, "    price: {usd_per_node_hour: 1, market: ondemand}", "8:35", "pools.here.price.market",
     "on_demand, owned, reserved, spot", "\"ondemand\"", "Did you mean \"on_demand\"?"},
    {"HalfAnOwner", kPrice, "    price: {node_usd: 9000, lifetime_years: 4, watts: 300, usd_per_kwh: 0.2}", "8:5",
     "pools.here.price.utilisation", "a number", "nothing", "an owner's price needs"},
    {"TwoPrices", kPrice,
     "    price: {usd_per_node_hour: 1, node_usd: 9000, lifetime_years: 4, utilisation: 0.5, watts: 300, usd_per_kwh: "
     "0.2}",
     "8:13", "pools.here.price.usd_per_node_hour", "no owner's price", "\"1\"", "remove this key"},
    {"Utilisation", kPrice,
     "    price: {node_usd: 9000, lifetime_years: 4, utilisation: 50, watts: 300, usd_per_kwh: 0.2}", "8:48",
     "pools.here.price.utilisation", "at most 1", "found 50", "at most 1"},
    {"PowerUpsideDown", kOversubscribe, "    power: {idle_w: 220, busy_w: 60, source: TDP}", "7:26",
     "pools.here.power.busy_w", "at least idle_w, 220", "\"60\"", "at least idle_w"},
    {"SlurmWordIsAnOption", kLauncher, "    launcher: slurm\n    partition: --wrap=x", "4:5", "pools.here.partition",
     "does not begin with '-'", "--wrap=x", "does not begin with '-'"},
    {"SlurmWordIsTwoLines", kLauncher, "    launcher: slurm\n    account: \"a\\n#SBATCH --uid=0\"", "4:5",
     "pools.here.account", "a word without blanks", "--uid=0", "without blanks"},
    {"SlurmOptionIsOurs", kLauncher, "    launcher: slurm\n    extra: [--mem=4G, --output=/etc/motd]", "4:5",
     "pools.here.extra", "an option that Regatta does not set itself", "--output", "does not set itself"},
};

}  // namespace

std::span<const Mistake> cluster_mistakes() {
  return kMistakes;
}

}  // namespace regatta::test
