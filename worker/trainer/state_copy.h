// Between a model's tensors and their copy on the host.
#ifndef CHERRY_WORKER_TRAINER_STATE_COPY_H_
#define CHERRY_WORKER_TRAINER_STATE_COPY_H_

#include "absl/status/status.h"
#include "worker/checkpoint/state.h"
#include "worker/model/parameters.h"
#include "worker/optim/adamw.h"
#include "worker/parallel/collective.h"

namespace cherry::trainer {

// Buffers for these parameters, with their values and moments of zero; without `moments` those stay empty.
HostState MakeHostState(const Parameters& parameters, bool moments = true);

// Copies weights and moments out.
void CopyToHost(const Parameters& parameters, const AdamW& optimizer, HostState* state);

// Copies them in: always the weights, the moments where `optimizer` is given.
void CopyFromHost(const HostState& state, Parameters* parameters, AdamW* optimizer);

// Rank 0's weights, on every rank: what each has computed may differ in its last bits.
absl::Status BroadcastWeights(Parameters* parameters, Collective* collective);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_STATE_COPY_H_
