#include "worker/tf32.hpp"

#include <ATen/Context.h>
#include <gtest/gtest.h>

namespace regatta {
namespace {

TEST(Tf32, IsWhatTheJobSaysEverywhere) {
  at::Context& torch = at::globalContext();
  EXPECT_TRUE(torch.allowTF32CuDNN()) << "torch's default, which this is here to change";
  for (const bool on : {false, true, false}) {
    use_tf32(on);
    EXPECT_EQ(torch.allowTF32CuBLAS(), on);
    EXPECT_EQ(torch.allowTF32CuDNN(), on);
    for (const at::Float32Op op : {at::Float32Op::CONV, at::Float32Op::RNN, at::Float32Op::MATMUL})
      EXPECT_EQ(torch.float32Precision(at::Float32Backend::CUDA, op) == at::Float32Precision::TF32, on);
  }
}

}  // namespace
}  // namespace regatta
