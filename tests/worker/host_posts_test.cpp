// What hosts tell each other of their ranks: the words, the messages, and the link, with hosts that are pretended.
#include "worker/host_posts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <barrier>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "tests/support/process.hpp"
#include "worker/post_link.hpp"
#include "worker/rank_context.hpp"
#include "worker/watchdog.hpp"

namespace regatta {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kSecond = 1'000'000'000, kNow = 1000 * kSecond;
constexpr SipKey kKey{1, 2};

/// Ranks 4 and 5 of a host; the first waits.
void fill(std::array<Post, 2>& posts) {
  for (int i = 0; i < 2; ++i) {
    posts[i].rank = 4 + i;
    posts[i].pid = 100 + i;
    posts[i].step = 7;
    posts[i].bucket = i;
    posts[i].posted_at = kNow - 2 * kSecond;
    posts[i].alive_at = kNow - kSecond / 2;
    posts[i].phase.set("exchange");
    posts[i].wait.set("sum of gradients");
  }
  posts[0].waiting_since = kNow - kSecond;
}

struct Message {
  std::string head, body;
};
Message message_of(const std::string& text) {
  return {text.substr(0, kReportHead), text.substr(kReportHead)};
}

TEST(HostPosts, TravelWithAgesInsteadOfClocks) {
  std::array<Post, 2> posts;
  fill(posts);
  const Message sent = message_of(encode(report_of(posts.data(), 2, 4, kNow), kKey, kNow));
  EXPECT_EQ(body_size(sent.head), sent.body.size());
  const std::int64_t there = 5'000 * kSecond;  // another host's clock
  const auto read = decode(sent.head, sent.body, kKey, there);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->host, 4);
  EXPECT_EQ(read->stamp, kNow);
  ASSERT_EQ(read->ranks.size(), 2U);
  EXPECT_EQ(read->ranks[0].rank, 4);
  EXPECT_EQ(read->ranks[0].step, 7);
  EXPECT_EQ(read->ranks[1].bucket, 1);
  EXPECT_EQ(read->ranks[0].posted_at, there - 2 * kSecond);
  EXPECT_EQ(read->ranks[0].waiting_since, there - kSecond);
  EXPECT_EQ(read->ranks[1].waiting_since, 0) << "it does not wait";
  EXPECT_EQ(read->ranks[1].wait, "sum of gradients");
}

TEST(HostPosts, AreBelievedFromTheKeysOwnerAlone) {
  std::array<Post, 2> posts;
  fill(posts);
  const Message sent = message_of(encode(report_of(posts.data(), 2, 4, kNow), kKey, kNow));
  EXPECT_FALSE(decode(sent.head, sent.body, {1, 3}, kNow));
  for (const std::size_t at : {std::size_t{0}, sent.body.size() / 2, sent.body.size() - 1}) {
    std::string body = sent.body;
    body[at] ^= 1;
    EXPECT_FALSE(decode(sent.head, body, kKey, kNow));
  }
  EXPECT_FALSE(body_size(std::string("\xff\xff\xff\xff") + std::string(8, 'x'))) << "no buffer of 4 GB for a stranger";
  EXPECT_FALSE(body_size(std::string(kReportHead, '\0')));
}

std::vector<FarHost> two_hosts() {
  std::vector<FarHost> hosts = {{.name = "n2", .first_rank = 4, .heard_at = kNow},
                                {.name = "n3", .first_rank = 6, .heard_at = kNow - 11 * kSecond}};
  return hosts;
}

TEST(HostPosts, ThatComeTwiceOrFromNobodyAreNotHeard) {
  std::vector<FarHost> hosts = two_hosts();
  std::array<Post, 2> posts;
  fill(posts);
  const HostReport report = report_of(posts.data(), 2, 4, kNow);
  EXPECT_TRUE(hear(hosts, report, kNow + 1));
  EXPECT_EQ(hosts[0].heard_at, kNow + 1);
  EXPECT_FALSE(hear(hosts, report, kNow + 2)) << "the same again: somebody repeats it";
  EXPECT_EQ(hosts[0].heard_at, kNow + 1);
  EXPECT_FALSE(hear(hosts, report_of(posts.data(), 2, 5, kNow + 9), kNow + 9)) << "no host begins with rank 5";
}

