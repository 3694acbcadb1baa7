#pragma once
// The coordinator's end of the link (common/link.hpp has the grammar): one listener on loopback an attempt. It trusts
// nobody: a caller has seconds to say the token, lines are bounded, one caller is heard, and a wrong word ends the
// call. Losing it loses nothing, because the journal is the truth.

#include <functional>
#include <memory>
#include <string>

#include "common/link.hpp"

namespace boost::asio {
class io_context;
}

namespace regatta {

/// Lives on the context's thread. The callback runs inside the context and must not destroy the server.
class LinkServer {
 public:
  using OnMessage = std::function<void(const LinkMessage&)>;  ///< JournalNotice or Progress

  /// Listens on 127.0.0.1 at a free port. Throws CommError when there is none.
  LinkServer(boost::asio::io_context& context, RunId run, int attempt, OnMessage on_message);
  ~LinkServer();
  LinkServer(const LinkServer&) = delete;
  LinkServer& operator=(const LinkServer&) = delete;

  unsigned short port() const;
  const std::string& token() const;
  /// The content of link.json.
  std::string file_text() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// True when both are equal; takes the same time wherever they differ.
bool equal_in_constant_time(const std::string& a, const std::string& b);

}  // namespace regatta
