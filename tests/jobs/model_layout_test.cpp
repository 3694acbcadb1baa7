#include "jobs/model_layout.hpp"

#include <gmock/gmock.h>

#include "jobs/model_fit.hpp"

namespace regatta {
namespace {

DatasetIndex samples(std::vector<std::int64_t> shape, std::int64_t classes) {
  DatasetIndex data;
  data.sample_shape = std::move(shape);
  data.classes = classes;
  return data;
}

std::vector<std::string> described(const ModelLayout& layout) {
  std::vector<std::string> lines;
  for (const TensorLayout& tensor : layout) {
    std::string line = tensor.name;
    for (const std::int64_t size : tensor.shape) line += " " + std::to_string(size);
    lines.push_back(line);
  }
  return lines;
}

TEST(ModelLayout, ListsTensorsAsStateDictDoes) {
  const ModelSpec cnn{.kind = ModelKind::kCnn, .channels = {2, 3}};
  EXPECT_THAT(described(model_layout(cnn, samples({1, 9, 8}, 5))),
              testing::ElementsAre("0.weight 2 1 5 5", "0.bias 2", "3.weight 3 2 5 5", "3.bias 3", "7.weight 5 12",
                                   "7.bias 5"));
  const ModelSpec lstm{.kind = ModelKind::kLstm, .embedding = 3, .hidden_size = 4, .layers = 1};
  EXPECT_THAT(described(model_layout(lstm, samples({9}, 7))),
              testing::ElementsAre("emb.weight 7 3", "rnn.weight_ih_l0 16 3", "rnn.weight_hh_l0 16 4",
                                   "rnn.bias_ih_l0 16", "rnn.bias_hh_l0 16", "fc.weight 7 4", "fc.bias 7"));
  const ModelSpec resnet18{.kind = ModelKind::kResnet18, .channels = {2, 3, 4, 5}};
  const auto lines = described(model_layout(resnet18, samples({3, 8, 8}, 7)));
  EXPECT_EQ(lines.size(), 62 + 60);
  EXPECT_THAT(lines, testing::Contains("body.2.sc.0.weight 3 2 1 1"));
  EXPECT_EQ(lines[5], "stem.1.num_batches_tracked");
}

TEST(ModelLayout, AShortcutConvolvesWhereTheShapeChanges) {
  const ModelSpec same{.kind = ModelKind::kResnet18, .channels = {4, 4, 4, 4}};
  std::vector<std::string> shortcuts;
  for (const std::string& line : described(model_layout(same, samples({3, 8, 8}, 7))))
    if (line.find("sc.0.weight") != std::string::npos) shortcuts.push_back(line);
  EXPECT_THAT(shortcuts, testing::ElementsAre("body.2.sc.0.weight 4 4 1 1", "body.4.sc.0.weight 4 4 1 1",
                                              "body.6.sc.0.weight 4 4 1 1"))
      << "a stride of 2 changes it too";
}

TEST(ModelLayout, MemoryIsWeightsGradientsAndState) {
  const ModelSpec mlp{.kind = ModelKind::kMlp, .hidden = {10}};
  const DatasetIndex data = samples({1, 2, 5}, 3);
  const ModelLayout layout = model_layout(mlp, data);
  const double numbers = 10 * 10 + 10 + 10 * 3 + 3;
  EXPECT_EQ(training_bytes(layout, {}), 4 * 2 * numbers);
  EXPECT_EQ(training_bytes(layout, {.optimizer = {.momentum = 0.9}, .precision = Precision::kFp64}), 8 * 3 * numbers);
  EXPECT_EQ(training_bytes(layout, {.optimizer = default_optimizer(OptimizerKind::kAdamw)}), 4 * 4 * numbers);
  EXPECT_FALSE(memory_misfit(mlp, data, {}, static_cast<std::int64_t>(4 * 2 * numbers)));
  EXPECT_TRUE(memory_misfit(mlp, data, {}, static_cast<std::int64_t>(4 * 2 * numbers) - 1));
}

TEST(ModelLayout, SizesBeyondSixtyFourBitsAreStillCounted) {
  const ModelSpec cnn{.kind = ModelKind::kCnn, .channels = {1'000'000, 1'000'000}};
  const auto misfit = memory_misfit(cnn, samples({3, 65'536, 65'536}, 1'000'000), {}, std::int64_t{1} << 40);
  ASSERT_TRUE(misfit);
  EXPECT_EQ(misfit->key, "model");
  EXPECT_THAT(misfit->message, testing::HasSubstr("expected at most 1099.5 GB"));
}

}  // namespace
}  // namespace regatta
