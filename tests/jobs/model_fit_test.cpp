#include "jobs/model_fit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.hpp"
#include "jobs/spec_reader.hpp"

namespace regatta {
namespace {

DatasetIndex images(std::vector<std::int64_t> shape) {
  DatasetIndex data;
  data.sample_shape = std::move(shape);
  data.classes = 10;
  return data;
}

TEST(ModelFit, TwoPoolsNeedFourPixelsEachWay) {
  const ModelSpec cnn{.kind = ModelKind::kCnn}, mlp{.kind = ModelKind::kMlp};
  for (const auto& shape : {std::vector<std::int64_t>{1, 4, 4}, {3, 5, 7}, {1, 28, 30}}) {
    EXPECT_FALSE(model_misfit(cnn, images(shape))) << shape[1] << " x " << shape[2];
    EXPECT_FALSE(model_misfit(mlp, images(shape)));
  }
  for (const auto& shape : {std::vector<std::int64_t>{1, 3, 3}, {1, 3, 28}, {1, 28, 3}}) {
    EXPECT_TRUE(model_misfit(cnn, images(shape))) << shape[1] << " x " << shape[2];
    EXPECT_FALSE(model_misfit(mlp, images(shape)));
  }
}

TEST(ModelFit, EachModelHasItsKindOfSamples) {
  const DatasetIndex pixels = images({3, 1, 1}), characters = images({64});
  EXPECT_FALSE(model_misfit({.kind = ModelKind::kResnet18}, pixels));
  EXPECT_TRUE(model_misfit({.kind = ModelKind::kResnet18}, characters));
  EXPECT_TRUE(model_misfit({.kind = ModelKind::kLstm}, pixels));
  EXPECT_FALSE(model_misfit({.kind = ModelKind::kLstm}, characters));
}

TEST(ModelFit, ChannelsAreAsManyAsStages) {
  EXPECT_TRUE(model_misfit({.kind = ModelKind::kCnn, .channels = {8}}, images({1, 28, 28})));
  EXPECT_TRUE(model_misfit({.kind = ModelKind::kResnet18, .channels = {8, 16, 32}}, images({1, 28, 28})));
}

TEST(ModelFit, AModelLargerThanMemoryIsRefusedBeforeAnythingIsLaunched) {
  const JobSpec job = read_job_text(R"(name: large
model: {kind: mlp, hidden: [32000, 32000]}
data: {format: synthetic, samples: 64, shape: [1, 8, 8], classes: 2}
train: {batch: 8, optimizer: {momentum: 0.9}}
stop: {epochs: 1}
configurations:
  - {name: small, ranks: 1, train: {precision: fp32}}
  - {name: large, ranks: 1, train: {precision: fp64}}
)",
                                    "job.yaml", "/");
  check_model_fits(job, images({1, 8, 8}), 25'000'000'000);
  try {
    check_model_fits(job, images({1, 8, 8}), 24'000'000'000);
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "job.yaml:2:1: model: weights, gradients and the optimizer's state do not fit (expected at most 24.0 "
                 "GB, the memory of this host, found 24.6 GB)\n  write smaller sizes, or train where there is more "
                 "memory");
  }
}

TEST(ModelFit, IsToldAtItsPlaceInTheFile) {
  const JobSpec job = read_job_text(R"(name: small
model: {kind: cnn}
data: {format: synthetic, samples: 64, shape: [1, 3, 3], classes: 2}
train: {batch: 8}
stop: {epochs: 1}
configurations: [{name: one, ranks: 1}]
)",
                                    "job.yaml", "/");
  try {
    check_model_fits(job, images({1, 3, 3}));
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "job.yaml:2:9: model.kind: cnn does not fit the data (expected samples (C, H, W) with H and W of at "
                 "least 4, found (1, 3, 3))\n  write kind: mlp, or take larger images");
  }
}

}  // namespace
}  // namespace regatta
