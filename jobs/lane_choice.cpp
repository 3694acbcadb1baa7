#include "jobs/lane_choice.hpp"

namespace regatta {

Json to_json(const LaneChoice& choice) {
  return {{"swap_bytes", choice.swap_bytes},
          {"measured_by", choice.measured_by.empty() ? Json(nullptr) : Json(choice.measured_by.value)}};
}

LaneChoice lane_choice_from_json(const Json& json) {
  const auto bytes = json_get<std::int64_t>(json, "swap_bytes");
  if (bytes < 0) json_bad("swap_bytes", "0 or more", std::to_string(bytes));
  LaneChoice choice{.swap_bytes = bytes};
  if (const auto run = json_maybe<std::string>(json, "measured_by")) choice.measured_by = RunId{*run};
  return choice;
}

}  // namespace regatta
