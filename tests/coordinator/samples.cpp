#include "samples.hpp"

namespace regatta::test {

Timestamp at(double s) {
  return parse_timestamp("2025-07-01T12:00:00.000000Z") +
         std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::duration<double>(s));
}

Event event(const std::string& kind, const std::string& run, int attempt, Json body, double when) {
  return {.at = at(when),
          .run_id = run,
          .attempt = attempt,
          .source = "coordinator",
          .kind = kind,
          .body = std::move(body)};
}

Event journal(const std::string& run, int attempt, std::int64_t seq, const RecordBody& body, double when) {
  const JournalLine line{.run_id = RunId{run}, .attempt = attempt, .seq = seq, .at = at(when), .body = body};
  Event made = event("journal", run, attempt, to_json(line), when);
  made.source = "journal";
  made.source_seq = seq;
  return made;
}

Price sample_price() {
  return {.usd_per_node_hour = *parse_usd("0.09"),
          .billing = Billing::kSlot,
          .market = Market::kOnDemand,
          .region = "us-east-1",
          .source = "a test's own",
          .date = "2025-07-01"};
}

Json sample_training() {
  return {{"name", "mnist-cnn"}, {"train", {{"batch", 128}, {"precision", "fp32"}, {"seed", 1}}}};
}

Json run_body(const Json& price, const Json& comparison_id) {
  return {{"comparison_id", comparison_id},
          {"configuration", "one-core"},
          {"repeat", 1},
          {"order", 0},
          {"run_dir", "/nowhere"},
          {"pool", "here"},
          {"backend", "mpi"},
          {"nodes", 1},
          {"ranks", 1},
          {"threads", 1},
          {"cores_per_node", 2},
          {"contended", false},
          {"price", price},
          {"training", sample_training()},
          {"dataset_key", "d41d8cd9"},
          {"test_count", 10000}};
}

Json comparison_body(const std::string& id) {
  return {{"comparison_id", id}, {"job_id", "j0b"}, {"job_name", "mnist-cnn"}, {"job_text", "name: mnist-cnn\n"},
          {"cluster", nullptr},  {"argv", {"run"}}, {"at", to_text(at(0))}};
}

record::Start start_record(std::int64_t pid, const std::string& host) {
  record::Start start{.backend = "mpi", .precision = "fp32", .exchanger = "solo", .startup_s = 1};
  start.ranks.push_back({.rank = 0, .host = host, .pid = pid});
  return start;
}

record::Epoch epoch_record(int number, double wall_s, double accuracy) {
  record::Epoch epoch{.epoch = number,
                      .first_step = (number - 1) * 469 + 1,
                      .last_step = number * 469,
                      .samples = 60000,
                      .wall_s = wall_s,
                      .train_s = wall_s,
                      .train_loss = 0.1,
                      .test_accuracy = accuracy,
                      .samples_per_s = 60000 / wall_s};
  epoch.seconds[Phase::kCompute] = wall_s;
  return epoch;
}

record::Stop stop_record(int exit_code, const std::string& reason) {
  return {.reason = reason,
          .exit_code = exit_code,
          .epochs = 2,
          .steps = 938,
          .node_seconds = 9,
          .memory = record::Memory{36'600'000, 44'300'000, 1'799, 26, 500'000}};
}

Owner owner(std::int64_t pid, std::int64_t fence) {
  return {.host = "elsewhere", .boot_id = "b007", .pid = pid, .start_time = 77, .fence = fence};
}

std::vector<Event> finished_run(const std::string& run, const std::string& comparison) {
  return {
      event("comparison", comparison, 0, comparison_body(comparison)),
      event("run", run, 0, run_body(to_json(sample_price()), comparison), 1),
      event("owner", run, 0, to_json(owner()), 1),
      event("launch", run, 1, {{"argv", {"regatta-worker", "--plan", "p"}}, {"at", to_text(at(2))}}, 2),
      journal(run, 1, 1, start_record(), 3),
      journal(run, 1, 2, epoch_record(1, 4, 0.97), 7),
      journal(run, 1, 3, epoch_record(2, 4), 11),
      journal(run, 1, 4, stop_record(), 11),
      event("exit", run, 1,
            {{"code", 0}, {"signal", nullptr}, {"reason", "done"}, {"message", ""}, {"held_s", 10}, {"startup_s", 1}},
            12),
      event("end", run, 0,
            {{"status", "done"},
             {"reason", "epochs"},
             {"result", {{"epochs", 2}}},
             {"bill", {{"total_usd", "0.000125"}, {"parts", {{"startup", "0.000025"}, {"compute", "0.0001"}}}}}},
            12)};
}

State fold(const std::vector<Event>& events) {
  State state;
  for (const auto& one : events) apply(state, one);
  return state;
}

}  // namespace regatta::test
