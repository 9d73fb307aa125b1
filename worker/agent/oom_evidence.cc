#include "worker/agent/oom_evidence.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "common/cpus.h"
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
  for (const std::string& folder : ControlGroupFolders(cgroups, "memory", mount_root)) {
    for (const char* const name : {"/memory.events", "/memory.oom_control"}) {
      const auto text = ReadFile(folder + name, kMaxBytes);
      if (text.ok() && ParseOomKills(*text) >= 0) {
        return folder + name;
      }
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
