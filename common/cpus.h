// The CPUs and the memory that this process may use: those of the host, within the limits of its control
// groups, which is where a container's limits are.
//
// All functions are thread-safe.
#ifndef CHERRY_COMMON_CPUS_H_
#define CHERRY_COMMON_CPUS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace cherry {

struct ContainerLimits {
  int cpus = 0;              // Rounded up; 0: no limit.
  int64_t memory_bytes = 0;  // 0: no limit.
};

// Of this process.
ContainerLimits FindContainerLimits();

// For the content of /proc/PID/cgroup, the folders of the process's groups that have `controller` ("cpu",
// "memory"), each followed by those above it, as far as the mount's top. Version 2 is mounted at
// `mount_root`, version 1 in its folder of the controller's name; mounted elsewhere, they are not found. In a
// container without a name space of its own the path is the host's, but the mount is the container's: not
// every folder exists.
std::vector<std::string> ControlGroupFolders(absl::string_view cgroups, absl::string_view controller,
                                             const std::string& mount_root);

// The tightest limits in these folders (version 2: cpu.max, memory.max; version 1: cpu.cfs_*,
// memory.limit_in_bytes).
ContainerLimits ReadContainerLimits(absl::string_view cgroups, const std::string& mount_root);

// The cores that the calling thread may run on, at least one.
std::vector<int> AllowedCores();

// How many threads of this process can run at once: its cores, or its CPU limit where that is less.
int AvailableCpus();

}  // namespace cherry

#endif  // CHERRY_COMMON_CPUS_H_
