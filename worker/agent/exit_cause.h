// From how a rank ended to why: the cause that decides whether the job spends a retry.
//
// Pure; thread-safe.
#ifndef CHERRY_WORKER_AGENT_EXIT_CAUSE_H_
#define CHERRY_WORKER_AGENT_EXIT_CAUSE_H_

#include <optional>
#include <string>

#include "cherry/v1/resources.pb.h"
#include "cherry/v1/trainer.pb.h"
#include "worker/agent/rank.h"

namespace cherry::worker {

// Why the worker killed a rank, or asked it to stop.
enum class EndReason {
  kNone,      // It ended by itself.
  kStop,      // The coordinator asked for it.
  kShutdown,  // The worker is going down.
  kStale,     // Another attempt has taken its place, or the job has ended.
  kHang,      // Silent for longer than allowed.
  kPeer,      // Only waited for a rank that hung.
  kOffline,   // The coordinator was away for longer than --offline-cap.
  kProtocol,  // It sent what is not a message.
};

struct RankEnd {
  RankExit exit;
  std::optional<v1::RankFinished> finished;  // Its last message, when it sent one.
  EndReason asked = EndReason::kNone;        // Asked to stop by itself.
  EndReason killed = EndReason::kNone;       // The worker sent SIGKILL.
  std::string detail;                        // Of `killed`: "no step for 30 s in STEPPING after step 12".
};

// Cause, exit code, signal and message; rank and worker are the caller's to fill in.
v1::Failure ClassifyEnd(const RankEnd& end);

// "SIGSEGV" for 11.
std::string SignalName(int signal);

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_EXIT_CAUSE_H_
