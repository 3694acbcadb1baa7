#pragma once
// What `auto` became before, for the same training on the same machine: one file a choice, in HOME/choices.

#include <filesystem>
#include <optional>
#include <string>

#include "cluster/inventory.hpp"
#include "coordinator/measured_files.hpp"
#include "jobs/plan.hpp"

namespace regatta {

/// The machine, as far as what is measured on it depends on it.
Json machine_key(const Inventory& machine);

/// What a choice depends on: model, data, everything that a step computes, the machine, this version, and what was to
/// be tried. Not on seed, evaluation, deadline and stop, but for a schedule that needs the end. `without`:
/// REGATTA_WITHOUT. Pure.
Json choice_key(const Plan& plan, const std::vector<Way>& ways, const Inventory& machine, const std::string& without);

class ChoiceCache {
 public:
  explicit ChoiceCache(const std::filesystem::path& home) : files_(home / "choices", "choice") {}

  struct Found {
    std::optional<Choice> choice;
    std::string trouble;  ///< a file that is damaged, or another key's: taken as absent
  };
  /// Only a choice of one of `ways`.
  Found find(const Json& key, const std::vector<Way>& ways) const;
  /// Throws IoError.
  void keep(const Json& key, const Choice& choice) const;

 private:
  MeasuredFiles files_;
};

}  // namespace regatta
