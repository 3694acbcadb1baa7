#include <fmt/format.h>

#include <array>
#include <string_view>

#include "common/error.hpp"
#include "worker/mpi.hpp"

namespace regatta {

void check_mpi(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw CommError(fmt::format("{}: {}", what, std::string_view(text.data(), static_cast<std::size_t>(length))));
}

}  // namespace regatta
