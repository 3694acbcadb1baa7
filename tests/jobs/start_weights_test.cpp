#include "jobs/start_weights.hpp"

#include <gmock/gmock.h>

#include <deque>
#include <fstream>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "jobs/spec_reader.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

using testing::HasSubstr;

/// Zeros for tensors of any shape; views stay valid as long as it lives.
class Tensors {
 public:
  Tensors& add(const std::string& name, const std::vector<std::int64_t>& shape, const std::string& dtype = "F32") {
    std::size_t bytes = dtype == "F32" ? 4 : 8;
    for (const std::int64_t size : shape) bytes *= static_cast<std::size_t>(size);
    views_.push_back({name, dtype, shape, storage_.emplace_back(bytes)});
    return *this;
  }
  void write(const std::filesystem::path& path) const { write_safetensors(path, views_, {}); }

 private:
  std::deque<std::vector<std::byte>> storage_;
  std::vector<TensorView> views_;
};

class StartWeightsFile : public testing::Test {
 protected:
  JobSpec job(const std::string& model) const {
    return read_job_text("name: a\nmodel: {" + model + R"(, weights: start.safetensors}
data: {format: synthetic, samples: 64, shape: [1, 2, 3], classes: 4}
train: {batch: 8}
stop: {epochs: 1}
configurations: [{name: one, ranks: 1}]
)",
                         "job.yaml", folder_.path());
  }
  std::string message(const std::string& model) const {
    try {
      index_start_weights(job(model), data_);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "start.safetensors";
  DatasetIndex data_{.classes = 4, .sample_shape = {1, 2, 3}};
  const std::string mlp_ = "kind: mlp, hidden: [5]";
};

TEST_F(StartWeightsFile, IsKnownByItsBytes) {
  Tensors().add("1.weight", {5, 6}).add("1.bias", {5}, "F64").add("3.weight", {4, 5}).add("3.bias", {4}).write(path_);
  const auto indexed = index_start_weights(job(mlp_), data_);
  ASSERT_TRUE(indexed) << "any floating-point type will do";
  EXPECT_EQ(indexed->path, path_);
  EXPECT_EQ(indexed->bytes, std::filesystem::file_size(path_));
  EXPECT_EQ(indexed->xxh3, xxh3_file_hex(path_));
  EXPECT_EQ(read_indexed_weights(*indexed).tensors.size(), 4);
  JobSpec without = job(mlp_);
  without.model.weights.reset();
  EXPECT_FALSE(index_start_weights(without, data_));
}

TEST_F(StartWeightsFile, AnotherModelsIsRefusedByName) {
  Tensors().add("1.weight", {5, 7}).add("1.bias", {5}, "I64").add("3.weight", {4, 5}).add("4.bias", {4}).write(path_);
  EXPECT_EQ(
      message(mlp_),
      "job.yaml:2:33: model.weights: the file is another model's: 1.weight: expected floats (5, 6), found F32 (5, "
      "7); 1.bias: expected floats (5), found I64 (5); 3.bias: expected floats (4), found nothing; 4.bias: "
      "expected no such tensor, found F32 (4)\n"
      "  write the kind and sizes that it was trained with, or another file");
}

TEST_F(StartWeightsFile, ManyDifferencesAreCounted) {
  Tensors().add("0.weight", {8, 1, 5, 5}).write(path_);
  EXPECT_THAT(message("kind: resnet18"), HasSubstr("stem.0.weight: expected floats (64, 1, 3, 3), found nothing"));
  EXPECT_THAT(message("kind: resnet18"), HasSubstr("; and 118 more"));
}

TEST_F(StartWeightsFile, ChangedSinceItWasIndexedIsRefused) {
  const auto write = [&](std::int64_t hidden) {
    Tensors().add("1.weight", {5, 6}).add("1.bias", {5}).add("3.weight", {4, hidden}).add("3.bias", {4}).write(path_);
  };
  write(5);
  const auto indexed = index_start_weights(job(mlp_), data_);
  write(6);
  try {
    read_indexed_weights(*indexed);
    FAIL() << "accepted";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("start.safetensors: changed after it was indexed (expected "));
  }
}

TEST_F(StartWeightsFile, DamagedOrMissingSaysSo) {
  EXPECT_THROW(index_start_weights(job(mlp_), data_), DataError);
  std::ofstream(path_) << "not weights";
  EXPECT_THROW(index_start_weights(job(mlp_), data_), DataError);
}

}  // namespace
}  // namespace regatta::test