TEST(HostPosts, NameTheRankThatDoesNotWaitAndTheHostThatIsSilent) {
  std::vector<FarHost> hosts = two_hosts();
  std::array<Post, 2> posts;
  fill(posts);
  ASSERT_TRUE(hear(hosts, report_of(posts.data(), 2, 4, kNow), kNow));
  hosts[1].ranks = {{.rank = 6, .step = 8, .bucket = 2, .phase = "exchange"}};
  const std::string late = late_elsewhere(hosts, kNow);
  EXPECT_THAT(late, HasSubstr("rank 5 on n2 (process 101): step 7, bucket 1, exchange, for 2.0 s"));
  EXPECT_THAT(late, HasSubstr("no word from host n3 for 11 s (rank 6: step 8, bucket 2, exchange)"));
  EXPECT_THAT(late, Not(HasSubstr("rank 4"))) << "it waits, too";
  EXPECT_THAT(waiting_elsewhere(hosts), HasSubstr("rank 4 on n2: sum of gradients at step 7"));
}

TEST(HostPosts, NameARankThatWaitsButStandsStill) {
  std::vector<FarHost> hosts = {two_hosts()[0]};
  std::array<Post, 2> posts;
  fill(posts);
  posts[1].waiting_since = kNow;
  posts[0].alive_at = kNow - 5 * kSecond;
  ASSERT_TRUE(hear(hosts, report_of(posts.data(), 2, 4, kNow), kNow));
  EXPECT_THAT(late_elsewhere(hosts, kNow),
              AllOf(HasSubstr("rank 4 on n2 (process 100, stopped for 5.0 s)"), Not(HasSubstr("rank 5"))));
}

TEST(PostLink, OffersFirstWhatMpiWasToldToUse) {
  const char* const variable = "OMPI_MCA_btl_tcp_if_include";
  ASSERT_EQ(::setenv(variable, "no-such0,127.0.0.0/8", 1), 0);
  const auto told = addresses_to_offer();
  ASSERT_EQ(::setenv(variable, "127.0.0.0", 1), 0);
  const auto untold = addresses_to_offer();
  ::unsetenv(variable);
  EXPECT_THAT(told.front(), testing::StartsWith("127.")) << "by its network";
  EXPECT_THAT(untold.back(), testing::StartsWith("127.")) << "a bare address is no network, and loopback comes last";
}

/// Ranks that are threads of this process, each on a pretended host of its own.
class World {
 public:
  explicit World(int size) : size_(size), texts_(static_cast<std::size_t>(size)), all_(size) {}

  class Context final : public RankContext {
   public:
    Context(World& world, int rank) : world_(world), rank_(rank) {}
    int rank() const override { return rank_; }
    int world_size() const override { return world_.size_; }
    int local_rank() const override { return 0; }
    int local_size() const override { return 1; }
    void barrier() override { world_.all_.arrive_and_wait(); }
    void node_barrier() override {}
    void allreduce(std::span<double>, Reduce) override {}
    std::string broadcast(std::string text) override {
      if (rank_ == 0) world_.texts_[0] = text;
      barrier();
      std::string result = world_.texts_[0];
      barrier();
      return result;
    }
    std::vector<std::string> gather(std::string text) override {
      world_.texts_[static_cast<std::size_t>(rank_)] = text;
      barrier();
      const auto all = rank_ == 0 ? world_.texts_ : std::vector<std::string>();
      barrier();
      return all;
    }
    std::byte* node_shared(std::size_t) override { return nullptr; }
    void abandon() override {}

