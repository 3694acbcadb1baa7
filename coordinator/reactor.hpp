#pragma once
// The one place where `regatta run` waits: signals and the link meet here, on the main thread. Handlers only count.

#include <memory>

#include "common/time.hpp"

namespace boost::asio {
class io_context;
}

namespace regatta {

/// Takes over SIGINT, SIGTERM and SIGHUP from construction to destruction; one object a process. SIGCHLD only wakes.
class Reactor {
 public:
  Reactor();
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  /// Runs what is ready; waits for something to happen, at most so long.
  void wait(Duration at_most);
  /// How often somebody asked this process to end.
  int interrupts() const;
  boost::asio::io_context& context();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace regatta
