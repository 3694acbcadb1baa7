#include "coordinator/choice_cache.hpp"

#include <algorithm>

#include "common/error.hpp"

namespace regatta {

Json machine_key(const Inventory& machine) {
  return {{"cpu", machine.cpu_model},
          {"cores", machine.cores},
          {"host_cores", machine.host_cores},
          {"memory_bytes", machine.memory_bytes},
          {"numa_domains", machine.numa_domains}};
}

Json choice_key(const Plan& plan, const std::vector<Way>& ways, const Inventory& machine, const std::string& without) {
  const Json training = to_json(plan.training);
  Json model = training.at("model"), train = training.at("train");
  model["weights"] = plan.weights ? Json(plan.weights->xxh3) : Json(nullptr);  // wherever they lie
  for (const char* key : {"precision", "seed", "shares", "evaluate", "deadline", "checkpoint"}) train.erase(key);
  const ScheduleKind schedule = plan.training.train.schedule.kind;
  const bool needs_end = schedule == ScheduleKind::kCosine || schedule == ScheduleKind::kOneCycle;
  Json tried = Json::array();
  for (const Way& way : ways) tried.push_back(to_text(way));
  return {{"model", model},
          {"dataset", plan.dataset.key},
          {"augment", plan.training.data.augment},
          {"streamed", plan.streamed},
          {"train", train},
          {"epochs", needs_end ? value_or_null(plan.training.stop.epochs) : Json(nullptr)},
          {"machine", machine_key(machine)},
          {"regatta", REGATTA_VERSION},
          {"without", without},
          {"ways", tried}};
}

ChoiceCache::Found ChoiceCache::find(const Json& key, const std::vector<Way>& ways) const {
  try {
    const Json kept = files_.find(key);
    if (kept.is_null()) return {};
    Choice choice = choice_from_json(kept);
    if (std::find(ways.begin(), ways.end(), choice.kept) == ways.end())
      json_bad("kept", "one of the ways to try", to_text(choice.kept));
    choice.from_cache = true;
    return {.choice = std::move(choice)};
  } catch (const IoError& damage) {
    return {.trouble = files_.file_of(key).string() + ": " + damage.what()};
  }
}

void ChoiceCache::keep(const Json& key, const Choice& choice) const {
  files_.keep(key, to_json(choice));
}

}  // namespace regatta
