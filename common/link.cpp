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

LinkMessage message_from(const Json& json) {
  if (json.contains("token"))
    return LinkHello{json_get<std::string>(json, "token"), RunId{json_get<std::string>(json, "run_id")},
                     json_get<int>(json, "attempt")};
  const auto type = json_get<std::string>(json, "type");
  if (type == "journal") return JournalNotice{json_get<std::int64_t>(json, "seq")};
  if (type != "progress") throw IoError("unknown message \"" + type + "\"");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  return Progress{.epoch = json_get<int>(json, "epoch"),
                  .step = json_get<std::int64_t>(json, "step"),
                  .steps_per_epoch = json_get<std::int64_t>(json, "steps_per_epoch"),
                  .loss = json_maybe<double>(json, "loss").value_or(nan),
                  .samples_per_s = json_maybe<double>(json, "samples_per_s").value_or(nan),
                  .phase = json_get<std::string>(json, "phase")};
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
