#pragma once
// Events of small made-up runs, with values that are easy to recompute by hand.

#include <string>
#include <vector>

#include "coordinator/event.hpp"
#include "coordinator/state.hpp"

namespace regatta::test {

/// 2025-07-01T12:00:00Z plus `s` seconds.
Timestamp at(double s);

Event event(const std::string& kind, const std::string& run, int attempt, Json body, double when = 0);
Event journal(const std::string& run, int attempt, std::int64_t seq, const RecordBody& body, double when = 0);

/// c7i.large by slot: two cores cost 0.09 USD an hour, so one core one second costs 12,500 nano-dollars.
Price sample_price();
Json sample_training();
/// One rank with one thread on a node with two cores.
Json run_body(const Json& price = to_json(sample_price()), const Json& comparison_id = nullptr);
Json comparison_body(const std::string& id);

record::Start start_record(std::int64_t pid = 0, const std::string& host = "nowhere");
/// `wall_s` of compute and nothing else.
record::Epoch epoch_record(int number, double wall_s, double accuracy = 0.98);
record::Stop stop_record(int exit_code = 0, const std::string& reason = "epochs");

Owner owner(std::int64_t pid = 1, std::int64_t fence = 0);

/// comparison, run, owner, launch, start, two epochs, stop, exit, end: 10 s held.
std::vector<Event> finished_run(const std::string& run, const std::string& comparison);

State fold(const std::vector<Event>& events);

}  // namespace regatta::test
