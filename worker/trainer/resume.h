// Where a run starts: from its newest sound checkpoint, from another's weights, or from nothing.
#ifndef CHERRY_WORKER_TRAINER_RESUME_H_
#define CHERRY_WORKER_TRAINER_RESUME_H_

#include "absl/status/statusor.h"
#include "worker/checkpoint/state.h"
#include "worker/trainer/channel.h"
#include "worker/trainer/device.h"
#include "worker/trainer/gang.h"
#include "worker/trainer/progress.h"

namespace cherry::trainer {

struct StartingPoint {
  RunState run;
  bool weights = false;  // state->values holds weights to start from.
  bool moments = false;  // So do the moments: everything goes on.
};

// Rank 0 reads back the checkpoints of StartAttempt.resume, newest first, and takes the first that is sound;
// each other is reported as CheckpointCorrupt. All ranks then load that one into `state`. `prepared`: the
// model already holds what it makes of `from`. Errors: the
// checkpoint of `from` is not sound; an exact run that could not go on exactly (another world size, number of
// threads or processor) EXACT_RESUME_IMPOSSIBLE.
absl::StatusOr<StartingPoint> FindStart(WorkerChannel* channel, Gang* gang, const Device& device,
                                        bool prepared, HostState* state);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_RESUME_H_
