#pragma once
// A model around another one that has memory for so many samples and no more, and then throws what CUDA's allocator
// does.

#include <c10/util/Exception.h>

#include <memory>
#include <utility>

#include "jobs/models.hpp"

namespace regatta::test {

/// Its tensors are the inner one's. Not for models that share statistics.
class SmallMemoryModel final : public Model {
 public:
  SmallMemoryModel(std::unique_ptr<Model> inner, std::int64_t most)
      : Model({inner->parameters(), inner->buffers()}, {}), inner_(std::move(inner)), most_(most) {}

 private:
  at::Tensor compute(const at::Tensor& inputs) override {
    TORCH_CHECK_WITH(OutOfMemoryError, !training() || inputs.size(0) <= most_,
                     "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 139.81 GiB of "
                     "which 1.13 GiB is free. Including non-PyTorch memory, this process has 138.60 GiB in use.");
    inner_->set_training(training());
    return inner_->forward(inputs);
  }

  std::unique_ptr<Model> inner_;
  std::int64_t most_;
};

}  // namespace regatta::test
