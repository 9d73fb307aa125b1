// Sums gradients on GPUs over NCCL, on a stream of its own beside backward.
#ifndef CHERRY_WORKER_CUDA_NCCL_COLLECTIVE_H_
#define CHERRY_WORKER_CUDA_NCCL_COLLECTIVE_H_

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/parallel/collective.h"
#include "worker/parallel/rendezvous.h"

namespace cherry::trainer {

// What the collective calls: the libraries' own functions, or a test's.
struct NcclApi {
  ncclResult_t (*get_unique_id)(ncclUniqueId*);
  ncclResult_t (*comm_init_rank_config)(ncclComm_t*, int, ncclUniqueId, int, ncclConfig_t*);
  ncclResult_t (*comm_get_async_error)(ncclComm_t, ncclResult_t*);
  ncclResult_t (*comm_finalize)(ncclComm_t);
  ncclResult_t (*comm_destroy)(ncclComm_t);
  ncclResult_t (*comm_abort)(ncclComm_t);
  ncclResult_t (*group_start)();
  ncclResult_t (*group_end)();
  ncclResult_t (*all_reduce)(const void*, void*, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t,
                             cudaStream_t);
  const char* (*error_string)(ncclResult_t);
  cudaError_t (*stream_create)(cudaStream_t*, unsigned int);
  cudaError_t (*stream_destroy)(cudaStream_t);
  cudaError_t (*stream_wait_event)(cudaStream_t, cudaEvent_t, unsigned int);
  cudaError_t (*event_create)(cudaEvent_t*, unsigned int);
  cudaError_t (*event_destroy)(cudaEvent_t);
  cudaError_t (*event_record)(cudaEvent_t, cudaStream_t);
  cudaError_t (*event_query)(cudaEvent_t);
  // The stream that the caller's kernels are queued on.
  cudaStream_t (*current_stream)();
};

struct NcclOptions {
  int rank = 0;
  int world_size = 1;
  absl::Time rendezvous_deadline = absl::InfiniteFuture();
  absl::Duration timeout = absl::Minutes(10);  // Of one Wait.
};

// Joins the group whose id rank 0 puts into `rendezvous`. `api` must outlive the result, whose spans are
// device memory. Sums only: small host values have Gloo, so the operations on them are kUnimplemented. What
// is summed is ready for kernels queued after Wait.
absl::StatusOr<std::unique_ptr<Collective>> MakeNccl(const NcclOptions& options, const NcclApi& api,
                                                     Rendezvous* rendezvous);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_CUDA_NCCL_COLLECTIVE_H_
