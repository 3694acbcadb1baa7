#pragma once

#include <string>

#include "jobs/plan.hpp"

namespace regatta::test {

/// A plan with equal shares, placed nowhere in particular. `job` holds everything but the configurations (YAML).
Plan plan_for(const std::string& job, int ranks);

}  // namespace regatta::test
