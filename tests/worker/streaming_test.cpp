// Samples that are read one by one give the same batches, to the bit, as samples that lie decoded in memory.

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <atomic>
#include <set>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/jobs/idx_data.hpp"
#include "tests/support/image_files.hpp"
#include "tests/support/process.hpp"
#include "tests/worker/worker_samples.hpp"
#include "worker/loader.hpp"

namespace regatta {
namespace {

using test::TemporaryFolder;

/// A dataset as a job names it, and decoded as a whole.
struct Decoded {
  explicit Decoded(const DataSpec& data) : plan(test::small_plan(1, 7, {2, 1})) {
    plan.training.data = data;
    plan.training.train.accumulate = 2;
    plan.dataset = index_dataset(data, plan.training.train.seed);
    train = decode(Split::kTrain, train_pixels, train_labels);
    test = decode(Split::kTest, test_pixels, test_labels);
  }

  DecodedSplit decode(Split split, std::vector<std::uint8_t>& pixels, std::vector<std::int64_t>& labels) const {
    const std::int64_t count = plan.dataset.count(split);
    pixels.resize(static_cast<std::size_t>(count * plan.dataset.sample_bytes()));
    labels.resize(static_cast<std::size_t>(count));
    decode_split(plan.dataset, plan.training.train.seed, split, {pixels.data(), labels.data()});
    return {count, pixels.data(), labels.data()};
  }

  Plan plan;
  std::vector<std::uint8_t> train_pixels, test_pixels;
  std::vector<std::int64_t> train_labels, test_labels;
  DecodedSplit train, test;
};

void expect_equal(const Batch& streamed, const Batch& expected) {
  EXPECT_TRUE(streamed.inputs.equal(expected.inputs));
  EXPECT_TRUE(streamed.targets.equal(expected.targets));
  EXPECT_EQ(streamed.samples, expected.samples);
  EXPECT_EQ(streamed.parts, expected.parts);
  EXPECT_EQ(streamed.global_samples, expected.global_samples);
}

void expect_same_batches(const DataSpec& data) {
  const Decoded decoded(data);
  Plan plan = decoded.plan;
  const NodeDataset in_memory{decoded.train, decoded.test};
  const NodeDataset counts{{.count = decoded.train.count}, {.count = decoded.test.count}};
  for (int rank = 0; rank < 2; ++rank) {
    plan.streamed = false;
    const auto expected = make_loader(plan, open_source(plan, in_memory, Split::kTrain), rank);
    const auto expected_test = make_evaluation_source(plan, open_source(plan, in_memory, Split::kTest), rank);
    plan.streamed = true;
    const auto streamed = make_loader(plan, open_source(plan, counts, Split::kTrain), rank);
    const auto streamed_test = make_evaluation_source(plan, open_source(plan, counts, Split::kTest), rank);
    for (const int epoch : {1, 2}) {
      expected->start_epoch(epoch);
      streamed->start_epoch(epoch);
      for (std::int64_t b = 0; b < expected->batches_per_epoch(); ++b) expect_equal(streamed->next(), expected->next());
    }
    ASSERT_EQ(streamed_test->batches(), expected_test->batches());
    for (std::int64_t b = 0; b < expected_test->batches(); ++b)
      expect_equal(streamed_test->batch(b), expected_test->batch(b));
  }
}

TEST(Streaming, GivesTheBatchesOfIdxInMemory) {
  const TemporaryFolder folder;
  expect_same_batches(write_idx(folder, test::tiny_idx()));
}

TEST(Streaming, GivesTheBatchesOfSyntheticImagesInMemory) {
  DataSpec data{.format = DataFormat::kSynthetic, .augment = {"crop", "flip"}};
  data.synthetic = {.samples = 45, .shape = {3, 9, 11}, .classes = 4};
  expect_same_batches(data);
}

TEST(Streaming, GivesTheBatchesOfAnImageFolderInMemory) {
  const TemporaryFolder folder;
  test::write_image_folder(folder, 9, 4, 11, 13);
  DataSpec data{.format = DataFormat::kImageFolder, .path = folder.path(), .augment = {"crop", "flip"}};
  expect_same_batches(data);
  data.size = {5, 20};  // resized
  expect_same_batches(data);
}

TEST(Streaming, GivesTheBatchesOfTextInMemory) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 700; ++i) text += static_cast<char>('a' + i * i % 23);
  write_file_atomically(folder.path() / "text.txt", text);
  expect_same_batches({.format = DataFormat::kText, .path = folder.path() / "text.txt", .length = 12});
  DataSpec synthetic{.format = DataFormat::kSynthetic};
  synthetic.synthetic = {.samples = 45, .length = 9, .vocabulary = 17};
  expect_same_batches(synthetic);
}

