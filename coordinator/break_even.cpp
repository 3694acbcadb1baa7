#include <cmath>

#include "coordinator/figures.hpp"
#include "coordinator/verdict.hpp"

namespace regatta {

namespace {

/// The lowest hourly price, up to the present one, at which `other` costs at least `limit` an epoch. The cost of an
/// epoch is rounded to the nano-dollar, so the boundary is searched for rather than divided out: it is then exactly the
/// price at which this comparison's own figures change places.
NanoUsd lowest_price(const MeasuredRow& other, double limit) {
  Price price = *other.row.price;
  std::int64_t low = 0, high = price.usd_per_node_hour.nano;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    price.usd_per_node_hour = {middle};
    if (epoch_cost(other, price).mean >= limit)
      high = middle;
    else
      low = middle + 1;
  }
  return {low};
}

}  // namespace

std::optional<BreakEven> break_even(const MeasuredRow& cheapest, const Ranking& cost) {
  for (const MeasuredRow* other : cost.order) {  // lowest cost first: the first of another pool is the nearest to it
    if (other->row.pool == cheapest.row.pool || !other->row.price) continue;
    const NanoUsd price = lowest_price(*other, cheapest.row.usd_per_epoch.mean);
    if (price.nano == 0) return {};  // free of charge is what it would take, and then they are equal
    return BreakEven{.pool = other->row.pool,
                     .usd_per_node_hour = price,
                     .sentence = cheapest.row.configuration + " stays cheapest until pool " + other->row.pool +
                                 " costs less than " + dollars(price) + " per node-hour"};
  }
  return {};
}

}  // namespace regatta
