#include "worker/agent/oom_evidence.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/file.h"

namespace cherry::worker {
namespace {

constexpr int64_t kMaxBytes = 1 << 20;

}  // namespace

int64_t ParseOomKills(absl::string_view text) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    int64_t count = 0;
    if (parts.first == "oom_kill" && absl::SimpleAtoi(parts.second, &count)) {
      return count;
    }
  }
  return -1;
}

std::string OomCounterFile(absl::string_view cgroups, const std::string& mount_root) {
  std::vector<std::string> candidates;
  for (const absl::string_view line : absl::StrSplit(cgroups, '\n')) {
    // "0::/path" is version 2, "4:memory:/path" version 1.
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) {
      continue;
    }
    if (parts[0] == "0" && parts[1].empty()) {
      candidates.push_back(absl::StrCat(mount_root, parts[2], "/memory.events"));
    } else if (parts[1] == "memory") {
      candidates.push_back(absl::StrCat(mount_root, "/memory", parts[2], "/memory.oom_control"));
      // In a container the path is the host's, but the mount is the container's own.
      candidates.push_back(absl::StrCat(mount_root, "/memory/memory.oom_control"));
    }
  }
  for (const std::string& candidate : candidates) {
    const auto text = ReadFile(candidate, kMaxBytes);
    if (text.ok() && ParseOomKills(*text) >= 0) {
      return candidate;
    }
  }
  return "";
}

OomEvidence::OomEvidence() {
  const auto cgroups = ReadFile("/proc/self/cgroup", kMaxBytes);
  if (cgroups.ok()) {
    counter_file_ = OomCounterFile(*cgroups, "/sys/fs/cgroup");
  }
  if (counter_file_.empty()) {
    counter_file_ = "/proc/vmstat";
  }
  used_ = Count();
}

OomEvidence::OomEvidence(std::string counter_file) : counter_file_(std::move(counter_file)), used_(Count()) {}

int64_t OomEvidence::Count() const {
  const auto text = ReadFile(counter_file_, kMaxBytes);
  return text.ok() ? ParseOomKills(*text) : -1;
}

bool OomEvidence::Take() {
  if (Count() <= used_) {
    return false;
  }
  ++used_;
  return true;
}

}  // namespace cherry::worker
