// What a rank tells its worker and its log about each step.
#ifndef CHERRY_WORKER_TRAINER_REPORTER_H_
#define CHERRY_WORKER_TRAINER_REPORTER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "cherry/v1/trainer.pb.h"
#include "worker/trainer/channel.h"
#include "worker/trainer/progress.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {

// Of one optimizer step.
struct StepFacts {
  double seconds = 0.0;
  v1::PhaseSeconds phases;
  double learning_rate = 0.0;
  double gradient_norm = 0.0;
  int64_t tokens = 0;             // Over all ranks.
  int64_t supervised_tokens = 0;  // Of them, how many were targets.
  bool validated = false;         // run.valid_loss is of this step.
  double checkpoint_stall_seconds = 0.0;
  std::vector<Measure> measures;  // What the recipe and its validation tell beside these.
};

// Not thread-safe.
class Reporter {
 public:
  // `flops_per_token` over `peak_flops` of the whole gang gives the ratio; a peak of 0 is unknown.
  Reporter(WorkerChannel* channel, int64_t total_steps, double flops_per_token, double peak_flops)
      : channel_(channel), total_steps_(total_steps), peak_tokens_per_second_(peak_flops / flops_per_token) {}

  void Report(const RunState& run, const StepFacts& facts);

 private:
  void FillProgress(const RunState& run, v1::Progress* progress) const;
  void FillSamples(const RunState& run, const StepFacts& facts, v1::StepReport* report) const;
  void Log(const RunState& run, const StepFacts& facts);

  WorkerChannel* channel_;
  int64_t total_steps_;
  double peak_tokens_per_second_;   // 0 when it is not known.
  double tokens_per_second_ = 0.0;  // Smoothed.
  double step_seconds_ = 0.0;       // Smoothed.
  std::optional<absl::Time> last_log_;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_REPORTER_H_
