// What a rank's process is set up with before its first Torch call.
#ifndef CHERRY_WORKER_TRAINER_PROCESS_H_
#define CHERRY_WORKER_TRAINER_PROCESS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace cherry::trainer {

// Dies with its parent; SIGTERM becomes a request to stop with a checkpoint. Once, at the start of main.
void SetUpSignals();

// SIGTERM has arrived. Thread-safe.
bool TerminationRequested();

// Confines the process to these cores; none means all it has.
absl::Status PinToCores(absl::Span<const int> cores);

// "avx512" or "avx2": the widest vectors that both this CPU and LibTorch's kernels use.
std::string InstructionSet();

// Makes Torch compute bitwise reproducibly for this instruction set and number of threads. REQUIRES: nothing
// has called MKL yet, which reads its setting once.
absl::Status SetUpDeterminism();

// Threads of this rank's computations.
void SetUpThreads(int threads);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_PROCESS_H_
