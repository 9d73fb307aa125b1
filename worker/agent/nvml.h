// The GPUs of this host, from NVIDIA's management library, opened when it is there.
#ifndef CHERRY_WORKER_AGENT_NVML_H_
#define CHERRY_WORKER_AGENT_NVML_H_

#include <vector>

#include "worker/agent/slots.h"

namespace cherry::worker {

// Empty without libnvidia-ml.so.1 or a working driver. Thread-safe.
std::vector<Gpu> FindGpus();

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_NVML_H_
