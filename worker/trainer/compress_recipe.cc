// Compression: layers are merged, visited again in loops, and trained to do what the deep model does.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/log.h"
#include "common/status.h"
#include "worker/kernels/cross_entropy.h"
#include "worker/kernels/head_kl.h"
#include "worker/methods/compress/merge.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {
namespace {

constexpr int64_t kCalibrationBatches = 32;
// Both sides do the same products in the same type; gains of 1 and 0 change no bit.
constexpr double kSameLogits = 1e-5;

GainStart StartOf(v1::UnrollConfig::Start start) {
  return start == v1::UnrollConfig::FLOW   ? GainStart::kFlow
         : start == v1::UnrollConfig::LORA ? GainStart::kLora
                                           : GainStart::kIdentity;
}

const char* NameOf(GainStart start) {
  return start == GainStart::kFlow ? "flow" : start == GainStart::kLora ? "lora" : "identity";
}

enum CompressGroup { kStudent, kTeacher };

class CompressRecipe final : public Recipe {
 public:
  CompressRecipe(const v1::JobSpec& spec, const ModelShape& shape, at::Device device)
      : compress_(spec.compress()),
        steps_(spec.train().steps()),
        model_(shape, OptionsOf(spec.train(), device), static_cast<uint64_t>(spec.train().seed())),
        visits_(VisitsOf(shape)) {}

  Transformer& model() override { return model_; }

  bool measures_from_origin() const override { return true; }
  absl::Status Prepare(InputModels* inputs) override;
  void SetBaseline(const std::vector<GroupSum>& baseline) override { baseline_ = baseline; }
  void BeginStep(int64_t step) override;

  TargetCounts Count(const Batch& batch) const override {
    return {std::accumulate(batch.counted.begin(), batch.counted.end(), 0.0), 0.0};
  }
  at::Tensor TrainingLoss(const Batch& batch, const TargetCounts& step) override;

  std::vector<std::string> validation_groups() const override { return {kValidLoss, "loss/valid/teacher"}; }
  void AddValidation(const Batch& batch, absl::Span<GroupSum> sums) override;
  std::vector<Measure> Compare(const std::vector<GroupSum>& now, std::string* warning) override;

 private:
  bool aligned() const { return compress_.method() == v1::CompressConfig::ALIGNED_MEAN; }
  absl::Status StartLoops(absl::Span<const Combination> combinations, absl::Span<const Batch> calibration,
                          InputModels* inputs);
  absl::Status CheckIdentity(absl::Span<const Combination> combinations, const Batch& batch);
  double Loss(absl::Span<const Batch> batches);
  // `merged`: all weights as MergeInto has left them.
  void Start(GainStart start, absl::Span<const Combination> combinations, const at::Tensor& merged);
  absl::Status StartLowest(absl::Span<const Combination> combinations, absl::Span<const Batch> calibration,
                           const at::Tensor& merged, InputModels* inputs);
  int64_t RoundsAt(int64_t step) const;
  at::Tensor StateDistance(const std::vector<at::Tensor>& states, const std::vector<at::Tensor>& teacher,
                           const at::Tensor& counted) const;

