#include "worker/agent/strays.h"

#include <signal.h>
#include <unistd.h>

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/file.h"
#include "common/status.h"
#include "worker/agent/environment.h"
#include "worker/agent/proc.h"

namespace cherry::worker {
namespace {

struct Record {
  pid_t pid = 0;
  int64_t start_ticks = 0;
  std::string mark;
};

// "PID START BOOT MARK"; nothing for records of another boot, whose processes are long gone.
bool Parse(absl::string_view text, Record* record) {
  const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits(' ', 3));
  if (parts.size() != 4 || parts[2] != BootId()) {
    return false;
  }
  record->mark = parts[3];
  return absl::SimpleAtoi(parts[0], &record->pid) && absl::SimpleAtoi(parts[1], &record->start_ticks);
}

bool Belongs(const ProcessStat& process, const Record& record) {
  if (process.state == 'Z' || process.start_ticks < record.start_ticks) {
    return false;
  }
  if (process.pid == record.pid && process.start_ticks == record.start_ticks) {
    return true;
  }
  return HasEnvironment(process.pid, absl::StrCat(kRankVariable, "=", record.mark));
}

}  // namespace

std::string RankRecords::PathOf(pid_t pid) const { return absl::StrCat(directory_, "/", pid); }

absl::Status RankRecords::Add(pid_t pid, absl::string_view mark) {
  const auto stat = StatOf(pid);
  const int64_t start = stat.has_value() ? stat->start_ticks : 0;
  RETURN_IF_ERROR(MakeDirectories(directory_, 0700));
  return WriteFileAtomically(PathOf(pid), absl::StrCat(pid, " ", start, " ", BootId(), " ", mark), 0600);
}

void RankRecords::Remove(pid_t pid) { unlink(PathOf(pid).c_str()); }

absl::StatusOr<int> RankRecords::KillLeftOvers(absl::Duration timeout) {
  RETURN_IF_ERROR(MakeDirectories(directory_, 0700));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory_));
  const absl::Time deadline = absl::Now() + timeout;
  int killed = 0;
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(directory_, "/", name);
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    Record record;
    if (Parse(text, &record)) {
      // A killed process may have been starting another: look again until none is left.
      for (bool found = true; found;) {
        found = false;
        for (const ProcessStat& process : AllProcesses()) {
          if (process.pid == getpid() || !Belongs(process, record)) {
            continue;
          }
          found = true;
          kill(process.pid, SIGKILL);
          ++killed;
          if (!WaitForEnd(process.pid, deadline - absl::Now())) {
            return absl::DeadlineExceededError(absl::StrCat("process ", process.pid, " of a former rank (",
                                                            record.mark, ") does not die of SIGKILL"));
          }
        }
      }
    }
    unlink(path.c_str());
  }
  return killed;
}

}  // namespace cherry::worker
