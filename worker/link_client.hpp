#pragma once
// Rank 0's end of the link (common/link.hpp): the quick notice to the coordinator. Training never waits for it.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "common/link.hpp"

namespace regatta {

/// Rank 0 only, one thread at a time. Never throws after it is made: a lost link is one line to `log`, and the journal
/// stays the truth.
class LinkClient {
 public:
  using Log = std::function<void(const std::string&)>;

  /// Connects when `attempt_dir`/link.json exists, within half a second; says hello.
  /// A missing file means that nobody listens, which is no event.
  LinkClient(const std::filesystem::path& attempt_dir, const RunId& run, int attempt, Log log);
  ~LinkClient();
  LinkClient(const LinkClient&) = delete;
  LinkClient& operator=(const LinkClient&) = delete;

  /// Hands the message to the socket without blocking. While the other side does not read, progress is dropped and
  /// notices queue up, to a megabyte; then the link counts as lost.
  void send(const LinkMessage& message);
  bool connected() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace regatta
