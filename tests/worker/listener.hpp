#pragma once
// A coordinator's end of the link, in plain sockets.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace regatta::test {

/// Accepts one connection; reads only when asked, and then waits for a whole line.
class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(socket_, any, size), 0);
    EXPECT_EQ(::listen(socket_, 1), 0);
    EXPECT_EQ(::getsockname(socket_, any, &size), 0);
    port = ntohs(address.sin_port);
  }
  ~Listener() {
    if (connection_ >= 0) ::close(connection_);
    ::close(socket_);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  std::string read_line() {
    if (connection_ < 0) connection_ = ::accept(socket_, nullptr, nullptr);
    std::string line;
    for (char letter = 0; ::read(connection_, &letter, 1) == 1 && letter != '\n';) line += letter;
    return line;
  }
  int port = 0;

 private:
  int socket_, connection_ = -1;
};

}  // namespace regatta::test
