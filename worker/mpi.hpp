#pragma once
// What the files that speak MPI share. Only they include this: the rest of the worker knows RankContext and Exchanger.

#define OMPI_SKIP_MPICXX 1  // the C++ bindings left the standard, and their headers are slow
#include <mpi.h>

#include <string>

namespace regatta {

class RankContext;

/// The communicator of a context that make_mpi_context made; owned by the context. Anything else is a broken promise.
MPI_Comm communicator(const RankContext& ranks);

/// Throws CommError "WHAT: MPI's own text" unless `code` is MPI_SUCCESS. Needs MPI_ERRORS_RETURN on the communicator.
void check_mpi(int code, const char* what);

/// "Open MPI v4.1.4"; callable at any time.
std::string mpi_library_version();

}  // namespace regatta
