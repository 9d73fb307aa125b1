// The training loop: one for every job kind.
//
// All ranks run it in step. What they must decide alike (stop, fail, which step was the last) travels in a
// small vector that they sum in every step.
#ifndef CHERRY_WORKER_TRAINER_LOOP_H_
#define CHERRY_WORKER_TRAINER_LOOP_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "worker/data/mixture.h"
#include "worker/optim/adamw.h"
#include "worker/optim/lr_schedule.h"
#include "worker/parallel/buckets.h"
#include "worker/trainer/channel.h"
#include "worker/trainer/checkpointer.h"
#include "worker/trainer/device.h"
#include "worker/trainer/gang.h"
#include "worker/trainer/progress.h"
#include "worker/trainer/recipe.h"
#include "worker/trainer/reporter.h"
#include "worker/trainer/validator.h"

namespace cherry::trainer {

// What a loop works with. The pointers must outlive it.
struct LoopParts {
  WorkerChannel* channel = nullptr;
  Gang* gang = nullptr;
  Device device;
  Recipe* recipe = nullptr;
  AdamW* optimizer = nullptr;
  Checkpointer* checkpointer = nullptr;
  const SplitMixture* train = nullptr;
  const SplitMixture* valid = nullptr;
};

// One rank, one thread.
class TrainingLoop {
 public:
  TrainingLoop(const LoopParts& parts, RunState* run);
  ~TrainingLoop();

  // Trains to the last step and waits until its checkpoint is committed. STOPPED after a stop that was asked
  // for, with its checkpoint committed; LOSS_NOT_FINITE or GRADIENT_NOT_FINITE in the step where that
  // happens, which is never saved. `run` says how far it came.
  absl::Status Run();

 private:
  // What all ranks know after a step's sum.
  struct Agreed {
    double loss_sum = 0.0;
    double targets = 0.0;
    double others = 0.0;  // Targets that are not supervised.
    StopRequest stop = StopRequest::kNone;
  };

  absl::Status Step(StepFacts* facts, StopRequest* stop);
  absl::StatusOr<Batch> Read(int64_t first_sample) const;
  absl::Status ReadStep(std::vector<Batch>* batches, TargetCounts* counts) const;
  absl::Status BeforeUpdate(const std::vector<Batch>& batches, Batch* independent, StepView* view);
  absl::StatusOr<double> Backpropagate(const std::vector<Batch>& batches, const TargetCounts& counts,
                                       StepFacts* facts);
  absl::StatusOr<Agreed> Agree(double loss_sum, const TargetCounts& counts, Routing* routing);
  absl::Status Update(const Agreed& agreed, StepFacts* facts);
  absl::Status AfterStep(StopRequest stop, StepFacts* facts);
  absl::Status RunValidation(StepFacts* facts);
  absl::Status Finish();
  absl::Status NotFinite(absl::string_view reason, absl::string_view what, double value) const;

  const LoopParts parts_;
  const v1::JobSpec& spec_;
  const int64_t steps_;
  const int64_t micro_batch_;
  const int64_t micro_batches_;  // Of one step, over all ranks.
  RunState* const run_;
  LrSchedule schedule_;
  ValidationPlan validation_;
  const std::vector<size_t> untrained_;       // Their gradients are complete from the start.
  std::unique_ptr<GradientBuckets> buckets_;  // Null with one rank.
  Reporter reporter_;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_LOOP_H_