  const v1::CompressConfig compress_;
  const int64_t steps_;
  Transformer model_;
  const std::vector<Visit> visits_;
  std::unique_ptr<Transformer> teacher_;
  SignOfLife alive_;  // While Prepare runs.
  std::vector<double> stands_for_;
  GainStart start_ = GainStart::kIdentity;
  int64_t rounds_ = 1;  // Of the step under way.
  std::vector<GroupSum> baseline_;
};

absl::Status CompressRecipe::Prepare(InputModels* inputs) {
  alive_ = [inputs] { inputs->Alive(); };
  ASSIGN_OR_RETURN(teacher_, inputs->Load("origin"));
  std::vector<Batch> calibration;
  std::vector<at::Tensor> tokens;
  for (int64_t i = 0; i < kCalibrationBatches; ++i) {
    ASSIGN_OR_RETURN(Batch batch, inputs->Calibration(i));
    tokens.push_back(batch.tokens);
    calibration.push_back(std::move(batch));
  }
  const std::vector<Combination> combinations = Combine(compress_, teacher_.get(), tokens, alive_);
  stands_for_ = StandsFor(compress_, combinations, teacher_->shape().layers);
  MergeInto(*teacher_, combinations, aligned(), &model_, alive_);
  return model_.shape().schedule.empty() ? absl::OkStatus() : StartLoops(combinations, calibration, inputs);
}

absl::Status CompressRecipe::StartLoops(absl::Span<const Combination> combinations,
                                        absl::Span<const Batch> calibration, InputModels* inputs) {
  RETURN_IF_ERROR(CheckIdentity(combinations, calibration.front()));
  const at::Tensor merged = model_.parameters().values().clone();
  if (compress_.unroll().start() == v1::UnrollConfig::LOWEST) {
    return StartLowest(combinations, calibration, merged, inputs);
  }
  Start(StartOf(compress_.unroll().start()), combinations, merged);
  return absl::OkStatus();
}

absl::Status CompressRecipe::StartLowest(absl::Span<const Combination> combinations,
                                         absl::Span<const Batch> calibration, const at::Tensor& merged,
                                         InputModels* inputs) {
  GainStart best = GainStart::kIdentity;
  double lowest = std::numeric_limits<double>::infinity();
  std::string losses;
  for (const GainStart start : {GainStart::kIdentity, GainStart::kFlow, GainStart::kLora}) {
    if (start == GainStart::kLora && model_.shape().lora_rank == 0) {
      continue;
    }
    Start(start, combinations, merged);
    ASSIGN_OR_RETURN(const double loss, inputs->OfRankZero(Loss(calibration)));
    absl::StrAppendFormat(&losses, "%s %.4f, ", NameOf(start), loss);
    if (loss < lowest) {
      lowest = loss;
      best = start;
    }
  }
  if (start_ != best) {
    Start(best, combinations, merged);
  }
  LogInfo(absl::StrCat("loss on the calibration: ", losses, "the loops start as ", NameOf(best)));
  return absl::OkStatus();
}

// With the gains of identity the model is the merged one: its logits must be, else the checkpoint would not
// be what its lineage says.
absl::Status CompressRecipe::CheckIdentity(absl::Span<const Combination> combinations, const Batch& batch) {
  const at::NoGradGuard no_gradient;
  ModelShape plain = model_.shape();
  plain.schedule.clear();
  ModelOptions options = model_.options();
  options.frozen = true;
  Transformer merged(plain, options, /*seed=*/0);
  MergeInto(*teacher_, combinations, aligned(), &merged, alive_);
  SetGains(GainStart::kIdentity, stands_for_, 1, &model_);
  const at::Tensor ours = model_.Logits(model_.Hidden(batch.tokens));
  const at::Tensor expected = merged.Logits(merged.Hidden(batch.tokens));
  const double difference = ((ours - expected).norm() / expected.norm()).item<double>();
  if (difference <= kSameLogits) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kInternal, "LINEAGE_BROKEN", "compress.unroll",
               absl::StrCat("compress.unroll: the unrolled model's logits differ from the merged model's by ",
                            difference, " in relative norm before the first step"),
               "train with train.dtype: fp32, or report this with the job's spec");
}

double CompressRecipe::Loss(absl::Span<const Batch> batches) {
  const at::NoGradGuard no_gradient;
  double sum = 0.0;
  double targets = 0.0;
  for (const Batch& batch : batches) {
    alive_();
    sum += model_.Loss(batch.tokens, batch.targets).sum.item<double>();
    targets += Count(batch).supervised;
  }
  return sum / targets;
}

void CompressRecipe::Start(GainStart start, absl::Span<const Combination> combinations,
                           const at::Tensor& merged) {
  const at::NoGradGuard no_gradient;
  start_ = start;
  rounds_ = RoundsAt(0);
  model_.parameters().values().copy_(merged);
  SetGains(start, stands_for_, rounds_, &model_);
  if (start == GainStart::kLora) {
    SetProducts(*teacher_, combinations, aligned(), rounds_, &model_, alive_);
  }
  model_.LimitRounds(rounds_);
}

// Stages of equal length; without stages every round from the start.
int64_t CompressRecipe::RoundsAt(int64_t step) const {
  const auto& growth = compress_.unroll().growth();
  if (growth.empty()) {
    int64_t most = 1;
    for (const Visit& visit : visits_) {
      most = std::max(most, visit.rounds);
    }
    return most;
  }
  const int64_t stage = std::min<int64_t>(step * growth.size() / steps_, growth.size() - 1);
  return growth[static_cast<int>(stage)];
}

// A checkpoint holds the state before the growth of the step that follows it, so a resumed run grows at the
// same step.
void CompressRecipe::BeginStep(int64_t step) {
  const int64_t before = RoundsAt(std::max<int64_t>(0, step - 1));
  const int64_t after = RoundsAt(step);
  if (before < after) {
    GrowRounds(start_, before, after, &model_);
    LogInfo(absl::StrCat("step ", step, ": loops grow from ", before, " to ", after, " rounds"));
  }
  rounds_ = after;
  model_.LimitRounds(after);
}

