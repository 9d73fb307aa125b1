// Evidence that the kernel killed a process for want of memory.
//
// Reads the counter of such kills of this process's cgroup (version 2: memory.events; version 1:
// memory.oom_control), or, without one, the kernel's (/proc/vmstat). Each counted kill is evidence for one
// process only, so a later SIGKILL from elsewhere is not taken for one. Not thread-safe.
#ifndef CHERRY_WORKER_AGENT_OOM_EVIDENCE_H_
#define CHERRY_WORKER_AGENT_OOM_EVIDENCE_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace cherry::worker {

class OomEvidence {
 public:
  // Of this process. Kills counted so far are nobody's.
  OomEvidence();
  // With a file of lines "NAME VALUE" in which "oom_kill" counts; for tests.
  explicit OomEvidence(std::string counter_file);

  // A process died of SIGKILL: true, and the evidence is used up, when a kill is counted that is not yet
  // used.
  bool Take();
  // What has been counted so far was nobody's here.
  void Forget() { used_ = Count(); }

 private:
  int64_t Count() const;

  std::string counter_file_;
  int64_t used_ = 0;
};

// The value of the line "oom_kill VALUE"; -1 without one.
int64_t ParseOomKills(absl::string_view text);

// The counter's file of the innermost group that has one (see ControlGroupFolders); "" if none has.
std::string OomCounterFile(absl::string_view cgroups, const std::string& mount_root);

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_OOM_EVIDENCE_H_
