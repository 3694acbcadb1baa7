#pragma once
// The dataset once a node: decoded into shared memory by local rank 0, read by every rank of the host.

#include <cstdint>

#include <optional>

#include "common/json.hpp"
#include "jobs/plan.hpp"
#include "jobs/staging.hpp"
#include "worker/rank_context.hpp"
#include "worker/watchdog.hpp"

namespace regatta {

/// One decoded split; owned by the node's shared memory, so valid as long as the RankContext. Read-only: any thread.
struct DecodedSplit {
  std::int64_t count = 0;
  const std::uint8_t* pixels = nullptr;  // (count, H, W, C) uint8, or (count, length + 1); none when the plan streams
  const std::int64_t* labels = nullptr;  // (count) int64; none when the plan streams
};

/// What `data.stage: node-local` did.
struct StagedData {
  std::optional<StageLock> lock;  ///< of local rank 0: keeps the files there as long as it lives
  Json record = nullptr;          ///< rank 0: as the start line has it (records.hpp); null: nothing was staged
};

/// Collective. With data.stage: node-local copies the dataset's files to every node and lets the plan's dataset point
/// to the copies; else, and for data that have no files, nothing. A node that cannot throws the same AgreedError
/// (kData), which names it, on every rank of every host.
StagedData stage_on_nodes(Plan& plan, RankContext& ranks, Watchdog& watchdog);

struct NodeDataset {
  DecodedSplit train, test;
};

/// Collective. Returns when the whole node may read. A plan that streams gets counts alone, no memory is taken, and
/// files that many samples share are hashed once a node, and a sample of each split is read. Files that a node cannot
/// read, damaged or changed ones throw the same AgreedError (kData) on every rank of every host. The deadline is
/// stretched while decoding, by the size of the data.
NodeDataset decode_on_node(const Plan& plan, RankContext& ranks, Watchdog& watchdog);

}  // namespace regatta
