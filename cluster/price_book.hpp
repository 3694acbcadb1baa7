#pragma once
// The price book: list prices with their source and date. prices.yaml is compiled in; $REGATTA_PRICES names another.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/price.hpp"

namespace regatta {

struct Instance {
  std::string provider, name;
  int vcpus = 0;
  double memory_gib = 0;
  std::string accelerator;  ///< "H100"; empty for none
  int accelerators = 0;
  Price price;
};

struct PriceBook {
  std::vector<Instance> instances;
  /// Null when there is none.
  const Instance* find(const std::string& name) const;
};

/// The text of prices.yaml, as it was at build time.
extern const char* const kCompiledPrices;

/// Throws ConfigError with every finding.
PriceBook read_price_book(const std::string& text, const std::string& name);
/// $REGATTA_PRICES if set, else the one compiled in.
PriceBook load_price_book();

/// For a pool without a price: the accelerator-free instance nearest by vCPUs (ties: the cheaper), kind `assumed`,
/// billed by slot. Throws ConfigError for an empty book.
Price assumed_price(const PriceBook& book, int cores);

/// The same for a node of `gpus` GPUs: the cheapest a GPU among the instances whose accelerator `name`, as the driver
/// has it ("NVIDIA H200"), contains, else among all; its share for so many. Throws ConfigError for a book without.
Price assumed_gpu_price(const PriceBook& book, const std::string& name, int gpus);

}  // namespace regatta
