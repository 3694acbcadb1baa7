#pragma once
// What every question to the ledger does first, and how it finds what it is asked about.

#include <filesystem>
#include <string>
#include <string_view>

#include "coordinator/command.hpp"
#include "coordinator/state.hpp"

namespace regatta {

struct Asked {
  std::filesystem::path ledger;
  State state;
};

/// Closes what a dead coordinator left (saying so on stderr) and replays the ledger; one that may not be written is
/// only read. Without a ledger file the state is empty, and none is made.
Asked ask_ledger(const CommandLine& line);

/// One of both.
struct Subject {
  const RunState* run = nullptr;
  const ComparisonState* comparison = nullptr;
};

/// Letters as ids have them, and types of tensors.
std::string upper_case(std::string_view text);

/// By id or by a prefix that only one has, in any case. Throws Error (exit code 1) where none or several have it.
Subject find_subject(const State& state, std::string_view id);

/// The newest comparison, or run outside of one. Throws Error (exit code 1) when nothing is recorded.
Subject latest_subject(const Asked& asked);

/// "nothing is recorded in FILE yet" and how to begin.
std::string empty_words(const std::filesystem::path& ledger);

}  // namespace regatta
