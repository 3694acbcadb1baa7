// Design note. A thread of its own runs Asio, because a watchdog must not stand in a connect. Rank 0 answers each
// report with its own host's, so that a connection has exactly one message in flight and every wait a deadline. Another
// host's speaker is whichever of its ranks is the first that lives: when that one is stopped, the next connects.
// Whoever sends anything but a message with the run's tag is cut off. Until its first such message a connection is a
// stranger's: it has as long as a host waits for an answer, and where there are too many the oldest goes, so that
// nobody keeps a host out by holding connections open. A host speaks as soon as it is connected.

#include "worker/post_link.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <sstream>
#include <thread>

#include "cluster/ask_hosts.hpp"
#include "common/error.hpp"
#include "common/ipv4.hpp"
#include "common/json.hpp"

namespace regatta {

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;
using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;

constexpr auto kEvery = 1s;
constexpr auto kConnectWithin = 1s;
constexpr auto kAnswerWithin = 2s;  // a host that swaps; longer, and another address is tried
constexpr auto kSilentWithin = 5s;  // between two messages of a host
constexpr std::size_t kMostAddresses = 16;

std::int64_t link_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

awaitable<void> pause(std::chrono::steady_clock::duration duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  co_await timer.async_wait(use_awaitable);
}

/// Throws at the deadline, and when the connection ends.
template <class Work>
awaitable<void> within(std::chrono::steady_clock::duration limit, Work work) {
  // `||` waits for a success: work that fails must end, too, or its failure would show at the deadline only.
  std::exception_ptr failure;
  const auto ended = [](Work inner, std::exception_ptr& why) -> awaitable<void> {
    try {
      co_await std::move(inner);
    } catch (...) {
      why = std::current_exception();
    }
  };
  const auto done = co_await (ended(std::move(work), failure) || pause(limit));
  if (done.index() == 1) throw CommError("no answer in time");
  if (failure) std::rethrow_exception(failure);
}

awaitable<void> read_message(tcp::socket& socket, std::string& head, std::string& body) {
  head.resize(kReportHead);
  co_await asio::async_read(socket, asio::buffer(head), use_awaitable);
  const auto size = body_size(head);
  if (!size) throw CommError("no message");
  body.resize(*size);
  co_await asio::async_read(socket, asio::buffer(body), use_awaitable);
}

awaitable<void> write_message(tcp::socket& socket, const std::string& message) {
  co_await asio::async_write(socket, asio::buffer(message), use_awaitable);
}

awaitable<void> connect(tcp::socket& socket, tcp::endpoint to) {
  co_await socket.async_connect(to, use_awaitable);
}

/// What both sides have: a thread, and a table of the hosts at the other side.
class Link : public PostLink {
 public:
  explicit Link(const SipKey& key) : key_(key) {}
  ~Link() override { end(); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  std::vector<FarHost> hosts() const override {
    const std::lock_guard lock(mutex_);
    return hosts_;
  }

 protected:
  void begin() {
    thread_ = std::thread([this] { context_.run(); });
  }
  /// Also by derived classes first: their coroutines use what is theirs.
  void end() {
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }
  void set_hosts(std::vector<FarHost> hosts) {
    const std::lock_guard lock(mutex_);
    hosts_ = std::move(hosts);
    for (FarHost& host : hosts_) host.heard_at = link_now();
  }
  /// False for a message of somebody else.
  bool take(const std::string& head, const std::string& body) {
    const auto report = decode(head, body, key_, link_now());
    if (!report) return false;
    const std::lock_guard lock(mutex_);
    return hear(hosts_, *report, link_now());
  }

  asio::io_context context_{1};
  const SipKey key_;

 private:
  mutable std::mutex mutex_;  // guards the table
  std::vector<FarHost> hosts_;
  std::thread thread_;
};

class Listener final : public Link {
 public:
  Listener(PostLinkPlan& plan, Report report)
      : Link(plan.key = new_sip_key()),
        acceptor_(context_),
        report_(std::move(report)),
        most_strangers_(2 * plan.hosts.size() + 16) {
    try {
      acceptor_ = tcp::acceptor(context_, {tcp::v4(), 0});
      plan.port = acceptor_.local_endpoint().port();
    } catch (const boost::system::system_error& error) {
      throw CommError(std::string("cannot listen for the posts of other hosts: ") + error.what());
    }
    plan.addresses = addresses_to_offer();
    set_hosts({plan.hosts.begin() + 1, plan.hosts.end()});
    asio::co_spawn(context_, accept(), asio::detached);
    begin();
  }
  ~Listener() override { end(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

 private:
  awaitable<void> accept() {
    for (;;) {
      boost::system::error_code error;
      tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(use_awaitable, error));
      if (error) {
        co_await pause(kEvery);  // no descriptors left, for one
      } else {
        if (strangers_.size() == most_strangers_) {
          boost::system::error_code closed;
          strangers_.front()->close(closed);  // ends its serve()
          strangers_.pop_front();
        }
        strangers_.push_back(std::make_shared<tcp::socket>(std::move(socket)));
        asio::co_spawn(context_, serve(strangers_.back()), asio::detached);
      }
    }
  }

  awaitable<void> serve(std::shared_ptr<tcp::socket> socket) {
    std::string head, body;
    try {
      for (auto limit = kAnswerWithin;; limit = kSilentWithin) {
        co_await within(limit, read_message(*socket, head, body));
        if (!take(head, body)) break;
        std::erase(strangers_, socket);
        const std::string answer = encode(report_(), key_, link_now());
        co_await within(kAnswerWithin, write_message(*socket, answer));
      }
    } catch (const std::exception&) {  // gone, or silent
    }
    std::erase(strangers_, socket);
  }

  tcp::acceptor acceptor_;
  const Report report_;
  const std::size_t most_strangers_;
  std::deque<std::shared_ptr<tcp::socket>> strangers_;  // that have not said a word of ours, the oldest first
};

class Speaker final : public Link {
 public:
  Speaker(const PostLinkPlan& plan, Report report, Speaks speaks)
      : Link(plan.key), plan_(plan), report_(std::move(report)), speaks_(std::move(speaks)) {
    set_hosts({plan.hosts.front()});
    asio::co_spawn(context_, speak(), asio::detached);
    begin();
  }
  ~Speaker() override { end(); }
  Speaker(const Speaker&) = delete;
  Speaker& operator=(const Speaker&) = delete;

