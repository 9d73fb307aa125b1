// The learning rate of each step, as a pure function of the step. Thread-safe.
#ifndef CHERRY_WORKER_OPTIM_LR_SCHEDULE_H_
#define CHERRY_WORKER_OPTIM_LR_SCHEDULE_H_

#include <cstdint>

#include "cherry/v1/job.pb.h"

namespace cherry::trainer {

struct LrSchedule {
  v1::LrScheduler::Type type = v1::LrScheduler::COSINE;
  double peak = 1e-3;
  double minimum = 1e-4;
  int64_t warmup_steps = 0;
  int64_t steps = 1;

  // From a resolved spec. An unset field has its documented default.
  static LrSchedule FromSpec(const v1::TrainConfig& train);

  // Rate of update `step`, counted from 0. Warm-up rises linearly and reaches `peak` at its last step; cosine
  // and wsd reach `minimum` at the last step of all.
  double At(int64_t step) const;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_OPTIM_LR_SCHEDULE_H_
