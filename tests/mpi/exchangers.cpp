#include "tests/mpi/exchangers.hpp"

#include <ostream>

#include "tests/mpi/world.hpp"
#include "worker/device_exchanger.hpp"
#include "worker/optimizer.hpp"

namespace regatta::test {

void PrintTo(const ExchangeWay& way, std::ostream* out) {
  *out << way.name;
}

MadeExchanger make_exchanger(const ExchangeWay& way, ExchangerParts parts, const OptimizerSpec& rule) {
  MadeExchanger made;
  if (way.device) {
    made.device = std::make_unique<LateDevice>(host_sums(), *way.device);
    auto optimizer = make_optimizer(rule, parts.parameters);
    made.exchanger = make_device_exchanger(std::move(parts), std::move(optimizer), *made.device, way.wire);
  } else if (way.mpi) {
    auto optimizer = make_optimizer(rule, parts.parameters);
    made.exchanger = make_mpi_exchanger(std::move(parts), std::move(optimizer));
  } else {
    NodeOptions options = way.node;
    options.numa_domain = way.two_domains ? world().ranks.rank() % 2 : 0;
    made.exchanger = make_node_exchanger(std::move(parts), rule, options);
  }
  return made;
}

StepOutcome finish_and_settle(Exchanger& exchanger, const StepVotes& votes) {
  const auto found = exchanger.finish_step(votes), late = exchanger.settle();
  return late ? *late : found.value();
}

HostSums& host_sums() {
  static HostSums sums(world().ranks);
  return sums;
}

}  // namespace regatta::test
