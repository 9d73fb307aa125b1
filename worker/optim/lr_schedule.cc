#include "worker/optim/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cherry::trainer {

LrSchedule LrSchedule::FromSpec(const v1::TrainConfig& train) {
  const v1::LrScheduler& scheduler = train.lr_scheduler();
  LrSchedule schedule;
  schedule.type = scheduler.type();
  schedule.steps = train.has_steps() ? train.steps() : 1000;
  schedule.peak = train.optimizer().has_learning_rate() ? train.optimizer().learning_rate() : 1e-3;
  schedule.minimum = scheduler.has_min_lr() ? scheduler.min_lr() : schedule.peak / 10.0;
  schedule.warmup_steps =
      scheduler.has_warmup_steps() ? scheduler.warmup_steps() : std::min<int64_t>(schedule.steps / 10, 1000);
  return schedule;
}

double LrSchedule::At(int64_t step) const {
  const int64_t done = step + 1;  // Updates including this one.
  if (done <= warmup_steps) {
    return peak * static_cast<double>(done) / static_cast<double>(warmup_steps);
  }
  const int64_t begin = type == v1::LrScheduler::WSD
                            ? std::max(warmup_steps, steps - std::max<int64_t>(1, steps / 10))
                            : warmup_steps;
  if (type == v1::LrScheduler::CONSTANT || done <= begin) {
    return peak;
  }
  const double progress = std::min(
      1.0, static_cast<double>(done - begin) / static_cast<double>(std::max<int64_t>(1, steps - begin)));
  const double remaining =
      type == v1::LrScheduler::WSD ? 1.0 - progress : 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return minimum + (peak - minimum) * remaining;
}

}  // namespace cherry::trainer
