#include "worker/trainer/loop.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/fault_points.h"
#include "common/log.h"
#include "common/status.h"
#include "worker/parallel/agreement.h"
#include "worker/trainer/batches.h"

namespace cherry::trainer {
namespace {

// Seconds since the last call, for the parts of a step.
class Stopwatch {
 public:
  double Lap() {
    const absl::Time now = absl::Now();
    return absl::ToDoubleSeconds(now - std::exchange(last_, now));
  }

 private:
  absl::Time last_ = absl::Now();
};

double StepFlops(const v1::JobSpec& spec, const ModelShape& shape) {
  const int64_t length = spec.train().sequence_length();
  return FlopsPerToken(shape, length) + MultiTokenFlopsPerToken(shape, length, spec.multi_token());
}

std::unique_ptr<GradientBuckets> MakeBuckets(Parameters* parameters, Collective* collective) {
  if (collective->world_size() == 1) {
    return nullptr;
  }
  std::vector<int64_t> offsets;
  for (const NamedParameter& parameter : parameters->list()) {
    offsets.push_back(parameter.offset);
  }
  const at::Tensor& gradients = parameters->gradients();
  auto buckets = std::make_unique<GradientBuckets>(
      absl::MakeSpan(gradients.data_ptr<float>(), static_cast<size_t>(gradients.numel())), std::move(offsets),
      collective);
  parameters->SetGradientHook([buckets = buckets.get()](size_t index) { buckets->Ready(index); });
  return buckets;
}

// How even the experts' loads are, 1 being even and the mean over routers, and how undecided the routers.
void AddRouting(const Routing& routing, int64_t experts, std::vector<Measure>* measures) {
  if (routing.tokens == 0.0) {
    return;
  }
  const size_t routers = routing.loads.size() / static_cast<size_t>(experts);
  const double even = std::accumulate(routing.loads.begin(), routing.loads.end(), 0.0) /
                      static_cast<double>(routing.loads.size());
  double highest = 0.0;
  for (const double load : routing.loads) {
    highest = std::max(highest, load / even);
  }
  for (int64_t i = 0; i < experts; ++i) {
    double load = 0.0;
    for (size_t router = 0; router < routers; ++router) {
      load += routing.loads[router * static_cast<size_t>(experts) + static_cast<size_t>(i)];
    }
    measures->push_back({absl::StrCat("expert_load/", i), load / even / static_cast<double>(routers)});
  }
  measures->push_back({"expert_load/highest", highest});
  measures->push_back({"router_entropy", routing.entropy / routing.tokens});
}

// Parameters that no backward reaches.
std::vector<size_t> Untrained(const Parameters& parameters) {
  std::vector<size_t> untrained;
  for (size_t i = 0; i < parameters.list().size(); ++i) {
    if (!parameters.list()[i].trained) {
      untrained.push_back(i);
    }
  }
  return untrained;
}

bool Every(int64_t interval, int64_t step) { return interval > 0 && step % interval == 0; }

}  // namespace

TrainingLoop::TrainingLoop(const LoopParts& parts, RunState* run)
    : parts_(parts),
      spec_(parts.channel->start().attempt().spec()),
      steps_(spec_.train().steps()),
      micro_batch_(spec_.train().micro_batch_size()),
      micro_batches_(spec_.train().global_batch_size() / micro_batch_),
      run_(run),
      schedule_(LrSchedule::FromSpec(spec_.train())),
      validation_(PlanValidation(spec_, parts.valid)),
      untrained_(Untrained(parts.recipe->model().parameters())),
      buckets_(MakeBuckets(&parts.recipe->model().parameters(), parts.gang->gradients.get())),
      reporter_(parts.channel, steps_, StepFlops(spec_, parts.recipe->model().shape()),
                parts.device.peak_flops * parts.gang->world_size) {}

TrainingLoop::~TrainingLoop() {
  parts_.recipe->model().parameters().SetGradientHook(nullptr);
  // After an error sums may still be under way, in memory that goes with the model.
  parts_.gang->gradients.reset();
}

absl::Status TrainingLoop::Run() {
  parts_.channel->SendPhase(v1::PhaseReport::STEPPING, run_->step);
  while (run_->step < steps_) {
    StepFacts facts;
    StopRequest stop = StopRequest::kNone;
    RETURN_IF_ERROR(Step(&facts, &stop));
    RETURN_IF_ERROR(AfterStep(stop, &facts));
    reporter_.Report(*run_, facts);
    FaultPoint("trainer.after_step");
    if (stop != StopRequest::kNone && run_->step < steps_) {
      RETURN_IF_ERROR(stop == StopRequest::kSave ? Finish() : absl::OkStatus());
      return Error(absl::StatusCode::kCancelled, "STOPPED", "",
                   absl::StrCat("stopped on request after step ", run_->step), "start it again to go on");
    }
  }
  if (!run_->saved) {
    // Another job's last step was also this one's.
    parts_.checkpointer->Save(*run_, parts_.recipe->model().parameters(), *parts_.optimizer, /*final=*/true);
  }
  return Finish();
}

absl::Status TrainingLoop::Step(StepFacts* facts, StopRequest* stop) {
  const absl::Time begin = absl::Now();
  parts_.recipe->BeginStep(run_->step);
  Stopwatch watch;
  std::vector<Batch> batches;
  TargetCounts counts;
  RETURN_IF_ERROR(ReadStep(&batches, &counts));
  facts->phases.set_data(watch.Lap());
  StepView view;
  Batch independent;
  RETURN_IF_ERROR(BeforeUpdate(batches, &independent, &view));
  ASSIGN_OR_RETURN(const double loss_sum, Backpropagate(batches, counts, facts));
  watch.Lap();
  Routing routing = parts_.recipe->model().TakeRouting();
  ASSIGN_OR_RETURN(const Agreed agreed, Agree(loss_sum, counts, &routing));
  if (buckets_ != nullptr) {
    RETURN_IF_ERROR(buckets_->Finish());
  }
  facts->phases.set_reduce(watch.Lap());
  RETURN_IF_ERROR(Update(agreed, facts));
  parts_.recipe->model().Settle(routing);
  AddRouting(routing, parts_.recipe->model().shape().experts, &facts->measures);
  facts->phases.set_optimizer(watch.Lap());
  if (view.independent != nullptr) {
    RETURN_IF_ERROR(parts_.recipe->AfterUpdate(view, &facts->measures));
  }
  facts->tokens = micro_batches_ * micro_batch_ * spec_.train().sequence_length();
  facts->supervised_tokens = static_cast<int64_t>(agreed.targets);
  run_->step += 1;
  run_->sample_cursor += micro_batches_ * micro_batch_;
  run_->tokens += facts->tokens;
  run_->supervised_tokens += facts->supervised_tokens;
  run_->target_tokens += static_cast<int64_t>(agreed.targets + agreed.others);
  run_->saved = false;
  *stop = agreed.stop;
  facts->seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  return absl::OkStatus();
}

// One update, or none: a step may have nothing that is supervised.
absl::Status TrainingLoop::Update(const Agreed& agreed, StepFacts* facts) {
  facts->learning_rate = schedule_.At(run_->step);
  if (agreed.targets == 0.0) {
    // The optimizer counts the job's steps, so that a resumed run goes on alike.
    parts_.optimizer->set_step(parts_.optimizer->step() + 1);
    return absl::OkStatus();
  }
  const double loss = agreed.loss_sum / agreed.targets;
  if (!std::isfinite(loss)) {
    return NotFinite("LOSS_NOT_FINITE", "the loss", loss);
  }
  facts->gradient_norm = parts_.optimizer->Step(facts->learning_rate, 1.0 / agreed.targets);
  if (!std::isfinite(facts->gradient_norm)) {
    return NotFinite("GRADIENT_NOT_FINITE", "the gradient's norm", facts->gradient_norm);
  }
  run_->loss = loss;
  return absl::OkStatus();
}

absl::StatusOr<Batch> TrainingLoop::Read(int64_t first_sample) const {
  std::vector<int64_t> samples;
  std::vector<int64_t> windows;
  for (int64_t sample = first_sample; sample < first_sample + micro_batch_; ++sample) {
    samples.push_back(sample);
    windows.push_back(parts_.train->WindowOfSample(sample, spec_.train().seed()));
  }
  return ReadBatch(*parts_.train, windows, samples, CountedOf(spec_.data()), parts_.device.torch);
}

// This rank's micro-batches, and how many targets they have.
absl::Status TrainingLoop::ReadStep(std::vector<Batch>* batches, TargetCounts* counts) const {
  for (int64_t micro = parts_.gang->rank; micro < micro_batches_; micro += parts_.gang->world_size) {
    ASSIGN_OR_RETURN(Batch batch, Read(run_->sample_cursor + micro * micro_batch_));
    const TargetCounts of_batch = parts_.recipe->Count(batch);
    counts->Add(of_batch);
    batches->push_back(std::move(batch));
  }
  return absl::OkStatus();
}

// What the recipe looks at before the update, when it does; the view is empty when it does not.
absl::Status TrainingLoop::BeforeUpdate(const std::vector<Batch>& batches, Batch* independent,
                                        StepView* view) {
  if (!parts_.recipe->Probes(run_->step)) {
    return absl::OkStatus();
  }
  // The next step's: no rank's batches of this step have it.
  const int64_t next = run_->sample_cursor + micro_batches_ * micro_batch_;
  ASSIGN_OR_RETURN(*independent, Read(next + parts_.gang->rank * micro_batch_));
  view->step = run_->step;
  view->batches = batches;
  view->independent = independent;
  view->collectives = {parts_.gang->gradients.get(), parts_.gang->control.get()};
  return parts_.recipe->BeforeUpdate(*view);
}

// Over this rank's micro-batches; returns the sum of their losses.
absl::StatusOr<double> TrainingLoop::Backpropagate(const std::vector<Batch>& batches,
                                                   const TargetCounts& counts, StepFacts* facts) {
  Recipe* const recipe = parts_.recipe;
  TargetCounts totals;
  if (recipe->needs_totals()) {
    std::vector<double> shared = {counts.supervised, counts.others};
    shared.insert(shared.end(), counts.further.begin(), counts.further.end());
    RETURN_IF_ERROR(parts_.gang->control->AllReduceSum(absl::MakeSpan(shared)));
    totals = {shared[0], shared[1], {shared.begin() + 2, shared.end()}};
  }
  recipe->model().parameters().ZeroGradients();
  recipe->model().TakeRouting();  // A probe's passes do not count.
  Stopwatch watch;
  double forward = 0.0;
  double backward = 0.0;
  at::Tensor sum;
  for (size_t i = 0; i < batches.size(); ++i) {
    const at::Tensor loss = recipe->TrainingLoss(batches[i], totals);
    forward += watch.Lap();
    if (i + 1 == batches.size() && buckets_ != nullptr) {
      buckets_->Arm();
      for (const size_t index : untrained_) {
        buckets_->Ready(index);
      }
    }
    loss.backward();
    backward += watch.Lap();
    const at::Tensor value = loss.detach().to(at::kDouble);
    sum = sum.defined() ? sum + value : value;
  }
  const double loss_sum = sum.item<double>();
  facts->phases.set_forward(forward);
  facts->phases.set_backward(backward + watch.Lap());
  return loss_sum;
}

absl::StatusOr<TrainingLoop::Agreed> TrainingLoop::Agree(double loss_sum, const TargetCounts& counts,
                                                         Routing* routing) {
  const StopRequest stop = parts_.channel->stop();
  const absl::Status save = parts_.checkpointer->status();
  std::vector<double> shared = {loss_sum,
                                counts.supervised,
                                stop == StopRequest::kSave ? 1.0 : 0.0,
                                stop == StopRequest::kNow ? 1.0 : 0.0,
                                save.ok() ? 0.0 : 1.0,
                                counts.others};
  const size_t own = shared.size();
  const std::vector<double> packed = routing->Pack();
  shared.insert(shared.end(), packed.begin(), packed.end());
  RETURN_IF_ERROR(parts_.gang->control->AllReduceSum(absl::MakeSpan(shared)));
  *routing = Routing::Unpack({shared.begin() + static_cast<int64_t>(own), shared.end()});
  if (shared[4] > 0.0) {
    RETURN_IF_ERROR(AgreeOn(save, parts_.gang->control.get()));
  }
  Agreed agreed;
  agreed.loss_sum = shared[0];
  agreed.targets = shared[1];
  agreed.others = shared[5];
  agreed.stop = shared[3] > 0.0   ? StopRequest::kNow
                : shared[2] > 0.0 ? StopRequest::kSave
                                  : StopRequest::kNone;
  return agreed;
}

absl::Status TrainingLoop::AfterStep(StopRequest stop, StepFacts* facts) {
  const bool last = run_->step == steps_;
  const bool planned = last || Every(spec_.checkpoint().every_steps(), run_->step);
  // Whoever asks for a stop waits for it: its checkpoint goes unmeasured unless one is due anyway.
  const bool save = planned || stop == StopRequest::kSave;
  if (stop == StopRequest::kNow && !last) {
    return absl::OkStatus();
  }
  facts->validated = planned || Every(spec_.validation().every_steps(), run_->step);
  if (facts->validated) {
    parts_.channel->SendPhase(v1::PhaseReport::VALIDATING, run_->step);
    RETURN_IF_ERROR(RunValidation(facts));
  }
  if (save) {
    parts_.channel->SendPhase(v1::PhaseReport::CHECKPOINTING, run_->step);
    RunState saved = *run_;
    if (!facts->validated) {
      saved.valid_loss.reset();
    }
    facts->checkpoint_stall_seconds =
        parts_.checkpointer->Save(saved, parts_.recipe->model().parameters(), *parts_.optimizer, last);
    facts->phases.set_checkpoint(facts->checkpoint_stall_seconds);
    run_->saved = true;
  }
  if (facts->validated || save) {
    parts_.channel->SendPhase(v1::PhaseReport::STEPPING, run_->step);
  }
  return absl::OkStatus();
}

absl::Status TrainingLoop::RunValidation(StepFacts* facts) {
  ASSIGN_OR_RETURN(const std::vector<GroupSum> groups,
                   Validate(validation_, parts_.recipe, parts_.device.torch, parts_.gang->control.get()));
  const double loss = groups.front().mean();
  if (!std::isfinite(loss)) {
    return NotFinite("LOSS_NOT_FINITE", "the validation loss", loss);
  }
  run_->valid_loss = loss;
  run_->best_valid_loss = std::min(run_->best_valid_loss.value_or(loss), loss);
  const std::vector<std::string> names = parts_.recipe->validation_groups();
  for (size_t i = 1; i < groups.size(); ++i) {
    if (groups[i].targets > 0.0) {
      facts->measures.push_back({names[i], groups[i].mean()});
    }
  }
  std::string warning;
  for (Measure& measure : parts_.recipe->Compare(groups, &warning)) {
    facts->measures.push_back(std::move(measure));
  }
  if (!warning.empty() && parts_.gang->rank == 0) {
    LogWarning(warning);
    parts_.channel->SendNote("Warning", warning, run_->step);
  }
  return absl::OkStatus();
}

absl::Status TrainingLoop::Finish() {
  parts_.channel->SendPhase(v1::PhaseReport::FINISHING, run_->step);
  return AgreeOn(parts_.checkpointer->Finish(), parts_.gang->checkpoint.get());
}

absl::Status TrainingLoop::NotFinite(absl::string_view reason, absl::string_view what, double value) const {
  return Error(
      absl::StatusCode::kOutOfRange, reason, "train.optimizer.learning_rate",
      absl::StrCat("in step ", run_->step + 1, " ", what, " is ", value, " (samples ", run_->sample_cursor,
                   " to ", run_->sample_cursor + micro_batches_ * micro_batch_ - 1, ")"),
      "use a smaller train.optimizer.learning_rate, a longer warm-up, or look at these samples");
}

}  // namespace cherry::trainer
