#include "jobs/model_fit.hpp"

#include <fmt/ranges.h>

#include "common/error.hpp"

namespace regatta {

std::optional<Misfit> model_misfit(const ModelSpec& model, const DatasetIndex& data) {
  if (model.kind != ModelKind::kMlp && model.kind != ModelKind::kCnn)
    return Misfit{"model.kind", fmt::format("not in this version (expected mlp or cnn, found {})", to_text(model.kind)),
                  "write kind: cnn, for example"};
  if (model.kind != ModelKind::kCnn) return {};
  const std::vector<std::int64_t>& shape = data.sample_shape;
  if (const std::size_t sizes = with_default_sizes(model).channels.size(); sizes != 2)
    return Misfit{"model.channels", fmt::format("cnn has two convolutions (expected 2 sizes, found {})", sizes),
                  "write channels: [8, 16], for example"};
  constexpr std::int64_t kLeast = 4;  // two pools of 2 x 2 leave nothing of less
  if (shape.size() != 3 || shape[1] < kLeast || shape[2] < kLeast)
    return Misfit{
        "model.kind",
        fmt::format("cnn does not fit the data (expected samples (C, H, W) with H and W of at least {}, found "
                    "({}))",
                    kLeast, fmt::join(shape, ", ")),
        "write kind: mlp, or take larger images"};
  return {};
}

void check_model_fits(const JobSpec& job, const DatasetIndex& data) {
  if (const auto misfit = model_misfit(job.model, data))
    throw ConfigError({job.source.finding(misfit->key, misfit->message, misfit->advice)});
}

}  // namespace regatta
