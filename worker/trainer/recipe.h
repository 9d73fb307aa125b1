// A job kind: which model it trains, and on what objective. The loop is the same for all.
#ifndef CHERRY_WORKER_TRAINER_RECIPE_H_
#define CHERRY_WORKER_TRAINER_RECIPE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "cherry/v1/job.pb.h"
#include "worker/data/batch.h"
#include "worker/methods/sgt/coupling.h"
#include "worker/methods/sgt/selector.h"
#include "worker/model/transformer.h"

namespace cherry::trainer {

inline constexpr char kValidLoss[] = "loss/valid";

// A value of a recorded series.
struct Measure {
  std::string name;
  double value = 0.0;
};

// Loss in nats summed over targets, and their number.
struct GroupSum {
  double loss = 0.0;
  double targets = 0.0;

  double mean() const { return loss / targets; }
};

// Models that a recipe reads beside the one it trains.
class InputModels {
 public:
  virtual ~InputModels() = default;
  // The weights of the input `role` (JobInput.role) into `model`, whose shape they must have but for the
  // chain: one that the checkpoint does not have keeps its weights.
  virtual absl::Status LoadInto(absl::string_view role, LanguageModel* model) = 0;
  // A frozen model of its own.
  virtual absl::StatusOr<std::unique_ptr<LanguageModel>> LoadModel(absl::string_view role) = 0;
  // The same for one that is no mixture of whole models.
  absl::StatusOr<std::unique_ptr<Transformer>> Load(absl::string_view role);
  // Micro-batch `index` of part `part` of the training data in the order of its text: the same on every rank.
  virtual absl::StatusOr<Batch> Calibration(int64_t index, size_t part) = 0;
  absl::StatusOr<Batch> Calibration(int64_t index) { return Calibration(index, 0); }
  // The part of this job's training data that the checkpoint of `role` was trained on first.
  virtual absl::StatusOr<size_t> PartOf(absl::string_view role) = 0;
  // A sign of life, for what takes long: more than some minutes between two count as a hang.
  virtual void Alive() {}
  // Rank 0's value, on every rank: what decides has to decide alike.
  virtual absl::StatusOr<double> OfRankZero(double value) { return value; }
};

// What a recipe may look at between the steps, on all ranks alike.
struct StepView {
  int64_t step = 0;                    // Steps done.
  absl::Span<const Batch> batches;     // This rank's, of the step to come.
  const Batch* independent = nullptr;  // One that is not among them; only where Probes said so.
  Collectives collectives;
};

// Belongs to one rank and one thread. Torch's exceptions pass through.
class Recipe {
 public:
  virtual ~Recipe() = default;

  virtual LanguageModel& model() = 0;

  // Whether it measures from the weights it begins with. Then Prepare puts them into the model (rank 0's
  // count), and SetBaseline gets their validation, before the state of a checkpoint takes their place.
  virtual bool measures_from_origin() const { return false; }
  virtual absl::Status Prepare(InputModels*) { return absl::OkStatus(); }
  virtual void SetBaseline(const std::vector<GroupSum>&) {}

  // Before every step, with the number of steps done: what the method changes on its way.
  virtual void BeginStep(int64_t /*step*/) {}

  // How many targets of a batch the loss is taken on, and how many are left, from data alone.
  virtual TargetCounts Count(const Batch& batch) const = 0;
  // Whether TrainingLoss asks for the step's totals.
  virtual bool needs_totals() const { return false; }
  // What training minimises, with its graph: a sum whose quotient by the step's supervised targets, over
  // micro-batches and ranks, is the objective. `step`: those totals, zeros unless needs_totals().
  virtual at::Tensor TrainingLoss(const Batch& batch, const TargetCounts& step) = 0;

  // The series of what validation sums over; the first is "loss/valid", all targets.
  virtual std::vector<std::string> validation_groups() const { return {kValidLoss}; }
  // Adds a batch's sums, group by group; without a graph.
  virtual void AddValidation(const Batch& batch, absl::Span<GroupSum> sums) = 0;
  // What a validation tells beside its losses; a warning for people where something goes wrong, else empty.
  virtual std::vector<Measure> Compare(const std::vector<GroupSum>&, std::string* /*warning*/) { return {}; }

  // Whether it looks at the step after `step` more closely, before its update and after it.
  virtual bool Probes(int64_t /*step*/) const { return false; }
  virtual absl::Status BeforeUpdate(const StepView&) { return absl::OkStatus(); }
  virtual absl::Status AfterUpdate(const StepView&, std::vector<Measure>*) { return absl::OkStatus(); }
};

// The recipe of a resolved spec, with the weights of its seed. KIND_NOT_SUPPORTED for a kind that this
// version does not train.
absl::StatusOr<std::unique_ptr<Recipe>> MakeRecipe(const v1::JobSpec& spec, at::Device device);

// Next-token cross-entropy over all targets, and that of further tokens, from random weights.
std::unique_ptr<Recipe> MakePretrainRecipe(const v1::JobSpec& spec, const ModelShape& shape,
                                           at::Device device);

// Next-token cross-entropy over selected targets, held to the start model on the others.
std::unique_ptr<Recipe> MakeSgtRecipe(const v1::JobSpec& spec, const ModelShape& shape, at::Device device);

// A shallow model of a deep one, recovered under the deep one's eyes.
std::unique_ptr<Recipe> MakeCompressRecipe(const v1::JobSpec& spec, const ModelShape& shape,
                                           at::Device device);

// A mixture of trained models, and its training.
std::unique_ptr<Recipe> MakeFuseRecipe(const v1::JobSpec& spec, const ModelShape& shape, at::Device device);

// How a model of this training computes.
ModelOptions OptionsOf(const v1::TrainConfig& train, at::Device device);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_RECIPE_H_
