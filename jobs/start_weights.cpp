#include "jobs/start_weights.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "common/error.hpp"
#include "common/hash.hpp"

namespace regatta {

namespace {

constexpr std::size_t kShown = 5;  // of what may be hundreds

bool fits(const TensorLayout& wanted, const TensorView& found) {
  const bool counts = wanted.kind == TensorLayout::Kind::kCounter;
  return wanted.shape == found.shape && (found.dtype == "I64") == counts;
}

std::string described(const char* type, const std::vector<std::int64_t>& shape) {
  return fmt::format("{} ({})", type, fmt::join(shape, ", "));
}

/// One line a tensor: all that differ.
std::vector<std::string> differences(const ModelLayout& layout, const SafetensorsFile& content) {
  std::map<std::string, const TensorView*> there;
  for (const TensorView& tensor : content.tensors) there[tensor.name] = &tensor;
  std::vector<std::string> lines;
  for (const TensorLayout& wanted : layout) {
    const char* const type = wanted.kind == TensorLayout::Kind::kCounter ? "I64" : "floats";
    const auto found = there.find(wanted.name);
    if (found == there.end()) {
      lines.push_back(fmt::format("{}: expected {}, found nothing", wanted.name, described(type, wanted.shape)));
      continue;
    }
    if (!fits(wanted, *found->second))
      lines.push_back(fmt::format("{}: expected {}, found {}", wanted.name, described(type, wanted.shape),
                                  described(found->second->dtype.c_str(), found->second->shape)));
    there.erase(found);
  }
  for (const auto& [name, tensor] : there)
    lines.push_back(
        fmt::format("{}: expected no such tensor, found {}", name, described(tensor->dtype.c_str(), tensor->shape)));
  return lines;
}

}  // namespace

StartWeights read_start_weights(const std::filesystem::path& path) {
  StartWeights weights;  // filled one by one: g++ 12 frees `file` twice when the initialiser after it throws
  weights.content = read_safetensors(path);
  weights.file.role = "weights";
  weights.file.path = path;
  const std::vector<std::byte>& bytes = weights.content.storage;
  weights.file.bytes = static_cast<std::int64_t>(bytes.size());
  weights.file.xxh3 = to_hex(xxh3_128(bytes.data(), bytes.size()));
  return weights;
}

std::optional<std::string> weights_misfit(const ModelLayout& layout, const SafetensorsFile& content) {
  const std::vector<std::string> lines = differences(layout, content);
  if (lines.empty()) return {};
  const auto shown = static_cast<std::ptrdiff_t>(std::min(lines.size(), kShown));
  std::string text = fmt::format("{}", fmt::join(lines.begin(), lines.begin() + shown, "; "));
  if (lines.size() > kShown) text += fmt::format("; and {} more", lines.size() - kShown);
  return text;
}

std::optional<IndexedFile> index_start_weights(const JobSpec& job, const DatasetIndex& data) {
  if (!job.model.weights) return {};
  const StartWeights weights = read_start_weights(*job.model.weights);
  if (const auto misfit = weights_misfit(model_layout(job.model, data), weights.content))
    throw ConfigError({job.source.finding("model.weights", "the file is another model's: " + *misfit,
                                          "write the kind and sizes that it was trained with, or another file")});
  return weights.file;
}

SafetensorsFile read_indexed_weights(const IndexedFile& indexed) {
  StartWeights weights = read_start_weights(indexed.path);
  if (weights.file.xxh3 != indexed.xxh3)
    throw DataError(
        fmt::format("{}: changed after it was indexed (expected {} bytes with xxh3 {}, found {} with {})\n"
                    "  start the run again, so that it says what it really starts from",
                    indexed.path.string(), indexed.bytes, indexed.xxh3, weights.file.bytes, weights.file.xxh3));
  return std::move(weights.content);
}

}  // namespace regatta
