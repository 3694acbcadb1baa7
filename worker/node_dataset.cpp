#include "worker/node_dataset.hpp"

#include <cstddef>

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

void expect_unchanged_on_node(const DatasetIndex& index, RankContext& ranks, Watchdog& watchdog) {
  std::int64_t bytes = 0;
  for (const auto& file : index.files) bytes += file.bytes;
  const Duration before = watchdog.deadline();
  watchdog.set_deadline(before + reading_allowance(bytes));
  agree(ranks, [&] {
    if (ranks.local_rank() == 0) expect_unchanged(index);
  });
  watchdog.set_deadline(before);
}

}  // namespace

NodeDataset decode_on_node(const Plan& plan, RankContext& ranks, Watchdog& watchdog) {
  const DatasetIndex& index = plan.dataset;
  if (plan.streamed) {
    expect_unchanged_on_node(index, ranks, watchdog);
    return {{.count = index.train_count}, {.count = index.test_count}};
  }
  const Layout layout(index);
  std::byte* block = ranks.node_shared(layout.bytes);
  const RawSamples train = at(block, 0, layout.train_labels);
  const RawSamples test = at(block, layout.test_pixels, layout.test_labels);

  const Duration before = watchdog.deadline();
  watchdog.set_deadline(before + reading_allowance(index.bytes_to_decode()));
  agree(ranks, [&] {
    if (ranks.local_rank() != 0) return;
    const std::uint64_t seed = plan.training.train.seed;
    decode_split(index, seed, Split::kTrain, train);
    if (index.test_count > 0) decode_split(index, seed, Split::kTest, test);
  });
  ranks.node_barrier();  // orders the decoder's writes before the others' reads
  watchdog.set_deadline(before);
  return {{index.train_count, train.pixels, train.labels}, {index.test_count, test.pixels, test.labels}};
}

}  // namespace regatta
