// The GPUs of this host, from NVIDIA's management library, opened when it is there.
#ifndef CHERRY_WORKER_AGENT_NVML_H_
#define CHERRY_WORKER_AGENT_NVML_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "worker/agent/slots.h"

namespace cherry::worker {

// Those that CUDA_VISIBLE_DEVICES=`visible` leaves: indices or beginnings of UUIDs, separated by commas.
std::vector<Gpu> VisibleGpus(const std::vector<Gpu>& all, absl::string_view visible);

// Those that this process may see, as its CUDA_VISIBLE_DEVICES says. Empty without libnvidia-ml.so.1 or a
// working driver. Thread-safe.
std::vector<Gpu> FindGpus();

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_NVML_H_
