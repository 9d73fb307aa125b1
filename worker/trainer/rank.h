// A rank from its first message to its exit code.
#ifndef CHERRY_WORKER_TRAINER_RANK_H_
#define CHERRY_WORKER_TRAINER_RANK_H_

namespace cherry::trainer {

// The descriptor that a worker leaves its end of the socket pair on.
inline constexpr int kWorkerDescriptor = 3;

// Does what the worker at the other end of `fd` says and returns the exit code (exit_codes.h). REQUIRES: no
// Torch call came before.
int RunRank(int fd);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_RANK_H_
