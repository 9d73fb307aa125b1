// The checkpoints of a running attempt: when the loop asks, rank 0 copies the state and goes on training, and
// a thread writes it, then tells the coordinator.
#ifndef CHERRY_WORKER_TRAINER_CHECKPOINTER_H_
#define CHERRY_WORKER_TRAINER_CHECKPOINTER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "common/model_plan.h"
#include "worker/checkpoint/saver.h"
#include "worker/model/parameters.h"
#include "worker/optim/adamw.h"
#include "worker/trainer/channel.h"
#include "worker/trainer/device.h"
#include "worker/trainer/progress.h"

namespace cherry::trainer {

// Used by the loop's thread alone. On other ranks than 0 every call does nothing.
class Checkpointer {
 public:
  // `buffers` are those of MakeHostState, made on `device`. `channel` must outlive this object.
  Checkpointer(WorkerChannel* channel, const ModelShape& shape, const Device& device, HostState buffers);

  // Copies the state of run.step and begins to write it; waits first for a save under way. Returns the
  // seconds that this took. `final`: the job may succeed once it is committed.
  double Save(const RunState& run, const Parameters& parameters, const AdamW& optimizer, bool final);

  // The first error of a save so far.
  absl::Status status() const;

  // Waits until the last save is written and the coordinator has committed it.
  absl::Status Finish();

 private:
  Manifest MakeManifest(const RunState& run) const;
  absl::Status Report(const SaveRequest& request, const SavedCheckpoint& saved);

  WorkerChannel* const channel_;
  const Device device_;
  const std::string config_;
  const std::string tokenizer_;
  int64_t last_step_ = -1;        // Of the last Save; -1 before the first.
  int64_t final_step_ = -1;       // Written before Start and read after it on the saver's thread.
  std::unique_ptr<Saver> saver_;  // Null on other ranks than 0. Last: its thread uses the others.
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_CHECKPOINTER_H_
