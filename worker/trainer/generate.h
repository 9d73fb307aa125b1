// `cherry-trainer generate`: text, as token ids, from a checkpoint.
#ifndef CHERRY_WORKER_TRAINER_GENERATE_H_
#define CHERRY_WORKER_TRAINER_GENERATE_H_

namespace cherry::trainer {

// Reads one framed GenerateRequest from `in`, writes framed GenerateReplys to `out`, the last with `done`.
// Returns the exit code. REQUIRES: no Torch call came before.
int RunGenerate(int in, int out);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_GENERATE_H_