 private:
  awaitable<void> speak() {
    std::size_t next = 0;
    for (;;) {
      if (speaks_()) {
        bool answered = false;
        try {
          co_await talk(plan_.addresses[next % plan_.addresses.size()], answered);
        } catch (const std::exception&) {
          if (!answered) ++next;  // else it is the right one, and busy
        }
      }
      co_await pause(kEvery);
    }
  }

  /// Until the connection is lost, or another rank speaks.
  awaitable<void> talk(const std::string& address, bool& answered) {
    tcp::socket socket(context_);
    co_await within(kConnectWithin, connect(socket, {asio::ip::make_address(address), plan_.port}));
    socket.set_option(tcp::no_delay(true));
    std::string head, body;
    while (speaks_()) {
      const std::string message = encode(report_(), key_, link_now());
      co_await within(kAnswerWithin, write_message(socket, message));
      co_await within(kAnswerWithin, read_message(socket, head, body));
      if (!take(head, body)) throw CommError("this is not rank 0");
      answered = true;
      co_await pause(kEvery);
    }
  }

  const PostLinkPlan plan_;
  const Report report_;
  const Speaks speaks_;
};

/// "eth0,10.99.0.0/24" as words.
std::vector<std::string> words_of(const char* list) {
  std::vector<std::string> words;
  std::istringstream text(list == nullptr ? "" : list);
  for (std::string word; std::getline(text, word, ',');) words.push_back(word);
  return words;
}

}  // namespace

std::vector<std::string> addresses_to_offer() {
  const std::vector<std::string> wanted = words_of(std::getenv("OMPI_MCA_btl_tcp_if_include"));
  std::vector<std::string> told, others, loopback;
  for (const HostAddress& own : own_addresses()) {
    const std::string address = own.network.substr(0, own.network.find('/'));
    const bool is_told = std::any_of(wanted.begin(), wanted.end(), [&](const std::string& word) {
      const auto network = parse_ipv4_network(word);
      return word == own.interface || (network && network->holds(parse_ipv4_address(address).value()));
    });
    auto& group = is_told ? told : address.starts_with("127.") ? loopback : others;
    if (group.size() < kMostAddresses) group.push_back(address);
  }
  told.insert(told.end(), others.begin(), others.end());
  told.insert(told.end(), loopback.begin(), loopback.end());
  return told.empty() ? std::vector<std::string>{"127.0.0.1"} : told;
}

std::string encode(const PostLinkPlan& plan) {
  Json hosts = Json::array();
  for (const FarHost& host : plan.hosts) hosts.push_back({{"name", host.name}, {"first_rank", host.first_rank}});
  return Json{{"addresses", plan.addresses}, {"port", plan.port}, {"key", to_hex(plan.key)}, {"hosts", hosts}}.dump();
}

PostLinkPlan post_link_plan_from(const std::string& text) {
  const Json json = parse_json(text, "rank 0's link");
  PostLinkPlan plan{.addresses = json_get<std::vector<std::string>>(json, "addresses"),
                    .port = json_get<std::uint16_t>(json, "port"),
                    .key = sip_key_from_hex(json_get<std::string>(json, "key"))};
  for (const Json& host : json_at(json, "hosts"))
    plan.hosts.push_back(
        {.name = json_get<std::string>(host, "name"), .first_rank = json_get<int>(host, "first_rank")});
  return plan;
}

std::unique_ptr<PostLink> PostLink::listen(PostLinkPlan& plan, Report report) {
  return std::make_unique<Listener>(plan, std::move(report));
}

std::unique_ptr<PostLink> PostLink::to_rank_zero(const PostLinkPlan& plan, Report report, Speaks speaks) {
  return std::make_unique<Speaker>(plan, std::move(report), std::move(speaks));
}

}  // namespace regatta
