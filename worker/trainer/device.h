// Where a rank computes.
#ifndef CHERRY_WORKER_TRAINER_DEVICE_H_
#define CHERRY_WORKER_TRAINER_DEVICE_H_

#include <c10/core/Device.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cherry/v1/resources.pb.h"
#include "worker/cuda/cuda_api.h"

namespace cherry::trainer {

struct Device {
  c10::Device torch = c10::Device(c10::kCPU);
  const CudaApi* cuda = nullptr;  // Null on a CPU.
  // What the bits of a result depend on: InstructionSet() of a CPU, the name of a GPU.
  std::string processor;
  int threads = 1;
  double peak_flops = 0.0;  // A second, of dense bf16 products; 0 when it is not known.
};

// The device of `slot`. For a GPU it makes only that one visible and opens libcherry_cuda.so, which must
// happen before the first Torch call. What is missing (library, driver, GPU) is one CUDA_UNAVAILABLE.
absl::StatusOr<Device> OpenDevice(const v1::Slot& slot);

// The peak of a GPU by its name, as its vendor gives it without sparsity; 0 for one that is not in the table.
double PeakFlops(absl::string_view gpu_name);

// REQUIRES: device.cuda != nullptr. Errors as MakeGloo's.
absl::StatusOr<std::unique_ptr<Collective>> MakeDeviceCollective(const Device& device, int rank,
                                                                 int world_size, Rendezvous* rendezvous,
                                                                 absl::Time deadline);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_DEVICE_H_
