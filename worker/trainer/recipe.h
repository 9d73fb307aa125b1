// A job kind: which model it trains, and on what objective. The loop is the same for all.
#ifndef CHERRY_WORKER_TRAINER_RECIPE_H_
#define CHERRY_WORKER_TRAINER_RECIPE_H_

#include <ATen/core/Tensor.h>

#include <memory>

#include "absl/status/statusor.h"
#include "cherry/v1/job.pb.h"
#include "worker/model/transformer.h"

namespace cherry::trainer {

// Both [sequences, sequence_length] int64 on the model's device.
struct Batch {
  at::Tensor tokens;
  at::Tensor targets;
};

// Belongs to one rank and one thread. Torch's exceptions pass through.
class Recipe {
 public:
  virtual ~Recipe() = default;

  virtual Transformer& model() = 0;
  // What training minimises, with its graph: a sum over targets and their number. The loop divides by the
  // number of targets of the whole step, over micro-batches and ranks.
  virtual LossSum TrainingLoss(const Batch& batch) = 0;
  // What validation reports; without a graph.
  virtual LossSum ValidationLoss(const Batch& batch) = 0;
};

// The recipe of a resolved spec, with the weights of its seed. KIND_NOT_SUPPORTED for a kind that this
// version does not train.
absl::StatusOr<std::unique_ptr<Recipe>> MakeRecipe(const v1::JobSpec& spec, at::Device device);

// Next-token cross-entropy over all targets, from random weights.
std::unique_ptr<Recipe> MakePretrainRecipe(const v1::JobSpec& spec, const ModelShape& shape,
                                           at::Device device);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_RECIPE_H_
