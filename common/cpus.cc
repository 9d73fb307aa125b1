#include "common/cpus.h"

#include <sched.h>

#include <algorithm>
#include <limits>

#include "absl/algorithm/container.h"
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

int64_t CpuLimit(const std::vector<std::string>& folders) {
  int64_t cpus = 0;
  for (const std::string& folder : folders) {
    const std::vector<std::string> max = Words(folder + "/cpu.max");
    if (max.size() == 2) {
      TightenCpus(max[0], max[1], &cpus);
    }
    const std::vector<std::string> quota = Words(folder + "/cpu.cfs_quota_us");
    const std::vector<std::string> period = Words(folder + "/cpu.cfs_period_us");
    if (quota.size() == 1 && period.size() == 1) {
      TightenCpus(quota[0], period[0], &cpus);
    }
  }
  return cpus;
}

int64_t MemoryLimit(const std::vector<std::string>& folders) {
  int64_t bytes = 0;
  for (const std::string& folder : folders) {
    for (const char* const name : {"/memory.max", "/memory.limit_in_bytes"}) {
      const std::vector<std::string> words = Words(folder + name);
      int64_t limit = 0;
      if (words.size() == 1 && absl::SimpleAtoi(words[0], &limit)) {
        Tighten(limit, &bytes);
      }
    }
  }
  return bytes;
}

}  // namespace

std::vector<std::string> ControlGroupFolders(absl::string_view cgroups, absl::string_view controller,
                                             const std::string& mount_root) {
  std::vector<std::string> folders;
  for (const absl::string_view line : absl::StrSplit(cgroups, '\n')) {
    // "0::/path" is version 2, "4:cpu,cpuacct:/path" version 1.
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) {
      continue;
    }
    const std::vector<absl::string_view> controllers = absl::StrSplit(parts[1], ',');
    const bool unified = parts[1].empty();
    if (!unified && !absl::c_linear_search(controllers, controller)) {
      continue;
    }
    const std::string mount = unified ? mount_root : absl::StrCat(mount_root, "/", controller);
    for (std::string path = parts[2]; path.rfind('/') != std::string::npos && path.size() > 1;
         path.resize(path.rfind('/'))) {
      folders.push_back(mount + path);
    }
    folders.push_back(mount);
  }
  return folders;
}

ContainerLimits ReadContainerLimits(absl::string_view cgroups, const std::string& mount_root) {
  ContainerLimits limits;
  limits.cpus = static_cast<int>(std::min<int64_t>(CpuLimit(ControlGroupFolders(cgroups, "cpu", mount_root)),
                                                   std::numeric_limits<int>::max()));
  limits.memory_bytes = MemoryLimit(ControlGroupFolders(cgroups, "memory", mount_root));
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
