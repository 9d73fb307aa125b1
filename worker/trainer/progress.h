// How far a run has come.
#ifndef CHERRY_WORKER_TRAINER_PROGRESS_H_
#define CHERRY_WORKER_TRAINER_PROGRESS_H_

#include <cstdint>
#include <optional>
#include <string>

namespace cherry::trainer {

// What a checkpoint restores beside tensors. The same on every rank.
struct RunState {
  int64_t step = 0;                  // Optimizer steps done.
  int64_t sample_cursor = 0;         // Next global sample number.
  int64_t tokens = 0;                // Trained on.
  int64_t target_tokens = 0;         // Of them, those that count as targets.
  int64_t supervised_tokens = 0;     // Of these, those that the loss was taken on.
  std::optional<double> loss;        // Of the last step, nats per target.
  std::optional<double> valid_loss;  // Of the last validation.
  std::optional<double> best_valid_loss;
  std::string parent;  // Checkpoint the weights came from, "" for random ones.
  // The job has a checkpoint of this very step already.
  bool saved = false;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_PROGRESS_H_
