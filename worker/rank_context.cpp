#include "worker/rank_context.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
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

std::string launcher_refusal(const std::function<const char*(const char*)>& get) {
  const auto has = [&](const char* name) { return get(name) != nullptr; };
  const auto text = [&](const char* name) { return std::string(has(name) ? get(name) : ""); };
  const auto count = [&](const char* name) { return std::max(number_of(get(name)), 1); };
  if (has("OMPI_COMM_WORLD_SIZE") || has("PMIX_RANK")) return {};  // mpirun's, or srun's with PMIx
  constexpr const char* kInstead = "\n  Start it with srun --mpi=pmix";
  const std::string tasks = std::to_string(count("SLURM_NTASKS"));
  if (has("SLURM_STEP_ID") && has("SLURM_PROCID") && (text("SLURM_MPI_TYPE") != "" || !has("PMI_SIZE"))) {
    if (count("SLURM_NTASKS") == 1) return {};
    const std::string type = text("SLURM_MPI_TYPE").empty() ? "none" : text("SLURM_MPI_TYPE");
    return "srun started " + tasks + " tasks with --mpi=" + type +
           ": they do not find each other, each would train alone" + kInstead +
           "; `srun --mpi=list` says whether this Slurm has it, else use Open MPI's mpirun in the batch script.";
  }
  for (const char* size : {"PMI_SIZE", "MV2_COMM_WORLD_SIZE"})
    if (count(size) > 1)
      return "the launcher of another MPI (MPICH, Intel MPI, MVAPICH: " + std::string(size) + " is " + text(size) +
             ") started this: each rank would train alone\n  Start it with Open MPI's mpirun, or with srun "
             "--mpi=pmix; `mpirun --version` says whose it is.";
  const int nodes = std::max(count("SLURM_NNODES"), count("SLURM_JOB_NUM_NODES"));
  const int announced = std::max(count("SLURM_NTASKS"), nodes * count("SLURM_NTASKS_PER_NODE"));
  if (has("SLURM_JOB_ID") && !has("SLURM_STEP_ID") && announced > 1)
    return "this Slurm job has " + std::to_string(announced) +
           " tasks, and nothing started them: one rank alone would " + "train, and hold the others' cores" + kInstead +
           " (one rank: srun --mpi=pmix --ntasks=1), or with Open MPI's mpirun.";
  return {};
}

std::string launcher_refusal() {
  return launcher_refusal([](const char* name) { return std::getenv(name); });
}

std::unique_ptr<RankContext> make_solo_context() {
  return std::make_unique<SoloContext>();
}

}  // namespace regatta
