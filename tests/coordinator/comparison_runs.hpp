#pragma once
// Finished runs with chosen epoch times, as the ledger's fold would give them.

#include <optional>
#include <string>
#include <vector>

#include "coordinator/comparison.hpp"
#include "coordinator/state.hpp"
#include "jobs/spec.hpp"

namespace regatta::test {

struct RunRecipe {
  std::string configuration = "one-core";
  std::string pool = "here";
  int repeat = 1, ranks = 1, threads = 1, nodes = 1, cores_per_node = 2;
  std::vector<double> walls{9, 6, 6, 6};  ///< seconds of each epoch, the first one warms up
  std::vector<double> early{2.31, 2.25, 2.2, 2.1};
  double accuracy = 0.98;
  std::optional<Price> price = stated_price("0.09");
  TrainingSpec training = training_of_four_epochs();
  RunStatus status = RunStatus::kDone;
  bool contended = false;
  std::string comparison = "01JAAAAAAAAAAAAAAAAAAAAAAA";

  static Price stated_price(const std::string& usd, Billing billing = Billing::kSlot);
  static TrainingSpec training_of_four_epochs();
};

/// Half of each epoch computes, a quarter waits for data, a quarter evaluates; one second to start, one to end.
RunState make_run(const RunRecipe& recipe);

/// compare() over recipes, in their order.
Comparison compare_recipes(const std::vector<RunRecipe>& recipes, const std::map<std::string, NanoUsd>& reprice = {});

/// `recipe` under another name.
RunRecipe named(const std::string& configuration, RunRecipe recipe = {});

}  // namespace regatta::test
