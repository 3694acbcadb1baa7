#include "common/link.hpp"

#include <limits>

#include "common/error.hpp"
#include "common/json.hpp"

namespace regatta {

namespace {

Json message_json(const LinkHello& hello) {
  return {{"token", hello.token}, {"run_id", hello.run_id.value}, {"attempt", hello.attempt}};
}

Json message_json(const JournalNotice& notice) {
  return {{"type", "journal"}, {"seq", notice.seq}};
}

Json message_json(const Progress& progress) {
  return {{"type", "progress"},
          {"epoch", progress.epoch},
          {"step", progress.step},
          {"steps_per_epoch", progress.steps_per_epoch},
          {"loss", number_or_null(progress.loss)},
          {"samples_per_s", number_or_null(progress.samples_per_s)},
          {"phase", progress.phase}};
}

template <class T>
T count_from(const Json& json, const char* key, T least) {
  const T count = json_get<T>(json, key);
  if (count < least) json_bad(key, "at least " + std::to_string(least), std::to_string(count));
  return count;
}

/// A word that ends up on somebody's terminal.
std::string phase_from(const Json& json) {
  auto phase = json_get<std::string>(json, "phase");
  if (phase != "train" && phase != "evaluate") json_bad("phase", "train or evaluate", json_at(json, "phase").dump());
  return phase;
}

LinkMessage message_from(const Json& json) {
  if (json.contains("token"))
    return LinkHello{json_get<std::string>(json, "token"), RunId{json_get<std::string>(json, "run_id")},
                     count_from<int>(json, "attempt", 1)};
  const auto type = json_get<std::string>(json, "type");
  if (type == "journal") return JournalNotice{count_from<std::int64_t>(json, "seq", 1)};
  if (type != "progress") throw IoError("unknown message \"" + type + "\"");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  return Progress{.epoch = count_from<int>(json, "epoch", 1),
                  .step = count_from<std::int64_t>(json, "step", 0),
                  .steps_per_epoch = count_from<std::int64_t>(json, "steps_per_epoch", 0),
                  .loss = json_maybe<double>(json, "loss").value_or(nan),
                  .samples_per_s = json_maybe<double>(json, "samples_per_s").value_or(nan),
                  .phase = phase_from(json)};
}

}  // namespace

std::string encode(const LinkMessage& message) {
  return std::visit([](const auto& body) { return message_json(body).dump(); }, message);
}

LinkMessage decode(std::string_view line) {
  if (line.size() > kLinkLineLimit)
    throw CommError("link: a line of " + std::to_string(line.size()) + " bytes, at most " +
                    std::to_string(kLinkLineLimit));
  try {
    return message_from(parse_json(line, "link"));
  } catch (const IoError& error) {
    throw CommError(std::string("link: ") + error.what());
  }
}

}  // namespace regatta
