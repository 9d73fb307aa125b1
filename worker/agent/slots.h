// Cuts this host into slots: one for each GPU, or shares of its cores when there is none.
#ifndef CHERRY_WORKER_AGENT_SLOTS_H_
#define CHERRY_WORKER_AGENT_SLOTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cherry/v1/resources.pb.h"

namespace cherry::worker {

struct Gpu {
  std::string uuid;
  std::string name;
  int64_t memory_bytes = 0;
};

struct HostResources {
  std::vector<int> cores;    // That this process may use.
  int cpu_limit = 0;         // Of its container, in CPUs; 0: none.
  int64_t memory_bytes = 0;  // At most its container's limit.
  std::vector<Gpu> gpus;
};

// Of this host; GPUs through NVML, none where its library or driver is missing. Thread-safe.
HostResources FindResources();

// `count` 0: one slot for each GPU, or one in all without any. Up to as many slots as there are GPUs each get
// one; more are shares of the CPU alone. Every slot has at least one core, so more slots than cores share
// them. Memory is per slot. OUT_OF_RANGE names --slots. Pure, thread-safe.
absl::StatusOr<std::vector<v1::Slot>> PlanSlots(const HostResources& host, int count);

// No rank gets more threads than this: a slot's share of the CPU limit, at least one. More of them than the
// limit lets run would wait for each other's turn within every operation. Pure, thread-safe.
int MostThreads(const HostResources& host, int slots);

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_SLOTS_H_
