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

/// This process as the run's owner, with a higher fence, which the dead one's appends no longer pass; nothing when
/// another command was quicker, or the run has ended.
std::optional<Owner> adopt(Ledger& ledger, const RunState& run);

/// A batch job of a dead owner that is not known to have ended: `regatta wait` goes on with it.
bool is_left_behind(const RunState& run);

/// Adopts every unfinished run whose owner is dead: raises the fence, waits for its ranks' end (they end with their
/// coordinator; strays are killed after ten seconds), takes over the journal's remaining lines and closes the run:
///   never launched                                        -> cancelled
///   exit recorded, or the files show that it was finished -> as its exit says
///   anything else                                         -> lost, held until its last sign of life
/// A batch job goes on without its coordinator: one that has ended is closed as Slurm and its files tell, one that has
/// not is said and left.
/// Returns a sentence for each, after 15 s at the latest for all of them together. Idempotent; safe when two commands
/// do it at once. A run that cannot be closed is said and left for the next command.
std::vector<std::string> recover(Ledger& ledger);
/// The same for a state that was read a moment ago; what has changed since then is seen.
std::vector<std::string> recover(Ledger& ledger, const State& seen);

}  // namespace regatta
