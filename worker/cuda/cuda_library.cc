#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include "absl/strings/str_cat.h"
#include "worker/cuda/cuda_api.h"
#include "worker/cuda/nccl_collective.h"

namespace cherry::trainer {
namespace {

constexpr NcclApi kNccl = {
    .get_unique_id = ncclGetUniqueId,
    .comm_init_rank_config = ncclCommInitRankConfig,
    .comm_get_async_error = ncclCommGetAsyncError,
    .comm_finalize = ncclCommFinalize,
    .comm_destroy = ncclCommDestroy,
    .comm_abort = ncclCommAbort,
    .group_start = ncclGroupStart,
    .group_end = ncclGroupEnd,
    .all_reduce = ncclAllReduce,
    .error_string = ncclGetErrorString,
    .stream_create = cudaStreamCreateWithFlags,
    .stream_destroy = cudaStreamDestroy,
    .stream_wait_event = cudaStreamWaitEvent,
    .event_create = cudaEventCreateWithFlags,
    .event_destroy = cudaEventDestroy,
    .event_record = cudaEventRecord,
    .event_query = cudaEventQuery,
    .current_stream = [] { return c10::cuda::getCurrentCUDAStream().stream(); },
};

absl::StatusOr<CudaDevice> SetUp() {
  int count = 0;
  const cudaError_t counted = cudaGetDeviceCount(&count);
  if (counted != cudaSuccess) {
    return absl::FailedPreconditionError(absl::StrCat("the driver says: ", cudaGetErrorString(counted)));
  }
  if (count == 0) {
    return absl::FailedPreconditionError("the driver shows no GPU");
  }
  CudaDevice device;
  cudaDeviceProp properties;
  cudaError_t error = cudaGetDeviceProperties(&properties, device.index);
  if (error == cudaSuccess) {
    error = cudaSetDevice(device.index);
  }
  if (error != cudaSuccess) {
    return absl::FailedPreconditionError(absl::StrCat("the GPU cannot be used: ", cudaGetErrorString(error)));
  }
  device.name = properties.name;
  device.memory_bytes = static_cast<int64_t>(properties.totalGlobalMem);
  return device;
}

absl::StatusOr<std::unique_ptr<Collective>> MakeDeviceGroup(int rank, int world_size, Rendezvous* rendezvous,
                                                            absl::Time deadline) {
  NcclOptions options;
  options.rank = rank;
  options.world_size = world_size;
  options.rendezvous_deadline = deadline;
  return MakeNccl(options, kNccl, rendezvous);
}

}  // namespace
}  // namespace cherry::trainer

extern "C" __attribute__((visibility("default"))) const cherry::trainer::CudaApi* cherry_cuda_api() {
  static constexpr cherry::trainer::CudaApi kApi = {cherry::trainer::SetUp, cherry::trainer::MakeDeviceGroup};
  return &kApi;
}
