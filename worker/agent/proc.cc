#include "worker/agent/proc.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/file.h"

namespace cherry::worker {
namespace {

constexpr int64_t kMaxProcFile = 1 << 20;

}  // namespace

std::optional<ProcessStat> StatOf(pid_t pid) {
  const auto text = ReadFile(absl::StrCat("/proc/", pid, "/stat"), kMaxProcFile);
  if (!text.ok()) {
    return std::nullopt;
  }
  // "12 (a name) with ) in it) S 1 ...": the fields begin after the last parenthesis.
  const size_t end = text->rfind(')');
  if (end == std::string::npos) {
    return std::nullopt;
  }
  const std::vector<std::string> fields =
      absl::StrSplit(absl::string_view(*text).substr(end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kState = 0, kParent = 1, kGroup = 2, kStart = 19;
  ProcessStat stat;
  stat.pid = pid;
  if (fields.size() <= kStart || fields[kState].empty() || !absl::SimpleAtoi(fields[kParent], &stat.parent) ||
      !absl::SimpleAtoi(fields[kGroup], &stat.group) ||
      !absl::SimpleAtoi(fields[kStart], &stat.start_ticks)) {
    return std::nullopt;
  }
  stat.state = fields[kState][0];
  return stat;
}

std::vector<ProcessStat> AllProcesses() {
  std::vector<ProcessStat> all;
  const auto names = ListDirectory("/proc");
  if (!names.ok()) {
    return all;
  }
  for (const std::string& name : *names) {
    pid_t pid = 0;
    if (!absl::ascii_isdigit(static_cast<unsigned char>(name[0])) || !absl::SimpleAtoi(name, &pid)) {
      continue;
    }
    if (const auto stat = StatOf(pid)) {
      all.push_back(*stat);
    }
  }
  return all;
}

bool HasEnvironment(pid_t pid, absl::string_view entry) {
  const auto environment = ReadFile(absl::StrCat("/proc/", pid, "/environ"), kMaxProcFile);
  if (!environment.ok()) {
    return false;
  }
  for (const absl::string_view one : absl::StrSplit(*environment, '\0')) {
    if (one == entry) {
      return true;
    }
  }
  return false;
}

std::string BootId() {
  const auto id = ReadFile("/proc/sys/kernel/random/boot_id", kMaxProcFile);
  return id.ok() ? std::string(absl::StripAsciiWhitespace(*id)) : "";
}

bool WaitForEnd(pid_t pid, absl::Duration timeout) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) {
    return errno == ESRCH;
  }
  pollfd poller = {fd, POLLIN, 0};
  const int64_t milliseconds = std::max<int64_t>(0, absl::ToInt64Milliseconds(timeout));
  const int ready = poll(&poller, 1, static_cast<int>(milliseconds));
  close(fd);
  return ready > 0;
}

}  // namespace cherry::worker
