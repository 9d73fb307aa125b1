#include "common/cpus.h"

#include <sched.h>

#include <algorithm>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/file.h"

namespace cherry {
namespace {

constexpr int64_t kMaxBytes = 1 << 20;
// Version 1 says "no limit" with the largest multiple of a page.
constexpr int64_t kNoLimit = int64_t{1} << 62;

std::vector<std::string> Words(const std::string& path) {
  const auto text = ReadFile(path, kMaxBytes);
  if (!text.ok()) {
    return {};
  }
  return absl::StrSplit(*text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
}

void Tighten(int64_t found, int64_t* limit) {
  if (found > 0 && found < kNoLimit && (*limit == 0 || found < *limit)) {
    *limit = found;
  }
}

// `quota` microseconds of each `period`. "max" and -1 are no limit.
void TightenCpus(const std::string& quota, const std::string& period, int64_t* cpus) {
  int64_t used = 0;
  int64_t all = 0;
  if (absl::SimpleAtoi(quota, &used) && absl::SimpleAtoi(period, &all) && used > 0 && all > 0) {
    Tighten(used / all + (used % all != 0 ? 1 : 0), cpus);
  }
}

struct Found {
  int64_t cpus = 0;
  int64_t memory_bytes = 0;

  void Read(const std::string& folder) {
    const std::vector<std::string> max = Words(folder + "/cpu.max");
    if (max.size() == 2) {
      TightenCpus(max[0], max[1], &cpus);
    }
    const std::vector<std::string> quota = Words(folder + "/cpu.cfs_quota_us");
    const std::vector<std::string> period = Words(folder + "/cpu.cfs_period_us");
    if (quota.size() == 1 && period.size() == 1) {
      TightenCpus(quota[0], period[0], &cpus);
    }
    for (const char* const name : {"/memory.max", "/memory.limit_in_bytes"}) {
      const std::vector<std::string> bytes = Words(folder + name);
      int64_t limit = 0;
      if (bytes.size() == 1 && absl::SimpleAtoi(bytes[0], &limit)) {
        Tighten(limit, &memory_bytes);
      }
    }
  }

  // `path` and all above it, as far as the mount's top.
  void ReadUpwards(const std::string& mount, std::string path) {
    while (!path.empty() && path != "/") {
      Read(mount + path);
      path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    }
    Read(mount);
  }
};

}  // namespace

ContainerLimits ReadContainerLimits(absl::string_view cgroups, const std::string& mount_root) {
  Found found;
  for (const absl::string_view line : absl::StrSplit(cgroups, '\n')) {
    // "0::/path" is version 2, "4:cpu,cpuacct:/path" version 1.
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) {
      continue;
    }
    if (parts[1].empty()) {
      found.ReadUpwards(mount_root, parts[2]);
      continue;
    }
    for (const absl::string_view controller : absl::StrSplit(parts[1], ',')) {
      if (controller == "cpu" || controller == "memory") {
        found.ReadUpwards(absl::StrCat(mount_root, "/", controller), parts[2]);
      }
    }
  }
  ContainerLimits limits;
  limits.cpus = static_cast<int>(std::min<int64_t>(found.cpus, std::numeric_limits<int>::max()));
  limits.memory_bytes = found.memory_bytes;
  return limits;
}

ContainerLimits FindContainerLimits() {
  const auto cgroups = ReadFile("/proc/self/cgroup", kMaxBytes);
  return cgroups.ok() ? ReadContainerLimits(*cgroups, "/sys/fs/cgroup") : ContainerLimits();
}

std::vector<int> AllowedCores() {
  std::vector<int> cores;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set)) {
        cores.push_back(core);
      }
    }
  }
  if (cores.empty()) {
    cores.push_back(0);
  }
  return cores;
}

int AvailableCpus() {
  const int cores = static_cast<int>(AllowedCores().size());
  const int limit = FindContainerLimits().cpus;
  return limit > 0 ? std::min(cores, limit) : cores;
}

}  // namespace cherry
