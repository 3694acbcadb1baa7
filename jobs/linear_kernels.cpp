#include "jobs/linear_kernels.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "jobs/model_layout.hpp"

namespace regatta {

namespace {

constexpr std::array<std::pair<const char*, bool LinearKernel::*>, 3> kProducts{
    {{"forward", &LinearKernel::forward},
     {"input_gradient", &LinearKernel::input_gradient},
     {"weight_gradient", &LinearKernel::weight_gradient}}};

const LinearKernel* find_shape(const LinearKernels& kernels, std::int64_t inputs, std::int64_t outputs) {
  const auto same = [&](const LinearKernel& kernel) { return kernel.inputs == inputs && kernel.outputs == outputs; };
  const auto found = std::find_if(kernels.begin(), kernels.end(), same);
  return found == kernels.end() ? nullptr : &*found;
}

std::int64_t read_size(const Json& json, const char* key) {
  const auto size = json_get<std::int64_t>(json, key);
  if (size < 1) json_bad(key, "at least 1", std::to_string(size));
  return size;
}

}  // namespace

LinearKernel kernel_of(const LinearKernels& kernels, std::int64_t inputs, std::int64_t outputs) {
  const LinearKernel* const found = find_shape(kernels, inputs, outputs);
  return found != nullptr ? *found : LinearKernel{.inputs = inputs, .outputs = outputs};
}

LinearKernels linear_shapes(const ModelSpec& model, const DatasetIndex& data) {
  LinearKernels shapes;
  const ModelLayout layout = model_layout(model, data);
  for (const TensorLayout& tensor : layout) {
    const bool layer = tensor.name.ends_with(".weight") && tensor.shape.size() == 2 && tensor.name != "emb.weight";
    if (layer && find_shape(shapes, tensor.shape[1], tensor.shape[0]) == nullptr)
      shapes.push_back({.inputs = tensor.shape[1], .outputs = tensor.shape[0]});
  }
  return shapes;
}

Json to_json(const LinearKernels& kernels) {
  Json list = Json::array();
  for (const LinearKernel& kernel : kernels) {
    Json products = Json::array();
    for (const auto& [word, product] : kProducts)
      if (kernel.*product) products.push_back(word);
    list.push_back({{"inputs", kernel.inputs}, {"outputs", kernel.outputs}, {"onednn", products}});
  }
  return list;
}

LinearKernels linear_kernels_from_json(const Json& json) {
  if (!json.is_array()) json_bad("kernels", "a list of shapes", json.dump());
  LinearKernels kernels;
  for (const Json& entry : json) {
    LinearKernel kernel{.inputs = read_size(entry, "inputs"), .outputs = read_size(entry, "outputs")};
    for (const auto& word : json_get<std::vector<std::string>>(entry, "onednn")) {
      const auto known =
          std::find_if(kProducts.begin(), kProducts.end(), [&](const auto& p) { return p.first == word; });
      if (known == kProducts.end()) json_bad("onednn", "forward, input_gradient, weight_gradient", "\"" + word + "\"");
      kernel.*known->second = true;
    }
    kernels.push_back(kernel);
  }
  return kernels;
}

}  // namespace regatta
