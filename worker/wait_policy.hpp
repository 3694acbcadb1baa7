#pragma once
// How torch's threads wait for each other: awake for a moment, then asleep.

#include "worker/worker.hpp"

namespace regatta {

/// With more than one thread a rank, starts this program anew, in the same process, with GOMP_SPINCOUNT=5000, which
/// OpenMP reads only while it is loaded. Returns when there is nothing to do: one thread, or the user has set
/// OMP_WAIT_POLICY or GOMP_SPINCOUNT. Call first of all, before threads and MPI.
///
/// A thread that sleeps at every barrier wakes late; one that spins long keeps a core from the thread it waits for.
/// Measured on two cores (see D-10), cnn on MNIST, seconds an epoch with two threads; with one 5.8, or 6.2 when busy:
///                              passive   5000   20000   100000   active
///   nothing else running           4.6    3.6     3.6      4.0      3.6
///   beside a busy process           11     15      23        -       14
void limit_spinning(const WorkerOptions& options, char** argv);

}  // namespace regatta
