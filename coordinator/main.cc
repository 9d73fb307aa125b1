// cherry-coordinator: start, wait for a signal, drain.
#include <pthread.h>

#include <csignal>

#include "coordinator/api/options.h"

namespace {

// Signals are waited for, not handled: every thread has to have them blocked.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

}  // namespace

int main(int argc, char** argv) {
  const sigset_t signals = BlockSignals();
  const cherry::coordinator::Started started = cherry::coordinator::StartFromCommandLine(argc, argv);
  if (started.server == nullptr) {
    return started.exit_code;
  }
  int signal = 0;
  sigwait(&signals, &signal);
  started.server->Drain();
  return 0;
}
