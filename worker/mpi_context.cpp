// Design note. MPI_COMM_WORLD is duplicated, so that a library's messages cannot meet ours, and returns errors. Every
// call that may wait for another rank stands in a WatchedWait: a thread inside a collective cannot be woken.
// Shared memory: one window a request, all of it owned by local rank 0, because Open MPI's osc/sm places each rank's
// part at its own offset. Its bases come at 264 mod 4096, so local rank 0 rounds up to a cache line and says by how
// much; that the others' bases agree is checked. Open MPI unlinks the backing file as soon as all have mapped it:
// nothing outlives the processes, however they end.
// A group is a context over a communicator of its own. It is freed with the one that it was split from, in the order in
// which all ranks made them.

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "worker/mpi.hpp"
#include "worker/rank_context.hpp"
#include "worker/watchdog.hpp"

namespace regatta {

namespace {

MPI_Op to_mpi(Reduce op) {
  return op == Reduce::kMin ? MPI_MIN : MPI_MAX;
}

int to_count(std::size_t size) {
  REGATTA_ENSURE(size <= static_cast<std::size_t>(std::numeric_limits<int>::max()), "MPI counts are ints");
  return static_cast<int>(size);
}

/// Made by make_mpi_context, once a process, and by `split`. Trainer thread only.
class MpiContext final : public RankContext {
 public:
  MpiContext(const LauncherVariables& variables, Watchdog& watchdog, MpiCallers callers);
  /// A group; takes the communicator over.
  MpiContext(MPI_Comm group, int host, Watchdog& watchdog);
  /// Collective: frees groups and shared windows, and the whole world finalizes. After `abandon` it does neither.
  ~MpiContext() override;
  MpiContext(const MpiContext&) = delete;
  MpiContext& operator=(const MpiContext&) = delete;

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }
  void barrier() override;
  void node_barrier() override;
  void allreduce(std::span<double> values, Reduce op) override;
  std::string broadcast(std::string text) override;
  std::vector<std::string> gather(std::string text) override;
  std::byte* node_shared(std::size_t bytes) override;
  RankContext& split(int colour, std::optional<int> host) override;
  void abandon() override;

  MPI_Comm communicator() const { return world_; }

 private:
  void initialize(MpiCallers callers);
  void open_world(const LauncherVariables& variables);
  void find_places(int host);

  Watchdog& watchdog_;
  const bool is_group_;
  MPI_Comm world_ = MPI_COMM_NULL;  // a duplicate of MPI_COMM_WORLD, or a group's; returns errors
  MPI_Comm node_ = MPI_COMM_NULL;   // the ranks of this host, in rank order
  int host_ = 0;                    // that a test pretends
  int rank_ = 0, world_size_ = 1, local_rank_ = 0, local_size_ = 1;
  bool abandoned_ = false;
  std::vector<MPI_Win> windows_;
  std::vector<std::unique_ptr<MpiContext>> groups_;
};

MpiContext::MpiContext(const LauncherVariables& variables, Watchdog& watchdog, MpiCallers callers)
    : watchdog_(watchdog), is_group_(false) {
  initialize(callers);
  open_world(variables);
}

MpiContext::MpiContext(MPI_Comm group, int host, Watchdog& watchdog)
    : watchdog_(watchdog), is_group_(true), world_(group) {
  find_places(host);
}

void MpiContext::initialize(MpiCallers callers) {
  const WatchedWait wait(watchdog_, "MPI_Init");
  const int wanted = callers == MpiCallers::kDevices ? MPI_THREAD_MULTIPLE : MPI_THREAD_SERIALIZED;
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(nullptr, nullptr, wanted, &provided), "MPI_Init_thread");
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  if (provided < MPI_THREAD_SERIALIZED)
    throw CommError("MPI_Init_thread: this MPI supports no threads (MPI_THREAD_SERIALIZED); install Open MPI 4.1");
}

void MpiContext::open_world(const LauncherVariables& variables) {
  const WatchedWait wait(watchdog_, "start of MPI");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &world_size_), "MPI_Comm_size");
  if (variables.launcher == "PMIx" && variables.rank >= world_size_)  // it says no number
    throw CommError(
        "PMIx calls this rank " + std::to_string(variables.rank) + ", MPI finds a world of " +
        std::to_string(world_size_) +
        "\n  The launcher's PMIx and the MPI library do not know each other. Start with Open MPI's mpirun.");
  if (variables.world_size > world_size_)
    throw CommError(
        variables.launcher + " announces " + std::to_string(variables.world_size) + " ranks, MPI finds " +
        std::to_string(world_size_) +
        "\n  The launcher and the MPI library do not know each other. Start with Open MPI's mpirun, or with "
        "srun --mpi=pmix.");
  // The duplicate inherits the error handler.
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &world_), "MPI_Comm_dup");
  find_places(host_);
}

void MpiContext::find_places(int host) {
  host_ = host;
  check_mpi(MPI_Comm_size(world_, &world_size_), "MPI_Comm_size");
  check_mpi(MPI_Comm_rank(world_, &rank_), "MPI_Comm_rank");
  MPI_Comm machine = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(world_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &machine), "MPI_Comm_split_type");
  check_mpi(MPI_Comm_split(machine, host, rank_, &node_), "MPI_Comm_split");
  check_mpi(MPI_Comm_free(&machine), "MPI_Comm_free");
  check_mpi(MPI_Comm_rank(node_, &local_rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(node_, &local_size_), "MPI_Comm_size");
}