// The mean square distance of states scaled to a root mean square of 1, summed over the positions that count
// and averaged over the layers: after a layer's last visit, and where the teacher is as deep in proportion.
at::Tensor CompressRecipe::StateDistance(const std::vector<at::Tensor>& states,
                                         const std::vector<at::Tensor>& teacher,
                                         const at::Tensor& counted) const {
  std::vector<size_t> ends(static_cast<size_t>(model_.shape().layers), 0);
  size_t place = 0;
  for (const Visit& visit : visits_) {
    if (visit.round < rounds_) {
      ends[static_cast<size_t>(visit.layer)] = ++place;
    }
  }
  const auto scaled = [](const at::Tensor& state) {
    const at::Tensor x = state.to(at::kFloat);
    return x * at::rsqrt(x.square().mean(-1, /*keepdim=*/true) + 1e-6);
  };
  at::Tensor sum = at::zeros({}, counted.options());
  for (const size_t end : ends) {
    const auto deep = static_cast<size_t>(
        std::llround(static_cast<double>(end * (teacher.size() - 1)) / static_cast<double>(place)));
    const at::Tensor distance = (scaled(states[end]) - scaled(teacher[deep])).square().mean(-1);
    sum = sum + (distance.flatten() * counted).sum();
  }
  return sum / static_cast<double>(ends.size());
}

at::Tensor CompressRecipe::TrainingLoss(const Batch& batch, const TargetCounts&) {
  const v1::RecoverConfig& recover = compress_.recover();
  const bool with_states = recover.hidden_weight() > 0.0;
  std::vector<at::Tensor> states;
  std::vector<at::Tensor> teacher_states;
  const at::Tensor targets = batch.targets.flatten();
  const at::Tensor counted = targets.ne(kIgnoredTarget);
  at::Tensor deep;
  if (recover.alpha() < 1.0 || with_states) {
    const at::NoGradGuard no_gradient;
    deep = teacher_->Hidden(batch.tokens, with_states ? &teacher_states : nullptr).flatten(0, 1);
  }
  const at::Tensor hidden = model_.Hidden(batch.tokens, with_states ? &states : nullptr).flatten(0, 1);
  at::Tensor loss = HeadCrossEntropy(hidden, model_.HeadWeight(), targets) * recover.alpha();
  if (recover.alpha() < 1.0) {
    const Rows rows = GatherRows(counted, targets, static_cast<int64_t>(Count(batch).supervised));
    const double t = recover.temperature();
    loss = loss + HeadKl(hidden.index_select(0, rows.index), model_.HeadWeight(),
                         deep.index_select(0, rows.index), teacher_->HeadWeight(), t) *
                      ((1.0 - recover.alpha()) * t * t);
  }
  if (with_states) {
    loss = loss + StateDistance(states, teacher_states, counted.to(at::kFloat)) * recover.hidden_weight();
  }
  return loss;
}

void CompressRecipe::AddValidation(const Batch& batch, absl::Span<GroupSum> sums) {
  const at::NoGradGuard no_gradient;
  const double targets = Count(batch).supervised;
  sums[kStudent].loss += model_.Loss(batch.tokens, batch.targets).sum.item<double>();
  sums[kStudent].targets += targets;
  if (baseline_.empty()) {
    sums[kTeacher].loss += teacher_->Loss(batch.tokens, batch.targets).sum.item<double>();
    sums[kTeacher].targets += targets;
  }
}

// rec_merge: how much of what merging cost has been made good. It flatters merges that destroy much.
std::vector<Measure> CompressRecipe::Compare(const std::vector<GroupSum>& now, std::string*) {
  const double merged = baseline_[kStudent].mean();
  const double teacher = baseline_[kTeacher].mean();
  std::vector<Measure> measures = {{"loss/valid/merged", merged}, {"loss/valid/teacher", teacher}};
  if (merged != teacher) {
    measures.push_back({"recovery/merge", (merged - now[kStudent].mean()) / (merged - teacher)});
  }
  return measures;
}

}  // namespace

std::unique_ptr<Recipe> MakeCompressRecipe(const v1::JobSpec& spec, const ModelShape& shape,
                                           at::Device device) {
  return std::make_unique<CompressRecipe>(spec, shape, device);
}

}  // namespace cherry::trainer