   private:
    World& world_;
    int rank_;
  };

 private:
  int size_;
  std::vector<std::string> texts_;
  std::barrier<> all_;
};

/// What a watchdog said; readable from the test's thread.
class Words {
 public:
  Watchdog::OnExpiry listener() {
    return [this](const std::string& message) {
      const std::lock_guard lock(mutex_);
      said_ = message;
    };
  }
  std::string said() const {
    const std::lock_guard lock(mutex_);
    return said_;
  }

 private:
  mutable std::mutex mutex_;
  std::string said_;
};

struct PretendedRank {
  Words words;
  std::unique_ptr<Watchdog> watchdog;
};

/// Watchdogs of rank 0 on n1, rank 1 on n2 and so on, which know each other.
std::vector<PretendedRank> pretended_ranks(int count, Duration deadline) {
  World world(count);
  std::vector<PretendedRank> ranks(static_cast<std::size_t>(count));
  std::vector<std::thread> starting;
  for (int rank = 0; rank < count; ++rank)
    starting.emplace_back([&, rank] {
      PretendedRank& one = ranks[static_cast<std::size_t>(rank)];
      one.watchdog = std::make_unique<Watchdog>(deadline, one.words.listener(), "n" + std::to_string(rank + 1));
      World::Context context(world, rank);
      EXPECT_EQ(one.watchdog->share_posts(context), "");
    });
  for (auto& thread : starting) thread.join();
  return ranks;
}

TEST(WatchdogAcrossHosts, NamesRankHostStepAndBucketOfWhoDoesNotArrive) {
  auto ranks = pretended_ranks(3, 6s);  // words come once a second
  ranks[0].watchdog->post(8, 2, "exchange");
  ranks[1].watchdog->post(8, 2, "exchange");
  ranks[2].watchdog->post(7, 3, "compute");
  const WatchedWait first(*ranks[0].watchdog, "sum of gradients"), second(*ranks[1].watchdog, "sum of gradients");
  ASSERT_TRUE(test::wait_until([&] { return !ranks[0].words.said().empty(); }, 30s));
  EXPECT_THAT(ranks[0].words.said(),
              AllOf(HasSubstr("rank 0 on n1 waited "), HasSubstr("in sum of gradients at step 8, bucket 2"),
                    HasSubstr("Not arrived: rank 2 on n3 (process "), HasSubstr("step 7, bucket 3, compute, for "),
                    Not(HasSubstr("n2"))));
  EXPECT_EQ(ranks[1].words.said(), "") << "rank 0 speaks, and has time to end the job";
}

TEST(WatchdogAcrossHosts, SaysWhichHostIsSilent) {
  auto ranks = pretended_ranks(3, 7s);
  for (auto& rank : ranks) rank.watchdog->post(5, 1, "exchange");
  const WatchedWait first(*ranks[0].watchdog, "sum of gradients"), second(*ranks[1].watchdog, "sum of gradients");
  ranks[2].watchdog->unshare_posts();  // as a host that is frozen, or cut
  ASSERT_TRUE(test::wait_until([&] { return !ranks[0].words.said().empty(); }, 30s));
  EXPECT_THAT(ranks[0].words.said(),
              AllOf(HasSubstr("Not arrived: no word from host n3 for "), HasSubstr("rank 2"), Not(HasSubstr("n2"))));
}

TEST(WatchdogAcrossHosts, TheOthersNameRankZerosHostWhenItIsSilent) {
  auto ranks = pretended_ranks(2, 6s);
  const WatchedWait wait(*ranks[1].watchdog, "barrier");
  ranks[0].watchdog->unshare_posts();
  ASSERT_TRUE(test::wait_until([&] { return !ranks[1].words.said().empty(); }, 30s));
  EXPECT_THAT(ranks[1].words.said(), HasSubstr("no word from host n1 for "));
}

