#pragma once
// Each run has one owner. A dead owner's runs are closed by the next command: what was launched and has no end is
// `lost`, with what it cost until its last sign of life.

#include <string>
#include <vector>

#include "coordinator/ledger.hpp"
#include "coordinator/state.hpp"

namespace regatta {

/// This process, fence 0.
Owner this_process();
/// True when the process lives: same host and boot, pid alive (no zombie) with that start time. On another host:
/// assumed alive.
bool is_alive(const Owner& owner);

/// Adopts every unfinished run whose owner is dead: raises the fence, waits for its ranks' end (they end with their
/// coordinator; strays are killed after ten seconds), takes over the journal's remaining lines and closes the run:
///   never launched                                        -> cancelled
///   exit recorded, or the files show that it was finished -> as its exit says
///   anything else                                         -> lost, held until its last sign of life
/// Returns a sentence for each. Idempotent; safe when two commands do it at once. A run that cannot be closed is said
/// and left for the next command.
std::vector<std::string> recover(Ledger& ledger);
/// The same for a state that was read a moment ago; what has changed since then is seen.
std::vector<std::string> recover(Ledger& ledger, const State& seen);

}  // namespace regatta
