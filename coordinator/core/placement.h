// Where a gang goes: all ranks of a job or none, on workers that see the same roots, never a mix of devices.
//
// Pure functions of the state, no thread safety.
#ifndef CHERRY_COORDINATOR_CORE_PLACEMENT_H_
#define CHERRY_COORDINATOR_CORE_PLACEMENT_H_

#include <optional>
#include <string>
#include <vector>

#include "cherry/v1/job.pb.h"
#include "cherry/v1/resources.pb.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

struct Gang {
  v1::Resources::Device device = v1::Resources::CPU;
  std::vector<v1::RankPlacement> ranks;  // By rank.
};

enum class Slots {
  kFree,  // What could start now.
  kAll,   // What could start once everything else has ended.
};

// The largest feasible gang, cuda before cpu for `auto`, on as few hosts as possible. Hosts that failed
// repeatedly are used only when there is no other way.
std::optional<Gang> PlaceGang(const State& state, const v1::JobSpec& resolved, Slots slots);

// Two jobs of one shape can be placed alike.
std::string PlacementShape(const v1::JobSpec& resolved);

// Why a gang cannot be placed, in numbers.
struct Capacity {
  int needed = 0;    // Of the smallest feasible gang.
  int existing = 0;  // Slots of the right kind on workers that may run it.
  int free = 0;
  int largest_fit =
      0;  // Largest rank count that the existing slots could hold and the batch allows; 0: none.
  std::vector<std::string> excluded;  // "w2 mounts another checkpoint root", "w3 is cordoned", ...
};
Capacity CountCapacity(const State& state, const v1::JobSpec& resolved);

// Why a worker takes no job at all, or empty.
std::string WhyUnavailable(const State& state, const WorkerEntry& worker);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_PLACEMENT_H_
