#include "worker/rank_context.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "common/error.hpp"

namespace regatta {

namespace {

/// -1 for an absent variable or one that is no number.
int number_of(const char* text) {
  if (text == nullptr) return -1;
  int value = -1;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
  return error == std::errc() && *end == '\0' ? value : -1;
}

/// One process, no MPI: every collective is the identity.
class SoloContext final : public RankContext {
 public:
  SoloContext() = default;
  ~SoloContext() override {
    for (const auto& [begin, bytes] : mappings_) ::munmap(begin, bytes);
  }
  SoloContext(const SoloContext&) = delete;
  SoloContext& operator=(const SoloContext&) = delete;

  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 1; }
  void barrier() override {}
  void node_barrier() override {}
  void allreduce(std::span<double>, Reduce) override {}
  std::string broadcast(std::string text) override { return text; }
  std::vector<std::string> gather(std::string text) override { return {std::move(text)}; }
  std::byte* node_shared(std::size_t bytes) override {
    void* begin = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin == MAP_FAILED)
      throw Error(ExitCode::kOutOfMemory, "cannot get " + std::to_string(bytes) + " bytes: " + errno_text(errno));
    mappings_[begin] = bytes;
    return static_cast<std::byte*>(begin);
  }
  RankContext& split(int, std::optional<int>) override { return *this; }
  void abandon() override {}

 private:
  std::map<void*, std::size_t> mappings_;
};

}  // namespace

RankContext& RankContext::split(int /*colour*/, std::optional<int> /*host*/) {
  ensure_failed("a context with groups", __FILE__, __LINE__, "only MPI's and a single process's have them");
}

LauncherVariables launcher_variables(const std::function<const char*(const char*)>& get) {
  // Open MPI first: its mpirun is also used inside a Slurm allocation, whose variables then describe the allocation.
  struct Known {
    const char *launcher, *size, *rank;
  };
  constexpr Known kKnown[] = {{"Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                              {"MPICH", "PMI_SIZE", "PMI_RANK"},
                              {"Slurm", "SLURM_NTASKS", "SLURM_PROCID"}};
  for (const auto& known : kKnown)
    if (const int size = number_of(get(known.size)), rank = number_of(get(known.rank)); size > 0 && rank >= 0)
      return {known.launcher, size, rank};
  if (const int rank = number_of(get("PMIX_RANK")); rank >= 0) return {"PMIx", 0, rank};
  return {};
}

LauncherVariables launcher_variables() {
  return launcher_variables([](const char* name) { return std::getenv(name); });
}

std::unique_ptr<RankContext> make_solo_context() {
  return std::make_unique<SoloContext>();
}

}  // namespace regatta
