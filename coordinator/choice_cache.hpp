#pragma once
// What `auto` became before, for the same training on the same machine: one file a choice, HOME/choices/KEY.json,
//   {"schema": 1, "of": {what the key is made of}, "choice": {...}}

#include <filesystem>
#include <optional>
#include <string>

#include "cluster/inventory.hpp"
#include "jobs/plan.hpp"

namespace regatta {

/// What a choice depends on: model, data, everything that a step computes, the machine, this version, and what was to
/// be tried. Not on seed, evaluation, deadline and stop, but for a schedule that needs the end. `without`:
/// REGATTA_WITHOUT. Pure.
Json choice_key(const Plan& plan, const std::vector<Way>& ways, const Inventory& machine, const std::string& without);

class ChoiceCache {
 public:
  explicit ChoiceCache(const std::filesystem::path& home) : folder_(home / "choices") {}

  struct Found {
    std::optional<Choice> choice;
    std::string trouble;  ///< a file that is damaged, or another key's: taken as absent
  };
  /// Only a choice of one of `ways`.
  Found find(const Json& key, const std::vector<Way>& ways) const;
  /// Throws IoError.
  void keep(const Json& key, const Choice& choice) const;

 private:
  std::filesystem::path file_of(const Json& key) const;
  std::filesystem::path folder_;
};

}  // namespace regatta
