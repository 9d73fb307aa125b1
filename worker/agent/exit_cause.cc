#include "worker/agent/exit_cause.h"

#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/exit_codes.h"

namespace cherry::worker {
namespace {

struct Verdict {
  v1::Cause cause;
  std::string message;
};

// The cause of a rank that stopped because it was asked to.
v1::Cause StopCause(EndReason asked) {
  return asked == EndReason::kShutdown ? v1::CAUSE_PREEMPTED : v1::CAUSE_STOPPED;
}

Verdict Killed(const RankEnd& end) {
  switch (end.killed) {
    case EndReason::kHang:
      return {v1::CAUSE_HANG, end.detail};
    case EndReason::kShutdown:
      return {v1::CAUSE_PREEMPTED, end.detail};
    case EndReason::kPeer:
    case EndReason::kOffline:
    case EndReason::kProtocol:
      return {v1::CAUSE_PLATFORM, end.detail};
    default:
      return {v1::CAUSE_STOPPED, end.detail};
  }
}

// What is known of the failure beyond its code, the most telling first.
std::string Told(const RankEnd& end, const std::string& otherwise) {
  if (end.finished.has_value() && !end.finished->message().empty()) {
    return end.finished->message();
  }
  return end.exit.last_error.empty() ? otherwise : absl::StrCat(otherwise, ": ", end.exit.last_error);
}

Verdict Exited(const RankEnd& end) {
  const v1::Cause said = end.finished.has_value() ? end.finished->cause() : v1::CAUSE_UNSPECIFIED;
  const int code = end.exit.code;
  switch (code) {
    case kExitDone:
      if (said == v1::CAUSE_SUCCEEDED) {
        return {v1::CAUSE_SUCCEEDED, end.finished->message()};
      }
      if (said == v1::CAUSE_STOPPED) {
        return {StopCause(end.asked), end.finished->message()};
      }
      return {v1::CAUSE_PLATFORM, Told(end, "the trainer exited without having finished")};
    case kExitResume:
      return {StopCause(end.asked), Told(end, "stopped on request")};
    case kExitUser:
      return {v1::CAUSE_USER, Told(end, "the job's configuration, data or code is at fault")};
    case kExitOutOfMemory:
      return {v1::CAUSE_OUT_OF_MEMORY, Told(end, "out of memory")};
    case kExitHardware:
      return {v1::CAUSE_HARDWARE, Told(end, "the device reported an error")};
    case kExitPeerLost:
      return {v1::CAUSE_PLATFORM, absl::StrCat("peer lost: ", Told(end, "another rank went away"))};
    case kExitIo:
      return {v1::CAUSE_USER, Told(end, "disk full or unreadable")};
    default:
      return {v1::CAUSE_USER, Told(end, absl::StrCat("the trainer exited with code ", code))};
  }
}

Verdict Signalled(const RankEnd& end) {
  const std::string name = SignalName(end.exit.signal);
  switch (end.exit.signal) {
    case SIGKILL:
      if (end.exit.oom_evidence) {
        return {v1::CAUSE_OUT_OF_MEMORY,
                "killed by the kernel for want of memory: a smaller train.micro_batch_size needs less"};
      }
      return {v1::CAUSE_PLATFORM, "killed from outside (SIGKILL), without evidence of want of memory"};
    case SIGTERM:
    case SIGINT:
    case SIGHUP:
      return {v1::CAUSE_PLATFORM, absl::StrCat("ended from outside (", name, ")")};
    default:
      return {v1::CAUSE_USER, Told(end, absl::StrCat("the trainer crashed (", name, ")"))};
  }
}

Verdict Judge(const RankEnd& end) {
  if (!end.exit.start_error.empty()) {
    return {v1::CAUSE_PLATFORM, absl::StrCat("the trainer could not be started: ", end.exit.start_error)};
  }
  // A rank that had finished its work keeps its verdict, whatever befell its process on the way out.
  if (end.finished.has_value() && end.exit.signalled) {
    const v1::Cause said = end.finished->cause();
    return {said == v1::CAUSE_STOPPED ? StopCause(end.asked) : said, end.finished->message()};
  }
  if (!end.exit.signalled) {
    return Exited(end);
  }
  if (end.killed != EndReason::kNone && end.exit.signal == SIGKILL) {
    return Killed(end);
  }
  return Signalled(end);
}

}  // namespace

std::string SignalName(int signal) {
  const char* const name = sigabbrev_np(signal);
  return name == nullptr ? absl::StrCat("signal ", signal) : absl::StrCat("SIG", name);
}

v1::Failure ClassifyEnd(const RankEnd& end) {
  Verdict verdict = Judge(end);
  v1::Failure failure;
  failure.set_cause(verdict.cause == v1::CAUSE_UNSPECIFIED ? v1::CAUSE_PLATFORM : verdict.cause);
  failure.set_exit_code(end.exit.signalled ? 0 : end.exit.code);
  failure.set_signal(end.exit.signalled ? end.exit.signal : 0);
  failure.set_message(std::move(verdict.message));
  return failure;
}

}  // namespace cherry::worker
