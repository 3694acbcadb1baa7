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

TEST(ModelFit, ThisVersionsModelsAlone) {
  EXPECT_TRUE(model_misfit({.kind = ModelKind::kResnet18}, images({3, 32, 32})));
  EXPECT_TRUE(model_misfit({.kind = ModelKind::kLstm}, images({3, 32, 32})));
  EXPECT_TRUE(model_misfit({.kind = ModelKind::kCnn, .channels = {8}}, images({1, 28, 28})));
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
