// Precompiled for all code that uses LibTorch: its headers cost 7 to 17 s a file otherwise. Files still
// include what they use.
#ifndef CHERRY_WORKER_KERNELS_TORCH_PCH_H_
#define CHERRY_WORKER_KERNELS_TORCH_PCH_H_

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#endif  // CHERRY_WORKER_KERNELS_TORCH_PCH_H_
