// cherry-trainer: computes one rank of a job for the worker that started it.
//
//   cherry-trainer            a rank; talks to its worker on descriptor 3
//   cherry-trainer generate   text from a checkpoint; a framed request on standard input
//   cherry-trainer version
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "common/exit_codes.h"
#include "common/log.h"
#include "common/version.h"
#include "worker/kernels/allocator.h"
#include "worker/trainer/generate.h"
#include "worker/trainer/process.h"
#include "worker/trainer/rank.h"

namespace {

int Usage() {
  std::fprintf(stderr,
               "usage: cherry-trainer [generate | version]\n"
               "Without an argument it is started by cherry-worker, with a socket on descriptor %d.\n",
               cherry::trainer::kWorkerDescriptor);
  return cherry::kExitUser;
}

bool HasWorker() {
  struct stat info;
  return fstat(cherry::trainer::kWorkerDescriptor, &info) == 0 && S_ISSOCK(info.st_mode);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "version" || command == "--version") {
    std::printf("cherry-trainer %s\n", cherry::kVersion);
    return cherry::kExitDone;
  }
  cherry::InitLog("cherry-trainer");
  cherry::trainer::ConfigureAllocator();
  if (command == "generate" && argc == 2) {
    return cherry::trainer::RunGenerate(STDIN_FILENO, STDOUT_FILENO);
  }
  if (argc > 1 || !HasWorker()) {
    return Usage();
  }
  cherry::trainer::SetUpSignals();
  return cherry::trainer::RunRank(cherry::trainer::kWorkerDescriptor);
}
