#include "cluster/price_book.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <tuple>

#include "cluster/spec_words.hpp"
#include "common/yaml_reader.hpp"

namespace regatta {

namespace {

void read_instance(YamlMap& map, Instance& instance) {
  map.text("provider", instance.provider).required("write provider: AWS, for example");
  map.text("name", instance.name).required("write name: c7i.large, for example");
  map.integer("vcpus", instance.vcpus).required("write vcpus: 2, for example").at_least(1).at_most(65'536);
  map.number("memory_gib", instance.memory_gib).required("write memory_gib: 4, for example").above(0);
  map.text("accelerator", instance.accelerator);
  const bool accelerated = map.written("accelerator");
  YamlField accelerators = map.integer("accelerators", instance.accelerators)
                               .at_least(accelerated ? 1 : 0)
                               .at_most(1'024)
                               .only(accelerated, "accelerator: NAME");
  if (accelerated) accelerators.required("write accelerators: 8, for example: how many of them it has");
  map.usd("usd_per_hour", instance.price.usd_per_node_hour)
      .required("write usd_per_hour: 0.08925, for example")
      .at_least(0)
      .at_most(kMostUsd);
  map.word("market", "market", instance.price.market, kMarkets);
  map.text("region", instance.price.region);
  map.text("source", instance.price.source);
  map.text("date", instance.price.date);
}

}  // namespace

const Instance* PriceBook::find(const std::string& name) const {
  const auto found =
      std::find_if(instances.begin(), instances.end(), [&](const Instance& instance) { return instance.name == name; });
  return found == instances.end() ? nullptr : &*found;
}

PriceBook read_price_book(const std::string& text, const std::string& name) {
  YamlFile file = parse_yaml(text, name);
  PriceBook book;
  read_map(file, [&](YamlMap& root) {
    Price common;
    root.text("source", common.source).required("write source: who says so");
    root.text("date", common.date).required("write date: 2025-07-01, or as much of it as is known");
    root.list("instances",
              [&](YamlMap& map, std::size_t i) {
                Instance& instance = book.instances.emplace_back();
                instance.price = common;
                read_instance(map, instance);
                if (!instance.name.empty() && book.find(instance.name) != &instance)
                  file.findings.add(fmt::format("instances[{}].name", i),
                                    "instance listed twice (expected unique names, found \"" + instance.name + "\")",
                                    "remove one of the two");
                instance.price.source =
                    fmt::format("{} {}; {}", instance.provider, instance.name, instance.price.source);
              })
        .required("write instances: [{provider: AWS, name: c7i.large, ...}]");
  });
  file.findings.throw_if_any();
  return book;
}

PriceBook load_price_book() {
  if (const char* path = std::getenv("REGATTA_PRICES"); path != nullptr && *path != '\0')
    return read_price_book(read_yaml_file(path, "price book ($REGATTA_PRICES)"), path);
  return read_price_book(kCompiledPrices, "prices.yaml (compiled in)");
}

Price assumed_price(const PriceBook& book, int cores) {
  const Instance* best = nullptr;
  const auto distance = [&](const Instance& instance) {
    return std::tuple(std::abs(instance.vcpus - cores), instance.price.usd_per_node_hour);
  };
  for (const Instance& instance : book.instances)
    if (instance.accelerator.empty() && (best == nullptr || distance(instance) < distance(*best))) best = &instance;
  if (best == nullptr)
    throw ConfigError("the price book has no instance without accelerators; name another in $REGATTA_PRICES");
  Price price = best->price;
  price.source = fmt::format("assumed, nearest to {} cores with {} vCPUs: {}", cores, best->vcpus, price.source);
  price.billing = Billing::kSlot;
  price.kind = FigureKind::kAssumed;
  return price;
}

Price assumed_gpu_price(const PriceBook& book, const std::string& name, int gpus) {
  const Instance* best = nullptr;
  const auto rank = [&](const Instance& instance) {
    return std::tuple(name.find(instance.accelerator) == std::string::npos,
                      instance.price.usd_per_node_hour.nano / instance.accelerators);
  };
  for (const Instance& instance : book.instances)
    if (!instance.accelerator.empty() && (best == nullptr || rank(instance) < rank(*best))) best = &instance;
  if (best == nullptr)
    throw ConfigError("the price book has no instance with accelerators; name another in $REGATTA_PRICES");
  Price price = best->price;
  price.usd_per_node_hour.nano = best->price.usd_per_node_hour.nano / best->accelerators * gpus;
  price.source = fmt::format("assumed, {} GPU{} by the price of {} {}: {}", gpus, gpus == 1 ? "" : "s",
                             best->accelerators, best->accelerator, price.source);
  price.billing = Billing::kSlot;
  price.kind = FigureKind::kAssumed;
  return price;
}

}  // namespace regatta