TEST(PostLink, CutsStrangersOffAndStaysWithItsHosts) {
  namespace asio = boost::asio;
  using asio::ip::tcp;
  PostLinkPlan plan;
  plan.hosts = {{.name = "n1", .first_rank = 0}, {.name = "n2", .first_rank = 4}};
  std::array<Post, 2> posts;
  fill(posts);
  const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch().count(); };
  Post zero;
  const auto link = PostLink::listen(plan, [&] { return report_of(&zero, 1, 0, now()); });
  const auto plan_there = post_link_plan_from(encode(plan));
  EXPECT_EQ(plan_there.key, plan.key);
  EXPECT_EQ(plan_there.hosts.size(), 2U);

  asio::io_context context;
  const auto end_of = [&](const std::string& said) {
    tcp::socket socket(context);
    socket.connect({asio::ip::address_v4::loopback(), plan.port});
    asio::write(socket, asio::buffer(said));
    char answer = 0;
    boost::system::error_code error;
    asio::read(socket, asio::buffer(&answer, 1), error);
    return error;
  };
  const HostReport report = report_of(posts.data(), 2, 4, now());
  EXPECT_TRUE(end_of("GET / HTTP/1.1\r\nHost: a browser\r\n\r\n")) << "not an answer";
  EXPECT_TRUE(end_of(encode(report, {7, 7}, now()))) << "another run's key";
  EXPECT_TRUE(link->hosts().at(0).ranks.empty());
  EXPECT_FALSE(end_of(encode(report, plan.key, now()))) << "one of ours is answered";
  EXPECT_EQ(link->hosts().at(0).ranks.size(), 2U);
  EXPECT_TRUE(end_of(encode(report, plan.key, now()))) << "and a repetition is a stranger";
}

TEST(PostLink, LetsItsHostsInHoweverManyStrangersHoldConnections) {
  namespace asio = boost::asio;
  using asio::ip::tcp;
  PostLinkPlan plan;
  plan.hosts = {{.name = "n1", .first_rank = 0}, {.name = "n2", .first_rank = 4}};
  std::array<Post, 2> posts;
  fill(posts);
  const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch().count(); };
  Post zero;
  const auto link = PostLink::listen(plan, [&] { return report_of(&zero, 1, 0, now()); });

  asio::io_context context;
  const tcp::endpoint rank_zero(asio::ip::address_v4::loopback(), plan.port);
  const auto says = [&](tcp::socket& socket) {
    const std::string said = encode(report_of(posts.data(), 2, 4, now()), plan.key, now());
    boost::system::error_code error;
    asio::write(socket, asio::buffer(said), error);
    std::string head(kReportHead, '\0'), body;
    if (!error) asio::read(socket, asio::buffer(head), error);
    if (error) return false;
    body.resize(body_size(head).value_or(0));
    asio::read(socket, asio::buffer(body), error);
    return !error;
  };
  tcp::socket early(context);
  early.connect(rank_zero);
  EXPECT_TRUE(says(early));
  std::vector<tcp::socket> strangers;
  for (int i = 0; i < 200; ++i) {
    strangers.emplace_back(context).connect(rank_zero);
    // The head of a message whose body never comes holds a connection as long as can be.
    if (i % 2 == 1) asio::write(strangers.back(), asio::buffer(std::string("\0\0\1\0tagtagta", kReportHead)));
  }
  tcp::socket late(context);
  late.connect(rank_zero);
  EXPECT_TRUE(says(late)) << "a host that comes while strangers hold all they can get";
  EXPECT_TRUE(says(early)) << "one that was there before keeps its connection";
  EXPECT_EQ(link->hosts().at(0).ranks.size(), 2U);
  char nothing = 0;
  boost::system::error_code error;
  asio::read(strangers.front(), asio::buffer(&nothing, 1), error);
  EXPECT_TRUE(error) << "the oldest stranger was cut off";
}

}  // namespace
}  // namespace regatta
