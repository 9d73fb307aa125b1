#include "worker/trainer/process.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_join.h"
#include "common/status.h"

namespace cherry::trainer {
namespace {

std::atomic<bool> termination_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "used in a signal handler");

void OnTerm(int) { termination_requested = true; }

}  // namespace

void SetUpSignals() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  struct sigaction action = {};
  action.sa_handler = OnTerm;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

bool TerminationRequested() { return termination_requested; }

absl::Status PinToCores(absl::Span<const int> cores) {
  if (cores.empty()) {
    return absl::OkStatus();
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) {
    CPU_SET(static_cast<size_t>(core), &set);
  }
  if (sched_setaffinity(0, sizeof(set), &set) != 0) {
    return ErrnoError(errno, absl::StrCat("pinning to cores ", absl::StrJoin(cores, ",")));
  }
  return absl::OkStatus();
}

std::string InstructionSet() {
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return avx512 ? "avx512" : "avx2";
}

absl::Status SetUpDeterminism() {
  const char* branch = InstructionSet() == "avx512" ? "AVX512,STRICT" : "AVX2,STRICT";
  if (setenv("MKL_CBWR", branch, /*overwrite=*/1) != 0) {
    return ErrnoError(errno, "setting MKL_CBWR");
  }
  // cuBLAS, like MKL, reads its setting once.
  if (setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/1) != 0) {
    return ErrnoError(errno, "setting CUBLAS_WORKSPACE_CONFIG");
  }
  at::globalContext().setDeterministicAlgorithms(/*b=*/true, /*warn_only=*/false);
  return absl::OkStatus();
}

void SetUpThreads(int threads) { at::set_num_threads(std::max(1, threads)); }

}  // namespace cherry::trainer