MpiContext::~MpiContext() {
  if (!is_group_) watchdog_.unshare_posts();  // they live in a window
  if (abandoned_) return;
  // A destructor has nobody to tell: a failure here shows in MPI_Finalize and in the launcher's exit code.
  const WatchedWait wait(watchdog_, "MPI_Finalize");
  for (auto& group : groups_) group.reset();
  for (auto& window : windows_) MPI_Win_free(&window);
  MPI_Comm_free(&node_);
  MPI_Comm_free(&world_);
  if (!is_group_) MPI_Finalize();
}

RankContext& MpiContext::split(int colour, std::optional<int> host) {
  const WatchedWait wait(watchdog_, "split into groups");
  MPI_Comm group = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(world_, colour, rank_, &group), "MPI_Comm_split");
  return *groups_.emplace_back(std::make_unique<MpiContext>(group, host.value_or(host_), watchdog_));
}

void MpiContext::abandon() {
  abandoned_ = true;
  for (auto& group : groups_) group->abandon();
}

void MpiContext::barrier() {
  const WatchedWait wait(watchdog_, "barrier");
  check_mpi(MPI_Barrier(world_), "MPI_Barrier");
}

void MpiContext::node_barrier() {
  const WatchedWait wait(watchdog_, "node barrier");
  check_mpi(MPI_Barrier(node_), "MPI_Barrier");
}

void MpiContext::allreduce(std::span<double> values, Reduce op) {
  const WatchedWait wait(watchdog_, "allreduce");
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, values.data(), to_count(values.size()), MPI_DOUBLE, to_mpi(op), world_),
            "MPI_Allreduce");
}

std::string MpiContext::broadcast(std::string text) {
  const WatchedWait wait(watchdog_, "broadcast");
  std::uint64_t size = text.size();
  check_mpi(MPI_Bcast(&size, 1, MPI_UINT64_T, 0, world_), "MPI_Bcast");
  text.resize(size);
  check_mpi(MPI_Bcast(text.data(), to_count(size), MPI_CHAR, 0, world_), "MPI_Bcast");
  return text;
}

std::vector<std::string> MpiContext::gather(std::string text) {
  const WatchedWait wait(watchdog_, "gather");
  const bool root = rank_ == 0;
  const int size = to_count(text.size());
  std::vector<int> sizes(root ? static_cast<std::size_t>(world_size_) : 0), starts(sizes.size());
  check_mpi(MPI_Gather(&size, 1, MPI_INT, sizes.data(), 1, MPI_INT, 0, world_), "MPI_Gather");
  std::size_t total = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    starts[i] = to_count(total);
    total += static_cast<std::size_t>(sizes[i]);
  }
  std::string all(total, '\0');
  check_mpi(MPI_Gatherv(text.data(), size, MPI_CHAR, all.data(), sizes.data(), starts.data(), MPI_CHAR, 0, world_),
            "MPI_Gatherv");
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    texts.push_back(all.substr(static_cast<std::size_t>(starts[i]), static_cast<std::size_t>(sizes[i])));
  return texts;
}

std::byte* MpiContext::node_shared(std::size_t bytes) {
  const WatchedWait wait(watchdog_, "shared memory");
  MPI_Info info = MPI_INFO_NULL;
  check_mpi(MPI_Info_create(&info), "MPI_Info_create");
  check_mpi(MPI_Info_set(info, "alloc_shared_noncontig", "true"), "MPI_Info_set");
  const auto mine = static_cast<MPI_Aint>(local_rank_ == 0 ? bytes + kCacheLine : 0);
  void* own = nullptr;
  MPI_Win window = MPI_WIN_NULL;
  check_mpi(MPI_Win_allocate_shared(mine, 1, info, node_, static_cast<void*>(&own), &window),
            "MPI_Win_allocate_shared");
  windows_.push_back(window);
  MPI_Info_free(&info);

  MPI_Aint size = 0;
  int unit = 0;
  void* base = nullptr;
  check_mpi(MPI_Win_shared_query(window, 0, &size, &unit, static_cast<void*>(&base)), "MPI_Win_shared_query");
  const auto address = reinterpret_cast<std::uintptr_t>(base);
  std::uint64_t offset = (kCacheLine - address % kCacheLine) % kCacheLine;
  check_mpi(MPI_Bcast(&offset, 1, MPI_UINT64_T, 0, node_), "MPI_Bcast");
  if ((address + offset) % kCacheLine != 0)
    throw CommError("MPI_Win_shared_query: this MPI aligns shared memory differently in each process of a host");
  return static_cast<std::byte*>(base) + offset;
}

}  // namespace

std::unique_ptr<RankContext> make_mpi_context(const LauncherVariables& variables, Watchdog& watchdog,
                                              MpiCallers callers) {
  return std::make_unique<MpiContext>(variables, watchdog, callers);
}

MPI_Comm communicator(const RankContext& ranks) {
  const auto* context = dynamic_cast<const MpiContext*>(&ranks);
  REGATTA_ENSURE(context != nullptr, "a communicator of a context without MPI");
  return context->communicator();
}

std::string mpi_library_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  if (MPI_Get_library_version(text, &length) != MPI_SUCCESS) return "unknown";
  const std::string version(text, static_cast<std::size_t>(length));
  return version.substr(0, version.find(','));  // "Open MPI v4.1.4", without its builder
}

}  // namespace regatta
