// cherry-worker: one per host. Starts, watches and reaps the trainers of this host.
#include <cstdio>
#include <memory>

#include "common/log.h"
#include "common/status.h"
#include "worker/agent/agent.h"
#include "worker/agent/options.h"
#include "worker/agent/signals.h"

namespace {

// The exit code for a worker that could not start.
int Complain(const absl::Status& status) {
  constexpr int kWrongRequest = 2;
  const cherry::v1::ErrorInfo info = cherry::InfoOf(status);
  std::fprintf(stderr, "error: %s\n", std::string(status.message()).c_str());
  if (!info.remedy().empty()) {
    std::fprintf(stderr, "  %s\n", info.remedy().c_str());
  }
  return kWrongRequest;
}

}  // namespace

int main(int argc, char** argv) {
  using cherry::worker::Agent;
  cherry::InitLog("cherry-worker");
  const auto parsed = cherry::worker::ParseOptions(argc, argv);
  if (!parsed.ok()) {
    return Complain(parsed.status());
  }
  if (parsed->exit) {
    return parsed->exit_code;
  }
  cherry::worker::BlockSignals();
  const absl::StatusOr<std::unique_ptr<Agent>> agent = Agent::Create(parsed->options);
  if (!agent.ok()) {
    return Complain(agent.status());
  }
  const auto signals =
      cherry::worker::SignalWatcher::Create([&agent](int signal) { (*agent)->RequestShutdown(signal); });
  if (!signals.ok()) {
    return Complain(signals.status());
  }
  (*agent)->Run();
  return 0;
}
