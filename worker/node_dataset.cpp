#include "worker/node_dataset.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/host.hpp"
#include "jobs/sample_reader.hpp"
#include "worker/failure.hpp"

namespace regatta {

namespace {

std::size_t aligned(std::size_t bytes) {
  return (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
}

/// Where the parts lie in the node's block: train pixels, train labels, test pixels, test labels.
struct Layout {
  std::size_t train_labels, test_pixels, test_labels, bytes;

  explicit Layout(const DatasetIndex& index) {
    const auto sample = static_cast<std::size_t>(index.sample_bytes());
    const auto train = static_cast<std::size_t>(index.train_count), test = static_cast<std::size_t>(index.test_count);
    train_labels = aligned(train * sample);
    test_pixels = train_labels + aligned(train * sizeof(std::int64_t));
    test_labels = test_pixels + aligned(test * sample);
    bytes = test_labels + aligned(test * sizeof(std::int64_t));
  }
};

RawSamples at(std::byte* block, std::size_t pixels, std::size_t labels) {
  return {reinterpret_cast<std::uint8_t*>(block + pixels), reinterpret_cast<std::int64_t*>(block + labels)};
}

/// agree() for what local rank 0 of each host does; also rank 0's trouble names its host where there are several.
void agree_by_host(RankContext& ranks, const std::function<void()>& work) {
  agree(ranks, [&] {
    if (ranks.local_rank() != 0) return;
    if (ranks.rank() != 0 || ranks.local_size() == ranks.world_size()) return work();
    try {
      work();
    } catch (const DataError& error) {
      throw DataError("rank 0 on " + host_name() + ": " + error.what());
    }
  });
}

/// Opens what the loaders will open, and reads one sample of it.
void expect_readable(const DatasetIndex& index, std::uint64_t seed) {
  std::vector<std::uint8_t> sample(static_cast<std::size_t>(index.sample_bytes()));
  for (const Split split : {Split::kTrain, Split::kTest})
    if (const std::int64_t count = index.count(split); count > 0)
      open_samples(index, seed, split)->read(count - 1, sample.data());
}

void expect_unchanged_on_node(const DatasetIndex& index, std::uint64_t seed, RankContext& ranks, Watchdog& watchdog) {
  std::int64_t bytes = 0;
  for (const auto& file : index.files) bytes += file.bytes;
  const Duration before = watchdog.deadline();
  watchdog.set_deadline(before + reading_allowance(bytes));
  agree_by_host(ranks, [&] {
    expect_unchanged(index);
    expect_readable(index, seed);
  });
  watchdog.set_deadline(before);
}

}  // namespace

StagedData stage_on_nodes(Plan& plan, RankContext& ranks, Watchdog& watchdog) {
  StagedData result;
  const std::int64_t bytes = bytes_to_stage(plan.dataset);
  if (plan.training.data.stage != Stage::kNodeLocal || bytes == 0) return result;
  constexpr std::size_t kMostPath = 4096;
  char* const path = reinterpret_cast<char*>(ranks.node_shared(kMostPath));
  const Duration before = watchdog.deadline();
  watchdog.set_deadline(before + stage_allowance(plan.dataset));
  const SteadyTime begin = std::chrono::steady_clock::now();
  std::int64_t copied = 0;
  agree_by_host(ranks, [&] {
    const std::string folder = stage_folder().string();
    if (folder.size() >= kMostPath) throw DataError("REGATTA_STAGE: expected a shorter path, found " + folder);
    folder.copy(path, folder.size());
    path[folder.size()] = '\0';
    Staged staged = stage_dataset(plan.dataset, folder);
    copied = staged.copied_bytes;
    result.lock.emplace(std::move(staged.lock));
  });
  ranks.node_barrier();  // the path is there
  watchdog.set_deadline(before);
  const double took_s = seconds(std::chrono::steady_clock::now() - begin);
  std::int64_t all_copied = 0, nodes = 0;
  for (const auto& text : ranks.gather(ranks.local_rank() == 0 ? std::to_string(copied) : "")) {
    if (text.empty()) continue;
    ++nodes;
    all_copied += std::stoll(text);
  }
  if (ranks.rank() == 0)
    result.record = {
        {"folder", path}, {"nodes", nodes}, {"bytes", bytes}, {"copied_bytes", all_copied}, {"seconds", took_s}};
  plan.dataset = staged_index(std::move(plan.dataset), path);
  return result;
}

NodeDataset decode_on_node(const Plan& plan, RankContext& ranks, Watchdog& watchdog) {
  const DatasetIndex& index = plan.dataset;
  if (plan.streamed) {
    expect_unchanged_on_node(index, plan.training.train.seed, ranks, watchdog);
    return {{.count = index.train_count}, {.count = index.test_count}};
  }
  const Layout layout(index);
  std::byte* block = ranks.node_shared(layout.bytes);
  const RawSamples train = at(block, 0, layout.train_labels);
  const RawSamples test = at(block, layout.test_pixels, layout.test_labels);

  const Duration before = watchdog.deadline();
  watchdog.set_deadline(before + reading_allowance(index.bytes_to_decode()));
  agree_by_host(ranks, [&] {
    const std::uint64_t seed = plan.training.train.seed;
    decode_split(index, seed, Split::kTrain, train);
    if (index.test_count > 0) decode_split(index, seed, Split::kTest, test);
  });
  ranks.node_barrier();  // orders the decoder's writes before the others' reads
  watchdog.set_deadline(before);
  return {{index.train_count, train.pixels, train.labels}, {index.test_count, test.pixels, test.labels}};
}

}  // namespace regatta
