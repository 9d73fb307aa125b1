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

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cherry/v1/trainer.pb.h"

#endif  // CHERRY_WORKER_KERNELS_TORCH_PCH_H_
