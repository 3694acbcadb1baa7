#include "jobs/data_placement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.hpp"
#include "tests/jobs/idx_data.hpp"

namespace regatta {
namespace {

using test::TemporaryFolder;
using testing::HasSubstr;

DataSpec made_images(std::int64_t samples) {
  DataSpec data;
  data.format = DataFormat::kSynthetic;
  data.synthetic = {.samples = samples, .shape = {1, 8, 8}, .classes = 2};
  return data;
}

TEST(DataPlacement, WhatFitsToTheByteIsDecoded) {
  // 1000 + 100 samples of 64 bytes with a label of 8.
  const DatasetIndex index = index_dataset(made_images(1000), 1);
  EXPECT_FALSE(must_stream(index, {.bytes = 1100 * 72}));
  EXPECT_TRUE(must_stream(index, {.bytes = 1100 * 72 - 1}));
  EXPECT_EQ(memory_limit(made_images(1), 17).bytes, 17);
  DataSpec stated = made_images(1);
  stated.memory_bytes = 5;
  EXPECT_EQ(memory_limit(stated, 17).bytes, 5);
}

TEST(DataPlacement, MoreThanAnyMemoryIsIndexedAtOnceAndStreamed) {
  const DatasetIndex index = index_dataset(made_images(1'000'000'000'000), 1);
  EXPECT_TRUE(must_stream(index, memory_limit(made_images(1))));
}

TEST(DataPlacement, AGzipFileThatDoesNotFitIsRefused) {
  TemporaryFolder raw, packed;
  test::Files files = test::tiny_idx();
  DataSpec data = write_idx(raw, files);  // 6 samples of 6 bytes with a label of 8
  data.memory_bytes = 83;
  EXPECT_TRUE(must_stream(index_dataset(data, 1), memory_limit(data)));
  files["train-images-idx3-ubyte"] = test::gzip(files["train-images-idx3-ubyte"]);
  data = write_idx(packed, files);
  data.memory_bytes = 84;
  EXPECT_FALSE(must_stream(index_dataset(data, 1), memory_limit(data)));
  data.memory_bytes = 83;
  try {
    index_dataset(data, 1);
    FAIL() << "accepted";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("which is data.memory"));
    EXPECT_THAT(error.what(), HasSubstr("out of a gzip file"));
    EXPECT_THAT(error.what(), HasSubstr("\n  unpack the .gz files"));
  }
  data.memory_bytes.reset();
  try {
    index_dataset(data, 1, 83);
    FAIL() << "accepted";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("the memory of this host"));
  }
}

}  // namespace
}  // namespace regatta
