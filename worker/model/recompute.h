// Activation checkpointing (Chen et al., 2016): compute now, keep only the input, compute again in backward.
#ifndef CHERRY_WORKER_MODEL_RECOMPUTE_H_
#define CHERRY_WORKER_MODEL_RECOMPUTE_H_

#include <ATen/core/Tensor.h>

#include <functional>

namespace cherry::trainer {

// run(x), with the same value and gradients. `run` must be a pure function of x and of leaf tensors, which
// get their gradients in backward; whatever it refers to must live until then.
at::Tensor Recompute(const std::function<at::Tensor(const at::Tensor&)>& run, const at::Tensor& x);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_MODEL_RECOMPUTE_H_
