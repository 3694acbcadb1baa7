#pragma once
// What was tried and what was kept, for people. Pure.

#include <string>

#include "jobs/choice.hpp"

namespace regatta {

/// "row: 6 ways tried in 14.2 s, which is not billed", the table, and what is kept; or one line for a choice out of the
/// cache. `batch` is samples per step.
std::string choice_text(const std::string& row, const Choice& choice, std::int64_t batch);

/// "this machine is busy (load 4.8 on 2 cores): ..."; empty while at least half of its cores are idle. What is measured
/// beside others' work need not be what is fastest without it.
std::string busy_words(double load, int cores);

/// "2 ranks x 1 thread, bf16: 2.10x faster than ..."
std::string choice_sentence(const Choice& choice);

}  // namespace regatta
