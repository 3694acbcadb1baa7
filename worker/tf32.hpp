#pragma once
// train.tf32.

namespace regatta {

/// Products and convolutions of float32 on a GPU round their factors to TensorFloat-32, 10 bits instead of 23, or do
/// not: cuBLAS and cuDNN, also its recurrent layers. Of the whole process and every thread; without a GPU it changes
/// nothing. torch's own default is neither (cuDNN rounds, cuBLAS does not), so call it before training either way.
void use_tf32(bool on);

}  // namespace regatta
