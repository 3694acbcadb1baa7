#pragma once
// How torch's threads wait for each other: asleep.

#include "worker/worker.hpp"

namespace regatta {

/// With more than one thread a rank, starts this program anew, in the same process, with OMP_WAIT_POLICY=passive, which
/// OpenMP reads only while it is loaded. Returns when there is nothing to do: one thread, or the user has set
/// OMP_WAIT_POLICY or GOMP_SPINCOUNT. Call first of all, before threads and MPI.
///
/// OpenMP's threads otherwise spin at every barrier, and whatever else wants a core (the loader, the journal, another
/// user) leaves one of them spinning for one that cannot run. Measured on two cores with other work on them, cnn,
/// two threads, samples/s: spinning 430, passive 2900, one thread 2100.
void wait_passively(const WorkerOptions& options, char** argv);

}  // namespace regatta
