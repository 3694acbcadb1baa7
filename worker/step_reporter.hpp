#pragma once
// What rank 0 says while steps and evaluations run: first_step, early, heartbeat, and progress over the link.

#include <string_view>
#include <vector>

#include "jobs/plan.hpp"
#include "worker/journal.hpp"

namespace regatta {

/// Trainer thread only, no clock of its own: every call says when it is. Without a journal (ranks other than 0) every
/// call returns at once. As long as calls come every few seconds, heartbeats are at most 10 s apart. The early line of
/// a trial has all its steps, with their times.
class StepReporter {
 public:
  /// `journal` may be null and, like `plan`, outlives this.
  StepReporter(Journal* journal, const Plan& plan, SteadyTime process_start, SteadyTime now);

  struct Step {
    int epoch = 1;
    std::int64_t number = 0;          ///< since the start of the run, from 1
    std::int64_t in_epoch = 0;        ///< from 1
    std::int64_t global_samples = 0;  ///< of this step
    double loss = 0;
  };
  void after_step(const Step& step, SteadyTime now);
  void evaluating(SteadyTime now);  ///< call with every batch
  void finish();                    ///< writes the early line of a run that ended before it was due

 private:
  void write_early();
  void give_signs(std::string_view phase, SteadyTime now);

  Journal* journal_;
  const Plan& plan_;
  SteadyTime process_start_, last_step_, last_heartbeat_, last_progress_;
  std::string_view phase_;  // of the last progress
  std::int64_t samples_ = 0, samples_at_progress_ = 0;
  Step last_;
  record::Early early_;
  bool early_written_ = false;
};

}  // namespace regatta
