// Normal random numbers that depend on a key and a position alone, not on the number of threads.
#ifndef CHERRY_WORKER_KERNELS_NORMAL_KERNEL_H_
#define CHERRY_WORKER_KERNELS_NORMAL_KERNEL_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace cherry::trainer {

// The key of a stream of random numbers: streams of different names are independent.
uint64_t StreamKey(uint64_t seed, absl::string_view name);

// out [count]: independent draws of Normal(0, standard_deviation). Thread-safe.
void FillNormal(uint64_t key, double standard_deviation, int64_t count, float* out);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_NORMAL_KERNEL_H_
