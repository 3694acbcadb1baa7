// A process that links libtorch as the worker does, makes one tensor and waits: what a rank is measured against.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstdio>

int main() {
  at::set_num_threads(1);
  const at::Tensor one = at::ones({1});
  std::printf("%g\n", one.item<double>());
  std::fflush(stdout);
  return std::getchar() == EOF ? 0 : 1;  // until stdin is closed
}
