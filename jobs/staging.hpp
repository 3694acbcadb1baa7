#pragma once
// A dataset copied to this node before a run reads it (`data.stage: node-local`). Torch-free; one process a node.
//
// FOLDER/KEY.lock    locked (flock) by whoever copies or removes, shared by whoever reads; its time is that of last use
// FOLDER/KEY/...     the files, named as where they come from; KEY is the dataset's, of its content
// FOLDER/KEY/....part  of a copy that was cut short; removed by the next
//
// A file is there under its own name only when every byte of it was seen to be right. What is there already and right
// is used again, by any job of this user. All that lies in FOLDER takes at most half of its file system, and leaves a
// twentieth of that free: what was used longest ago and is in nobody's hands goes first.

#include <cstdint>
#include <filesystem>
#include <functional>

#include "jobs/dataset_index.hpp"

namespace regatta {

/// $REGATTA_STAGE, else $SLURM_TMPDIR, else $TMPDIR, else /tmp; in it a folder of this user.
std::filesystem::path stage_folder(const std::function<const char*(const char*)>& get);
std::filesystem::path stage_folder();

/// Bytes of the dataset's files; 0 for one that has none.
std::int64_t bytes_to_stage(const DatasetIndex& index);

/// How long others on a node may hold what a run has to stage: all waits of one staging together.
Duration stage_patience(const DatasetIndex& index);
/// How long staging may take on a node: that patience, then reading and copying. What waits for a node that stages may
/// wait as long.
Duration stage_allowance(const DatasetIndex& index);

/// The same dataset with its files in `folder`; nothing is read.
DatasetIndex staged_index(DatasetIndex index, const std::filesystem::path& folder);

/// Keeps others from removing what is staged, until it is destroyed. A lock is on the file that has the path at that
/// moment: one that was removed meanwhile, as who sweeps /tmp does, is made anew.
class StageLock {
 public:
  /// Opens or makes the file. Throws DataError.
  explicit StageLock(std::filesystem::path path);
  ~StageLock();
  StageLock(StageLock&& other) noexcept;
  StageLock& operator=(StageLock&& other) noexcept;
  StageLock(const StageLock&) = delete;
  StageLock& operator=(const StageLock&) = delete;

  /// Waits for others at most this long. False: they still hold it.
  bool share(Duration limit);
  bool take(Duration limit);

 private:
  void open();
  bool is_of_path() const;
  bool lock(int kind, Duration limit);

  std::filesystem::path path_;
  int descriptor_ = -1;
};

struct Staged {
  StageLock lock;
  std::int64_t bytes = 0;         ///< that the run reads there
  std::int64_t copied_bytes = 0;  ///< the others were there
};

/// How much there is of the file system that holds the folder; a test has one of its own.
struct StageSpace {
  std::int64_t total = 0, free = 0;
};
using StageSpaceOf = std::function<StageSpace(const std::filesystem::path&)>;
StageSpace stage_space(const std::filesystem::path& folder);

/// Brings the files to staged_index(index, folder). Throws DataError: a file that cannot be read or is another than was
/// indexed, no room, a folder that is not this user's alone, others that hold the lock for longer than `patience`.
Staged stage_dataset(const DatasetIndex& index, const std::filesystem::path& folder, const StageSpaceOf& space,
                     Duration patience);
/// With the patience that stage_allowance() counts on.
Staged stage_dataset(const DatasetIndex& index, const std::filesystem::path& folder,
                     const StageSpaceOf& space = stage_space);

}  // namespace regatta
