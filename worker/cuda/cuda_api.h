// What libcherry_cuda.so offers to the trainer that opens it.
//
// The library holds all that needs CUDA, so that one trainer serves hosts with and without it. Both sides are
// built from one tree; only status codes and messages cross, no details.
#ifndef CHERRY_WORKER_CUDA_CUDA_API_H_
#define CHERRY_WORKER_CUDA_CUDA_API_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/parallel/collective.h"
#include "worker/parallel/rendezvous.h"

namespace cherry::trainer {

struct CudaDevice {
  int index = 0;
  std::string name;
  int64_t memory_bytes = 0;
};

struct CudaApi {
  // Makes the first visible GPU this process's device. kFailedPrecondition tells what is missing.
  absl::StatusOr<CudaDevice> (*set_up)();
  // A collective over NCCL on that device; the id of the group travels through `rendezvous`.
  absl::StatusOr<std::unique_ptr<Collective>> (*make_collective)(int rank, int world_size,
                                                                 Rendezvous* rendezvous, absl::Time deadline);
};

// The one symbol that is looked up by name: const CudaApi* cherry_cuda_api().
using CudaApiFunction = const CudaApi* (*)();
inline constexpr char kCudaApiSymbol[] = "cherry_cuda_api";
inline constexpr char kCudaLibrary[] = "libcherry_cuda.so";

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_CUDA_CUDA_API_H_
