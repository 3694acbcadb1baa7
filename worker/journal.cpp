#include "worker/journal.hpp"

#include <utility>
#include <variant>

#include "worker/link_client.hpp"

namespace regatta {

namespace {

/// Opens journal.jsonl for the first time ever.
fs::path fresh_journal(const fs::path& attempt_dir) {
  fs::path path = attempt_dir / "journal.jsonl";
  if (fs::exists(path))
    throw IoError(path.string() + ": there is a journal already; an attempt is written once. Give another --run-dir.");
  return path;
}

}  // namespace

namespace {

Json to_json(const HostJoules& energy) {
  return {{"processors_j", value_or_null(energy.processors_j)},
          {"boards_j", value_or_null(energy.boards_j)},
          {"wants_boards", energy.wants_boards},
          {"source", energy.source}};
}

HostJoules host_joules_from_json(const Json& json) {
  return {.processors_j = json_maybe<double>(json, "processors_j"),
          .boards_j = json_maybe<double>(json, "boards_j"),
          .wants_boards = json_get<bool>(json, "wants_boards"),
          .source = json_get<std::string>(json, "source")};
}

}  // namespace

Json to_json(const RankEpoch& row) {
  return {{"epoch", row.epoch},
          {"rank", row.rank},
          {"host", row.host},
          {"samples", row.samples},
          {"wall_s", row.wall_s},
          {"seconds", to_json(row.seconds)},
          {"exchange_hidden_s", row.exchange_hidden_s},
          {"device_memory_peak_bytes", value_or_null(row.device_memory_peak_bytes)},
          {"energy", row.energy ? to_json(*row.energy) : Json(nullptr)}};
}

RankEpoch rank_epoch_from_json(const Json& json) {
  const Json& energy = json_at(json, "energy");
  return {.epoch = json_get<int>(json, "epoch"),
          .rank = json_get<int>(json, "rank"),
          .host = json_get<std::string>(json, "host"),
          .samples = json_get<std::int64_t>(json, "samples"),
          .wall_s = json_get<double>(json, "wall_s"),
          .seconds = phase_seconds_from_json(json_at(json, "seconds")),
          .exchange_hidden_s = json_get<double>(json, "exchange_hidden_s"),
          .device_memory_peak_bytes = json_maybe<std::int64_t>(json, "device_memory_peak_bytes"),
          .energy = energy.is_null() ? std::nullopt : std::optional(host_joules_from_json(energy))};
}

Journal::Journal(fs::path attempt_dir, RunId run, int attempt, LinkClient* link, Heard heard)
    : folder_(std::move(attempt_dir)),
      run_(std::move(run)),
      attempt_(attempt),
      link_(link),
      heard_(std::move(heard)),
      lines_(fresh_journal(folder_), /*exclusive=*/true),
      ranks_(folder_ / "ranks.jsonl", /*exclusive=*/true) {
  sync_folder(folder_);
}

void Journal::write(const RecordBody& body) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return;  // the trainer thread came back from its wait while the watchdog's ends the process
  lines_.append(to_json(JournalLine{run_, attempt_, seq_ + 1, wall_now(), body}).dump());
  ++seq_;
  stopped_ = std::holds_alternative<record::Stop>(body);
  if (link_ != nullptr) link_->send(JournalNotice{seq_});
  if (heard_) heard_(body);
}

void Journal::write_ranks(const std::vector<RankEpoch>& rows) {
  const std::lock_guard lock(mutex_);
  std::string lines;
  for (const auto& row : rows) lines += (lines.empty() ? "" : "\n") + to_json(row).dump();
  if (!rows.empty()) ranks_.append(lines);
}

void Journal::progress(const Progress& progress) {
  const std::lock_guard lock(mutex_);
  if (link_ != nullptr) link_->send(progress);
}

}  // namespace regatta
