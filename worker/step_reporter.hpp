#pragma once
// What rank 0 says about steps while they run: first_step, early, heartbeat, and progress over the link.

#include <vector>

#include "jobs/plan.hpp"
#include "worker/journal.hpp"

namespace regatta {

/// Trainer thread only. Without a journal (ranks other than 0) every call returns at once.
class StepReporter {
 public:
  /// `journal` may be null and, like `plan`, outlives this.
  StepReporter(Journal* journal, const Plan& plan, SteadyTime process_start);

  struct Step {
    int epoch = 1;
    std::int64_t number = 0;          ///< since the start of the run, from 1
    std::int64_t in_epoch = 0;        ///< from 1
    std::int64_t global_samples = 0;  ///< of this step
    double loss = 0;
  };
  void after_step(const Step& step);
  void evaluating();
  void finish();  ///< writes the early line of a run that ended before its 20th step

 private:
  void write_early();
  void give_progress(SteadyTime now);

  Journal* journal_;
  const Plan& plan_;
  SteadyTime process_start_, last_heartbeat_, last_progress_;
  std::int64_t samples_ = 0, samples_at_progress_ = 0;
  Step last_;
  std::vector<double> early_;
  bool early_written_ = false;
};

}  // namespace regatta
