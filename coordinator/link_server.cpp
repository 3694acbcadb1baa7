#include "coordinator/link_server.hpp"

#include <fmt/ranges.h>
#include <sys/random.h>

#include <array>
#include <boost/asio/buffers_iterator.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <cerrno>
#include <chrono>
#include <set>

#include "common/error.hpp"
#include "common/json.hpp"

namespace regatta {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kHelloDeadline = std::chrono::seconds(5);       // a worker says it right after connecting
constexpr auto kAcceptPause = std::chrono::milliseconds(500);  // out of descriptors, say: at once it fails again
constexpr std::size_t kPendingLimit = 8;                       // strangers who may be on the line at once

std::string random_token() {
  std::array<unsigned char, 32> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw CommError("getrandom: " + errno_text(errno));
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

}  // namespace

bool equal_in_constant_time(const std::string& a, const std::string& b) {
  if (a.size() != b.size()) return false;  // the length is no secret
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

namespace {

/// One caller, from accept to close.
struct Session {
  explicit Session(tcp::socket accepted)
      : socket(std::move(accepted)), hello_timer(socket.get_executor(), kHelloDeadline), buffer(kLinkLineLimit + 1) {}
  void close() {
    error_code ignored;
    hello_timer.cancel();
    socket.close(ignored);
  }

  tcp::socket socket;
  asio::steady_timer hello_timer;
  asio::streambuf buffer;  // its bound makes read_until fail on a line that never ends
  bool trusted = false;
};

}  // namespace

// Handlers hold the Impl weakly: whatever is still queued when the server goes finds nothing and ends.
struct LinkServer::Impl : std::enable_shared_from_this<LinkServer::Impl> {
  Impl(asio::io_context& context, RunId run_id, int attempt_number, OnMessage callback)
      : run(std::move(run_id)),
        attempt(attempt_number),
        on_message(std::move(callback)),
        acceptor(context),
        pause(context) {}

  void listen() {
    const tcp::endpoint loopback(asio::ip::address_v4::loopback(), 0);
    try {
      acceptor.open(loopback.protocol());
      acceptor.bind(loopback);
      acceptor.listen();
    } catch (const boost::system::system_error& error) {
      throw CommError(std::string("link: cannot listen on 127.0.0.1: ") + error.what());
    }
    accept_next();
  }

  void accept_next() {
    acceptor.async_accept([weak = weak_from_this()](const error_code& error, tcp::socket socket) {
      const auto self = weak.lock();
      if (!self || error == asio::error::operation_aborted) return;
      if (error) return self->accept_later();
      if (!self->trusted_caller() && self->sessions.size() < kPendingLimit)
        self->open(std::make_shared<Session>(std::move(socket)));
      self->accept_next();
    });
  }

  void accept_later() {
    pause.expires_after(kAcceptPause);
    pause.async_wait([weak = weak_from_this()](const error_code& error) {
      const auto self = weak.lock();
      if (self && !error) self->accept_next();
    });
  }

  void open(const std::shared_ptr<Session>& session) {
    sessions.insert(session);
    session->hello_timer.async_wait([weak = weak_from_this(), session](const error_code& error) {
      const auto self = weak.lock();
      if (self && !error && !session->trusted) self->drop(session);
    });
    read_next(session);
  }

  void read_next(const std::shared_ptr<Session>& session) {
    asio::async_read_until(session->socket, session->buffer, '\n',
                           [weak = weak_from_this(), session](const error_code& error, std::size_t length) {
                             const auto self = weak.lock();
                             if (!self) return;
                             if (error || !self->hear(*session, length)) return self->drop(session);
                             self->read_next(session);
                           });
  }

  /// One line; false ends the call.
  bool hear(Session& session, std::size_t length) {
    std::string line(asio::buffers_begin(session.buffer.data()),
                     asio::buffers_begin(session.buffer.data()) + static_cast<std::ptrdiff_t>(length) - 1);
    session.buffer.consume(length);
    try {
      const LinkMessage message = decode(line);
      const auto* hello = std::get_if<LinkHello>(&message);
      if (session.trusted != (hello == nullptr)) return false;  // a second hello, or no hello first
      if (hello == nullptr) {
        on_message(message);
        return true;
      }
      // The token is compared before anything else is, and a second caller is not heard.
      if (!equal_in_constant_time(hello->token, token) || hello->run_id != run || hello->attempt != attempt)
        return false;
      if (trusted_caller()) return false;
      session.trusted = true;
      session.hello_timer.cancel();
      return true;
    } catch (const CommError&) {
      return false;
    }
  }

  void drop(const std::shared_ptr<Session>& session) {
    session->close();
    sessions.erase(session);
  }

  bool trusted_caller() const {
    for (const auto& session : sessions)
      if (session->trusted) return true;
    return false;
  }

  void shut() {
    error_code ignored;
    acceptor.close(ignored);
    pause.cancel();
    for (const auto& session : sessions) session->close();
  }

  RunId run;
  int attempt;
  std::string token = random_token();
  OnMessage on_message;
  tcp::acceptor acceptor;
  asio::steady_timer pause;  // between a failed accept and the next one
  std::set<std::shared_ptr<Session>> sessions;
};

LinkServer::LinkServer(asio::io_context& context, RunId run, int attempt, OnMessage on_message)
    : impl_(std::make_shared<Impl>(context, std::move(run), attempt, std::move(on_message))) {
  impl_->listen();
}

LinkServer::~LinkServer() {
  impl_->shut();
}

unsigned short LinkServer::port() const {
  return impl_->acceptor.local_endpoint().port();
}

const std::string& LinkServer::token() const {
  return impl_->token;
}

std::string LinkServer::file_text() const {
  return Json{{"port", port()}, {"token", token()}}.dump() + "\n";
}

}  // namespace regatta
