#include "jobs/model_fit.hpp"

#include <fmt/ranges.h>

#include "common/error.hpp"
#include "jobs/model_layout.hpp"

namespace regatta {

namespace {

std::string list_text(const std::vector<std::int64_t>& sizes) {
  return fmt::format("({})", fmt::join(sizes, ", "));
}

/// The model wants images of at least `least` pixels each way.
std::optional<Misfit> image_misfit(const ModelSpec& model, const DatasetIndex& data, std::int64_t least) {
  const std::vector<std::int64_t>& shape = data.sample_shape;
  if (shape.size() == 3 && shape[1] >= least && shape[2] >= least) return {};
  return Misfit{"model.kind",
                fmt::format("{} does not fit the data (expected samples (C, H, W) with H and W of at least {}, found "
                            "{})",
                            to_text(model.kind), least, list_text(shape)),
                "write kind: mlp, or take larger images"};
}

std::optional<Misfit> channels_misfit(const ModelSpec& model, std::size_t expected, const char* stages,
                                      const char* example) {
  const std::size_t sizes = with_default_sizes(model).channels.size();
  if (sizes == expected) return {};
  return Misfit{"model.channels",
                fmt::format("{} has {} (expected {} sizes, found {})", to_text(model.kind), stages, expected, sizes),
                fmt::format("write channels: {}, for example", example)};
}

}  // namespace

std::optional<Misfit> model_misfit(const ModelSpec& model, const DatasetIndex& data) {
  switch (model.kind) {
    case ModelKind::kMlp:
      return {};
    case ModelKind::kCnn:
      if (auto misfit = channels_misfit(model, 2, "two convolutions", "[8, 16]")) return misfit;
      return image_misfit(model, data, 4);  // two pools of 2 x 2 leave nothing of less
    case ModelKind::kResnet18:
      if (auto misfit = channels_misfit(model, 4, "four stages", "[64, 128, 256, 512]")) return misfit;
      return image_misfit(model, data, 1);
    case ModelKind::kLstm:
      if (data.is_text()) return {};
      return Misfit{"model.kind",
                    "lstm does not fit the data (expected text, found samples " + list_text(data.sample_shape) + ")",
                    "write kind: mlp, or take text"};
  }
  return {};
}

std::optional<Misfit> memory_misfit(const ModelSpec& model, const DatasetIndex& data, const TrainSpec& train,
                                    std::int64_t memory_bytes) {
  const double needed = training_bytes(model_layout(model, data), train);
  if (needed <= static_cast<double>(memory_bytes)) return {};
  constexpr double kGigabyte = 1e9;
  return Misfit{"model",
                fmt::format("weights, gradients and the optimizer's state do not fit (expected at most {:.1f} GB, the "
                            "memory of this host, found {:.1f} GB)",
                            static_cast<double>(memory_bytes) / kGigabyte, needed / kGigabyte),
                "write smaller sizes, or train where there is more memory"};
}

void check_model_fits(const JobSpec& job, const DatasetIndex& data, std::int64_t memory_bytes) {
  const auto expect = [&](const std::optional<Misfit>& misfit) {
    if (misfit) throw ConfigError({job.source.finding(misfit->key, misfit->message, misfit->advice)});
  };
  expect(model_misfit(job.model, data));
  for (const ConfigurationSpec& configuration : job.configurations)
    expect(memory_misfit(job.model, data, configuration.train, memory_bytes));
}

}  // namespace regatta
