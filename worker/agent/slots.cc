#include "worker/agent/slots.h"

#include <unistd.h>

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/cpus.h"
#include "common/status.h"
#include "worker/agent/nvml.h"

namespace cherry::worker {
namespace {

constexpr int kMaxSlots = 1024;

}  // namespace

HostResources FindResources() {
  HostResources host;
  host.cores = AllowedCores();
  const ContainerLimits limits = FindContainerLimits();
  host.cpu_limit = limits.cpus;
  host.memory_bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  if (limits.memory_bytes > 0) {
    host.memory_bytes = std::min(host.memory_bytes, limits.memory_bytes);
  }
  host.gpus = FindGpus();
  return host;
}

absl::StatusOr<std::vector<v1::Slot>> PlanSlots(const HostResources& host, int count) {
  if (count < 0 || count > kMaxSlots) {
    return Error(absl::StatusCode::kOutOfRange, "OUT_OF_RANGE", "--slots",
                 absl::StrCat("--slots: ", count, " is not in 0..", kMaxSlots),
                 "give the number of ranks this host may run at once, or 0 for one a GPU");
  }
  const int gpus = static_cast<int>(host.gpus.size());
  const int slots = count > 0 ? count : std::max(1, gpus);
  const bool cuda = gpus > 0 && slots <= gpus;
  const int cores = static_cast<int>(host.cores.size());
  std::vector<v1::Slot> plan;
  for (int i = 0; i < slots; ++i) {
    v1::Slot slot;
    slot.set_index(i);
    slot.set_device(cuda ? v1::Resources::CUDA : v1::Resources::CPU);
    slot.set_memory_bytes(cuda ? host.gpus[i].memory_bytes : host.memory_bytes / slots);
    if (cuda) {
      slot.set_gpu_uuid(host.gpus[i].uuid);
      slot.set_gpu_name(host.gpus[i].name);
    }
    const int begin = i * cores / slots;
    const int end = std::max(begin + 1, (i + 1) * cores / slots);
    for (int core = begin; core < end; ++core) {
      slot.add_cores(host.cores[core % cores]);
    }
    plan.push_back(std::move(slot));
  }
  return plan;
}

int MostThreads(const HostResources& host, int slots) {
  return host.cpu_limit > 0 ? std::max(1, host.cpu_limit / std::max(1, slots))
                            : std::numeric_limits<int>::max();
}

}  // namespace cherry::worker
