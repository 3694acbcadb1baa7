#pragma once
// When does the supervisor stop or kill an attempt? A pure decision with the time as an argument.

#include <cstdint>
#include <optional>
#include <string>

#include "common/time.hpp"

namespace regatta {

/// What is known about a running attempt, on the steady clock.
struct Vitals {
  bool queued = false;                       ///< by a batch system: no nodes yet
  std::optional<double> queue_timeout_s;     ///< of the pool
  SteadyTime launched;                       ///< or queued; once a queued one has nodes, since then
  SteadyTime last_sign;                      ///< a journal line or a message over the link
  std::int64_t data_bytes = 0;               ///< decoded before the start
  Duration before_start{0};                  ///< and what else the start may take
  bool started = false;                      ///< the journal's start line is there
  std::optional<double> deadline_s;          ///< train.deadline; nothing: auto
  std::optional<Duration> step;              ///< the slowest step seen; nothing: none yet
  int interrupts = 0;                        ///< Ctrl-C and its like
  std::optional<SteadyTime> stop_requested;  ///< when the ranks were first asked for a clean stop
  SteadyTime asked_again;                    ///< when they were last asked
  std::optional<SteadyTime> faulted;         ///< when something was first seen that ends the launch
};

enum class Act { kGoOn, kRequestStop, kKill, kKillAfterFault };
struct Decision {
  Act act = Act::kGoOn;
  std::string reason;  ///< of a kill: goes into the ledger
};

Decision decide(const Vitals& vitals, SteadyTime now);

/// How long a started attempt may show no sign of life: max(30 s, 3 x deadline). The deadline `auto` is
/// max(10 s, 5 x step), as the worker's; 60 s while no step is known.
Duration silence_limit(const std::optional<double>& deadline_s, const std::optional<Duration>& step);

}  // namespace regatta
