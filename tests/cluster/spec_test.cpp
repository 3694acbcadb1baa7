#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/spec.hpp"
#include "common/files.hpp"
#include "tests/support/config_mistakes.hpp"

namespace regatta::test {
namespace {

ClusterSpec read(const std::string& text) {
  return read_cluster_text(text, "cluster.yaml", "/etc/regatta");
}

TEST(ClusterReader, ReadsEveryKey) {
  const ClusterSpec cluster = read(R"(pools:
  here: {cores_per_node: 2, oversubscribe: true, power: {idle_w: 60, busy_w: 220, source: vendor TDP}}
  rack: {launcher: ssh, nodes: 2, cores_per_node: 16, gpus_per_node: 4, hosts: [n1, n2], ssh_config: ssh.conf, interface: eth1,
         price: {usd_per_node_hour: 2.142, market: spot, region: eu, source: list, date: 2025-07-01}}
  batch: {launcher: slurm, nodes: 3, cores_per_node: 64, partition: p, account: a, qos: q, constraint: c, time: "01:00:00",
          extra: [--contiguous], gres: "gpu:2", queue_timeout: 2h}
)");
  ASSERT_EQ(cluster.pools.size(), 3U);
  const PoolSpec& here = *cluster.find("here");
  const PoolSpec& rack = *cluster.find("rack");
  const PoolSpec& batch = *cluster.find("batch");
  EXPECT_EQ(cluster.find("nowhere"), nullptr);
  EXPECT_EQ(here.launcher, LauncherKind::kLocal);
  EXPECT_EQ(here.cores_per_node, 2);
  EXPECT_TRUE(here.oversubscribe);
  EXPECT_EQ(here.power->busy_w, 220);
  EXPECT_EQ(rack.nodes, 2);
  EXPECT_EQ(rack.gpus_per_node, 4);
  EXPECT_THAT(rack.hosts, testing::ElementsAre("n1", "n2"));
  EXPECT_EQ(rack.ssh_config, "/etc/regatta/ssh.conf");
  EXPECT_EQ(rack.interface, "eth1");
  EXPECT_EQ(*rack.price, (Price{.usd_per_node_hour = {2'142'000'000},
                                .billing = Billing::kNode,
                                .market = Market::kSpot,
                                .region = "eu",
                                .source = "list",
                                .date = "2025-07-01"}));
  EXPECT_EQ(batch.launcher, LauncherKind::kSlurm);
  EXPECT_EQ(batch.partition + batch.account + batch.qos + batch.constraint + batch.time, "paqc01:00:00");
  EXPECT_THAT(batch.extra, testing::ElementsAre("--contiguous"));
  EXPECT_EQ(batch.gres, "gpu:2");
  EXPECT_EQ(batch.queue_timeout_s, 7200);
  EXPECT_EQ(cluster.source.at.at("pools.rack.nodes"), std::pair(3, 25));
}

TEST(ClusterReader, BillsSlotsHereAndNodesElsewhereUnlessSaid) {
  const ClusterSpec cluster = read(R"(pools:
  here: {price: {usd_per_node_hour: 1}}
  there: {price: {usd_per_node_hour: 1}}
  third: {price: {usd_per_node_hour: 1, billing: slot}}
)");
  EXPECT_EQ(cluster.find("here")->price->billing, Billing::kSlot);
  EXPECT_EQ(cluster.find("there")->price->billing, Billing::kNode);
  EXPECT_EQ(cluster.find("third")->price->billing, Billing::kSlot);
  EXPECT_EQ(cluster.find("there")->price->source, "cluster.yaml:3") << "a price without a source cites its own line";
}

TEST(ClusterReader, NoFileMeansThisMachine) {
  const ClusterSpec cluster = default_cluster();
  ASSERT_EQ(cluster.pools.size(), 1U);
  EXPECT_EQ(cluster.pools[0].name, "here");
  EXPECT_FALSE(cluster.pools[0].price);
  EXPECT_FALSE(cluster.pools[0].cores_per_node);
}

// By hand: 8760 USD over 2 years of 8760 h at half use is 1 USD an hour; 500 W at 0.2 USD/kWh is 0.1 USD an hour.
TEST(OwnedPrice, IsHardwareOverUsedHoursPlusElectricity) {
  const Price price = owned_price({.node_usd = {8'760'000'000'000},
                                   .lifetime_years = 2,
                                   .utilisation = 0.5,
                                   .watts = 500,
                                   .usd_per_kwh = {200'000'000}});
  EXPECT_EQ(to_decimal(price.usd_per_node_hour), "1.1");
  EXPECT_EQ(price.market, Market::kOwned);
  EXPECT_EQ(price.kind, FigureKind::kEstimated);
  const ClusterSpec cluster = read(
      "pools: {here: {price: {node_usd: 8760, lifetime_years: 2, utilisation: 0.5, "
      "watts: 500, usd_per_kwh: 0.2, billing: node}}}");
  EXPECT_EQ(cluster.pools[0].price->usd_per_node_hour, price.usd_per_node_hour);
  EXPECT_EQ(cluster.pools[0].price->billing, Billing::kNode);
  EXPECT_EQ(cluster.pools[0].price->source, price.source);
}

TEST(OwnedPrice, BeyondTheBillsArithmeticIsRefused) {
  EXPECT_THROW(read("pools: {here: {price: {node_usd: 99999999, lifetime_years: 0.1, utilisation: 0.001, watts: 0, "
                    "usd_per_kwh: 0}}}"),
               ConfigError);
}

TEST(ClusterReader, TheExampleHasNoFinding) {
  const ClusterSpec cluster = read_cluster_file(fs::path(REGATTA_SOURCE_DIR) / "jobs/examples/cluster.yaml");
  EXPECT_EQ(to_decimal(cluster.find("here")->price->usd_per_node_hour), "0.08925");
  EXPECT_EQ(cluster.find("here")->cores_per_node, 2);
}

}  // namespace
}  // namespace regatta::test
