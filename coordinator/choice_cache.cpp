#include "coordinator/choice_cache.hpp"

#include <algorithm>

#include "common/files.hpp"
#include "common/hash.hpp"

namespace regatta {

namespace {
constexpr int kSchema = 1;
constexpr std::size_t kMostBytes = std::size_t{1} << 20;
}  // namespace

Json choice_key(const Plan& plan, const std::vector<Way>& ways, const Inventory& machine, const std::string& without) {
  const Json training = to_json(plan.training);
  Json model = training.at("model"), train = training.at("train");
  model["weights"] = plan.weights ? Json(plan.weights->xxh3) : Json(nullptr);  // wherever they lie
  for (const char* key : {"precision", "seed", "evaluate", "deadline", "checkpoint"}) train.erase(key);
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
          {"machine",
           {{"cpu", machine.cpu_model},
            {"cores", machine.cores},
            {"host_cores", machine.host_cores},
            {"memory_bytes", machine.memory_bytes},
            {"numa_domains", machine.numa_domains}}},
          {"regatta", REGATTA_VERSION},
          {"without", without},
          {"ways", tried}};
}

fs::path ChoiceCache::file_of(const Json& key) const {
  return folder_ / (xxh3_hex(key.dump()) + ".json");
}

ChoiceCache::Found ChoiceCache::find(const Json& key, const std::vector<Way>& ways) const {
  const fs::path file = file_of(key);
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  try {
    const Json json = parse_json(read_file(file, kMostBytes), file.string());
    if (const int schema = json_get<int>(json, "schema"); schema != kSchema)
      json_bad("schema", std::to_string(kSchema), std::to_string(schema));
    if (json_at(json, "of") != key) throw IoError("of: another training or machine");
    Choice choice = choice_from_json(json_at(json, "choice"));
    if (std::find(ways.begin(), ways.end(), choice.kept) == ways.end())
      json_bad("kept", "one of the ways to try", to_text(choice.kept));
    choice.from_cache = true;
    return {.choice = std::move(choice)};
  } catch (const IoError& damage) {
    return {.trouble = file.string() + ": " + damage.what()};
  }
}

void ChoiceCache::keep(const Json& key, const Choice& choice) const {
  fs::create_directories(folder_);
  write_file_atomically(file_of(key),
                        Json{{"schema", kSchema}, {"of", key}, {"choice", to_json(choice)}}.dump(2) + "\n");
}

}  // namespace regatta
