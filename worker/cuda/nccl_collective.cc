#include "worker/cuda/nccl_collective.h"

#include <cstring>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace cherry::trainer {
namespace {

constexpr char kIdKey[] = "nccl/id";

absl::Status CudaStatus(cudaError_t error, absl::string_view what) {
  return error == cudaSuccess ? absl::OkStatus()
                              : absl::InternalError(absl::StrCat("CUDA error: ", what, " failed with code ",
                                                                 static_cast<int>(error)));
}

class NcclCollective final : public Collective {
 public:
  NcclCollective(const NcclOptions& options, const NcclApi& api) : options_(options), api_(api) {}

  ~NcclCollective() override {
    if (comm_ != nullptr) {
      // A broken communicator waits for its peers when it is destroyed in order.
      if (!status_.ok() ||
          !Complete("finalize", api_.comm_finalize(comm_), absl::Now() + options_.timeout).ok()) {
        api_.comm_abort(comm_);
      } else {
        api_.comm_destroy(comm_);
      }
    }
    if (event_ != nullptr) {
      api_.event_destroy(event_);
    }
    if (stream_ != nullptr) {
      api_.stream_destroy(stream_);
    }
  }

  absl::Status Connect(const ncclUniqueId& id) {
    if (absl::Status made =
            CudaStatus(api_.stream_create(&stream_, cudaStreamNonBlocking), "creating a stream");
        !made.ok()) {
      return made;
    }
    if (absl::Status made =
            CudaStatus(api_.event_create(&event_, cudaEventDisableTiming), "creating an event");
        !made.ok()) {
      return made;
    }
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    // Calls return at once and are asked about, so that a rank that never comes ends with a deadline.
    config.blocking = 0;
    const ncclResult_t result =
        api_.comm_init_rank_config(&comm_, options_.world_size, id, options_.rank, &config);
    status_ = Complete("joining the group", result, options_.rendezvous_deadline);
    return status_;
  }

  int rank() const override { return options_.rank; }
  int world_size() const override { return options_.world_size; }

  absl::Status AllReduceSum(absl::Span<float> values) override {
    Start(values);
    return Wait();
  }
  absl::Status AllReduceSum(absl::Span<double>) override { return HostOnly(); }
  absl::Status Broadcast(absl::Span<char>, int) override { return HostOnly(); }
  absl::Status Barrier() override { return HostOnly(); }

  void Start(absl::Span<float> values) override {
    if (!status_.ok() || values.empty()) {
      return;
    }
    // The sum begins when what has been queued so far, the gradient among it, is done.
    status_ = CudaStatus(api_.event_record(event_, api_.current_stream()), "recording an event");
    if (status_.ok()) {
      status_ = CudaStatus(api_.stream_wait_event(stream_, event_, 0), "waiting for an event");
    }
    if (!status_.ok()) {
      return;
    }
    // Within a group a call never blocks, also while the communicator is being connected.
    status_ = Check("group start", api_.group_start());
    const ncclResult_t reduced =
        api_.all_reduce(values.data(), values.data(), values.size(), ncclFloat32, ncclSum, comm_, stream_);
    const ncclResult_t ended = api_.group_end();
    if (status_.ok()) {
      status_ = Check("all-reduce", reduced);
    }
    if (status_.ok()) {
      status_ = Complete("all-reduce", ended, absl::Now() + options_.timeout);
    }
  }

  absl::Status Wait() override {
    if (status_.ok()) {
      status_ = CudaStatus(api_.event_record(event_, stream_), "recording an event");
    }
    if (status_.ok()) {
      status_ = AwaitEvent(absl::Now() + options_.timeout);
    }
    if (status_.ok()) {
      status_ = CudaStatus(api_.stream_wait_event(api_.current_stream(), event_, 0), "waiting for an event");
    }
    return status_;
  }

 private:
  static absl::Status HostOnly() { return absl::UnimplementedError("NCCL sums device memory only"); }

  absl::Status Check(absl::string_view what, ncclResult_t result) const {
    if (result == ncclSuccess || result == ncclInProgress) {
      return absl::OkStatus();
    }
    return absl::UnavailableError(absl::StrCat("NCCL: ", what, ": ", api_.error_string(result)));
  }

  // Waits until a call that returned `result` is done.
  absl::Status Complete(absl::string_view what, ncclResult_t result, absl::Time deadline) const {
    while (result == ncclInProgress) {
      if (absl::Now() > deadline) {
        return absl::UnavailableError(absl::StrCat("NCCL: ", what, ": not done in time"));
      }
      std::this_thread::yield();
      if (absl::Status asked = Check(what, api_.comm_get_async_error(comm_, &result)); !asked.ok()) {
        return asked;
      }
    }
    return Check(what, result);
  }

  // A kernel whose peer is gone spins for ever, so the host asks instead of waiting.
  absl::Status AwaitEvent(absl::Time deadline) const {
    while (true) {
      const cudaError_t error = api_.event_query(event_);
      if (error != cudaErrorNotReady) {
        return CudaStatus(error, "a kernel");
      }
      ncclResult_t result = ncclSuccess;
      if (absl::Status asked = Check("asking for errors", api_.comm_get_async_error(comm_, &result));
          !asked.ok()) {
        return asked;
      }
      if (absl::Status asked = Check("all-reduce", result); !asked.ok()) {
        return asked;
      }
      if (absl::Now() > deadline) {
        return absl::UnavailableError("NCCL: all-reduce: not done in time");
      }
      std::this_thread::yield();
    }
  }

  const NcclOptions options_;
  const NcclApi& api_;
  ncclComm_t comm_ = nullptr;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t event_ = nullptr;
  absl::Status status_;  // The first error; nothing is called after it.
};

}  // namespace

absl::StatusOr<std::unique_ptr<Collective>> MakeNccl(const NcclOptions& options, const NcclApi& api,
                                                     Rendezvous* rendezvous) {
  ncclUniqueId id;
  if (options.rank == 0) {
    const ncclResult_t made = api.get_unique_id(&id);
    if (made != ncclSuccess) {
      return absl::UnavailableError(absl::StrCat("NCCL: making an id: ", api.error_string(made)));
    }
    absl::Status put = rendezvous->Put(kIdKey, std::string(id.internal, sizeof(id.internal)));
    if (!put.ok()) {
      return put;
    }
  } else {
    absl::StatusOr<std::string> bytes = rendezvous->Get(kIdKey, options.rendezvous_deadline);
    if (!bytes.ok()) {
      return bytes.status();
    }
    if (bytes->size() != sizeof(id.internal)) {
      return absl::UnavailableError("NCCL: the id of the group has a wrong length");
    }
    std::memcpy(id.internal, bytes->data(), sizeof(id.internal));
  }
  auto collective = std::make_unique<NcclCollective>(options, api);
  absl::Status connected = collective->Connect(id);
  if (!connected.ok()) {
    return connected;
  }
  return collective;
}

}  // namespace cherry::trainer
