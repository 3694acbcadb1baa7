#include "worker/link_client.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"

namespace regatta {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto kConnectWithin = std::chrono::milliseconds(500);  // loopback answers in microseconds, or nobody listens
constexpr std::size_t kQueueLimit = 1 << 20;

struct Address {
  std::uint16_t port = 0;
  std::string token;
};

std::optional<Address> read_address(const fs::path& file) {
  if (!fs::exists(file)) return {};
  const Json json = parse_json(read_file(file, kLinkLineLimit), file.string());
  return Address{json_get<std::uint16_t>(json, "port"), json_get<std::string>(json, "token")};
}

}  // namespace

struct LinkClient::Impl {
  Log log;
  asio::io_context context;
  tcp::socket socket{context};
  std::string queue;  // bytes the socket has not taken yet, whole lines but for the first

  void connect(std::uint16_t port);
  void flush();
  void lose(const std::string& why);
};

void LinkClient::Impl::connect(std::uint16_t port) {
  boost::system::error_code result = asio::error::timed_out;
  socket.async_connect({asio::ip::address_v4::loopback(), port}, [&](const auto& error) { result = error; });
  context.run_for(kConnectWithin);
  if (result) throw CommError("cannot connect to 127.0.0.1:" + std::to_string(port) + ": " + result.message());
  socket.non_blocking(true);
  socket.set_option(tcp::no_delay(true));
}

void LinkClient::Impl::flush() {
  boost::system::error_code error;
  while (!queue.empty() && !error) queue.erase(0, socket.write_some(asio::buffer(queue), error));
  if (error && error != asio::error::would_block) lose(error.message());
  if (queue.size() > kQueueLimit) lose("the coordinator does not read");
}

void LinkClient::Impl::lose(const std::string& why) {
  boost::system::error_code ignored;
  socket.close(ignored);
  queue.clear();
  log("the link to the coordinator is lost (" + why + "); the journal goes on");
}

LinkClient::LinkClient(const fs::path& attempt_dir, const RunId& run, int attempt, Log log)
    : impl_(std::make_unique<Impl>()) {
  impl_->log = std::move(log);
  try {
    const auto address = read_address(attempt_dir / "link.json");
    if (!address) return;
    impl_->connect(address->port);
    send(LinkHello{address->token, run, attempt});
  } catch (const std::exception& error) {
    impl_->lose(error.what());
  }
}

LinkClient::~LinkClient() = default;

bool LinkClient::connected() const {
  return impl_->socket.is_open();
}

void LinkClient::send(const LinkMessage& message) {
  if (!connected()) return;
  if (std::holds_alternative<Progress>(message) && !impl_->queue.empty()) {
    impl_->flush();
    if (!impl_->queue.empty()) return;
  }
  impl_->queue += encode(message) + "\n";
  impl_->flush();
}

}  // namespace regatta
