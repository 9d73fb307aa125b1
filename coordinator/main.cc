// cherry-coordinator: flags, start, wait for a signal, drain.
#include <pthread.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

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
  CLI::App app("Owns the jobs, workers and checkpoints of one Cherry cluster.");
  cherry::coordinator::Flags flags;
  cherry::coordinator::AddFlags(&app, &flags);
  CLI11_PARSE(app, argc, argv);
  auto server = cherry::coordinator::StartFromFlags(flags);
  if (server == nullptr) {
    return 2;
  }
  int signal = 0;
  sigwait(&signals, &signal);
  server->Drain();
  return 0;
}
