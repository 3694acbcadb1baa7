#include "worker/tf32.hpp"

#include <ATen/Context.h>

namespace regatta {

void use_tf32(bool on) {
  at::globalContext().setAllowTF32CuBLAS(on);
  at::globalContext().setAllowTF32CuDNN(on);
}

}  // namespace regatta
