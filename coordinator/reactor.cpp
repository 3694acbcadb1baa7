#include "coordinator/reactor.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>

namespace regatta {

namespace {
/// Whoever started this process with a signal ignored (nohup, a shell's `&`) wants it to stay so.
bool is_ignored(int number) {
  struct sigaction before {};
  return sigaction(number, nullptr, &before) == 0 && before.sa_handler == SIG_IGN;
}
}  // namespace

struct Reactor::Impl {
  Impl() {
    for (const int number : {SIGINT, SIGTERM, SIGHUP})
      if (!is_ignored(number)) signals.add(number);
  }

  boost::asio::io_context context;
  boost::asio::signal_set signals{context};
  boost::asio::signal_set children{context, SIGCHLD};
  int interrupts = 0;

  void count_next() {
    signals.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      ++interrupts;
      count_next();
    });
  }
  void wake_next() {
    children.async_wait([this](const boost::system::error_code& error, int) {
      if (!error) wake_next();
    });
  }
};

Reactor::Reactor() : impl_(std::make_unique<Impl>()) {
  impl_->count_next();
  impl_->wake_next();
}

Reactor::~Reactor() = default;

void Reactor::wait(Duration at_most) {
  impl_->context.restart();
  impl_->context.run_one_for(at_most);
  impl_->context.poll();  // run_one_for(0) looks at nothing
}

int Reactor::interrupts() const {
  return impl_->interrupts;
}

boost::asio::io_context& Reactor::context() {
  return impl_->context;
}

}  // namespace regatta