/// Says how many samples were asked for, and hands out one buffer.
class CountingSource final : public SampleSource {
 public:
  explicit CountingSource(std::atomic<std::int64_t>& count) : count_(count) {}
  RawSample sample(std::int64_t number) override {
    ++count_;
    byte_.assign(test::SmallDataset::kSampleBytes, static_cast<std::uint8_t>(number));
    return {byte_.data(), 0};
  }

 private:
  std::atomic<std::int64_t>& count_;
  std::vector<std::uint8_t> byte_;
};

TEST(Streaming, ReadsAtMostTwoBatchesAheadIntoThreeBuffers) {
  constexpr std::int64_t kCount = 64, kBatch = 4;
  const Plan plan = test::small_plan(kCount, kBatch, {1});
  std::atomic<std::int64_t> read{0};
  const auto loader = make_loader(plan, std::make_unique<CountingSource>(read), 0);
  loader->start_epoch(1);
  std::set<const void*> buffers;
  for (std::int64_t b = 0; b < loader->batches_per_epoch(); ++b) {
    buffers.insert(loader->next().inputs.const_data_ptr());
    const std::int64_t ahead = std::min((b + 3) * kBatch, kCount);
    EXPECT_TRUE(test::wait_until([&] { return read == ahead; })) << "batch " << b << ", read " << read;
    EXPECT_LE(read, ahead);
  }
  EXPECT_EQ(buffers.size(), 3U);
}

TEST(Streaming, KeepsOneSampleAtATime) {
  const Decoded decoded(
      {.format = DataFormat::kSynthetic, .synthetic = {.samples = 20, .shape = {1, 4, 4}, .classes = 2}});
  const auto source = streamed_samples(decoded.plan, Split::kTrain);
  const std::uint8_t* const staged = source->sample(0).bytes;
  for (std::int64_t sample = 1; sample < 20; ++sample) EXPECT_EQ(source->sample(sample).bytes, staged);
}

TEST(Streaming, TellsTheTrainerWhatCouldNotBeRead) {
  const TemporaryFolder folder;
  Decoded decoded(write_idx(folder, test::tiny_idx()));
  decoded.plan.streamed = true;
  const auto source = [&] { return open_source(decoded.plan, NodeDataset{}, Split::kTrain); };
  const auto loader = make_loader(decoded.plan, source(), 0);
  test::Files damaged = test::tiny_idx();
  for (auto& [name, content] : damaged) content.resize(content.size() / 2);
  write_idx(folder, damaged);
  loader->start_epoch(1);
  EXPECT_THROW(loader->next(), DataError);
}

/// A context whose memory nobody may ask for.
class NoMemory final : public RankContext {
 public:
  int rank() const override { return solo_->rank(); }
  int world_size() const override { return solo_->world_size(); }
  int local_rank() const override { return solo_->local_rank(); }
  int local_size() const override { return solo_->local_size(); }
  void barrier() override { solo_->barrier(); }
  void node_barrier() override { solo_->node_barrier(); }
  void allreduce(std::span<double> values, Reduce op) override { solo_->allreduce(values, op); }
  std::string broadcast(std::string text) override { return solo_->broadcast(std::move(text)); }
  std::vector<std::string> gather(std::string text) override { return solo_->gather(std::move(text)); }
  std::byte* node_shared(std::size_t) override { throw std::logic_error("a streamed dataset needs no block"); }
  void abandon() override { solo_->abandon(); }

 private:
  std::unique_ptr<RankContext> solo_ = make_solo_context();
};

TEST(Streaming, TakesNoNodeMemoryAndFindsAChangedFileBeforeItStarts) {
  const TemporaryFolder folder;
  Decoded decoded(write_idx(folder, test::tiny_idx()));
  decoded.plan.streamed = true;
  NoMemory ranks;
  Watchdog watchdog(std::chrono::minutes(1), [](const std::string&) {});
  const NodeDataset data = decode_on_node(decoded.plan, ranks, watchdog);
  EXPECT_EQ(data.train.count, 4);
  EXPECT_EQ(data.test.count, 2);
  EXPECT_EQ(data.train.pixels, nullptr);

  test::Files changed = test::tiny_idx();
  changed["train-images-idx3-ubyte"].back() ^= 1;
  write_idx(folder, changed);
  try {
    decode_on_node(decoded.plan, ranks, watchdog);
    FAIL() << "a changed file";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kData);
    EXPECT_THAT(error.what(), testing::HasSubstr("changed after it was indexed"));
  }
}

}  // namespace
}  // namespace regatta
