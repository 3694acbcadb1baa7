#pragma once
// Rules that tie several keys of a job file together. The reader has checked each key alone by then.

#include "common/findings.hpp"
#include "jobs/spec.hpp"

namespace regatta {

/// Adds a finding for each broken rule. A rule is silent when a key that it is about is already a finding. Rules about
/// `train` and `stop` look at each configuration's own, overrides applied, and point at the key that was written.
void check_rules(const JobSpec& job, Findings& findings);

}  // namespace regatta
