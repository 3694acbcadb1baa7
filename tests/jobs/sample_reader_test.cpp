#include "jobs/sample_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <vector>

#include "common/error.hpp"
#include "tests/jobs/decoded.hpp"
#include "tests/jobs/idx_data.hpp"

namespace regatta {
namespace {

using test::TemporaryFolder;
using testing::HasSubstr;

/// Every sample of both splits, read backwards, is what decode_split gives.
void expect_as_decoded(const DatasetIndex& index, std::uint64_t seed) {
  ASSERT_TRUE(can_read_samples(index));
  EXPECT_NO_THROW(expect_unchanged(index));
  for (const Split split : {Split::kTrain, Split::kTest})
    EXPECT_EQ(test::read_backwards(index, split, seed), test::decoded(index, split, seed));
}

TEST(SampleReader, RawIdxIsReadAsItIsDecoded) {
  TemporaryFolder folder;
  expect_as_decoded(index_dataset(write_idx(folder, test::tiny_idx()), 1), 1);
}

TEST(SampleReader, SyntheticImagesAreReadAsTheyAreDecoded) {
  DataSpec data;
  data.format = DataFormat::kSynthetic;
  data.synthetic.samples = 30;
  data.synthetic.shape = {3, 5, 7};
  data.synthetic.classes = 4;
  expect_as_decoded(index_dataset(data, 9), 9);
}

TEST(SampleReader, CannotReadOutOfTheMiddleOfAGzipFile) {
  TemporaryFolder folder;
  test::Files files = test::tiny_idx();
  files["t10k-images-idx3-ubyte"] = test::gzip(files["t10k-images-idx3-ubyte"]);
  EXPECT_FALSE(can_read_samples(index_dataset(write_idx(folder, files), 1)));
}

TEST(SampleReader, AnIdxFileThatChangesIsNoticed) {
  TemporaryFolder folder;
  test::Files files = test::tiny_idx();
  const DatasetIndex index = index_dataset(write_idx(folder, files), 1);
  const auto reader = open_samples(index, 1, Split::kTrain);
  std::vector<std::uint8_t> image(6);
  EXPECT_EQ(reader->read(1, image.data()), 1);
  files["train-images-idx3-ubyte"].back() = 99;  // still a valid set of the same size
  write_idx(folder, files);
  const auto written = folder.path() / "train-images-idx3-ubyte";
  std::filesystem::last_write_time(written, std::filesystem::last_write_time(written) + std::chrono::seconds(1));
  const auto expect_changed = [](const auto& act) {
    try {
      act();
      ADD_FAILURE() << "a changed file was accepted";
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr("train-images-idx3-ubyte: changed after it was indexed"));
      EXPECT_THAT(error.what(), HasSubstr("\n  leave the data alone"));
    }
  };
  expect_changed([&] { reader->read(1, image.data()); });
  expect_changed([&] { expect_unchanged(index); });
  files["train-images-idx3-ubyte"].resize(30);  // cut while it trains
  write_idx(folder, files);
  expect_changed([&] { reader->read(3, image.data()); });
}

}  // namespace
}  // namespace regatta
