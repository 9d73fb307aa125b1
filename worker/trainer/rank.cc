#include "worker/trainer/rank.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/log.h"
#include "common/spec_kinds.h"
#include "common/status.h"
#include "worker/data/mixture.h"
#include "worker/parallel/agreement.h"
#include "worker/trainer/channel.h"
#include "worker/trainer/checkpointer.h"
#include "worker/trainer/device.h"
#include "worker/trainer/evaluate.h"
#include "worker/trainer/gang.h"
#include "worker/trainer/inputs.h"
#include "worker/trainer/loop.h"
#include "worker/trainer/outcome.h"
#include "worker/trainer/process.h"
#include "worker/trainer/recipe.h"
#include "worker/trainer/resume.h"
#include "worker/trainer/state_copy.h"
#include "worker/trainer/validator.h"

namespace cherry::trainer {
namespace {

struct Data {
  std::unique_ptr<SplitMixture> train;
  std::unique_ptr<SplitMixture> valid;
};

// Before the first Torch call.
absl::StatusOr<Device> SetUp(const v1::StartRank& start) {
  const std::vector<int> cores(start.cores().begin(), start.cores().end());
  const absl::Status pinned = PinToCores(cores);
  if (!pinned.ok()) {
    // A container may have been given other cores since; the run is right, only slower.
    LogWarning(pinned.message());
  }
  ASSIGN_OR_RETURN(Device device, OpenDevice(start.slot()));
  device.threads = start.threads();
  if (start.attempt().spec().train().deterministic()) {
    RETURN_IF_ERROR(SetUpDeterminism());
  }
  SetUpThreads(start.threads());
  return device;
}

// A manifest speaks for all ranks: they compute alike, with as many threads as the rank with the fewest
// cores.
absl::Status AgreeOnArithmetic(Gang* gang, Device* device) {
  std::vector<double> threads(static_cast<size_t>(gang->world_size), 0.0);
  threads[static_cast<size_t>(gang->rank)] = device->threads;
  RETURN_IF_ERROR(gang->control->AllReduceSum(absl::MakeSpan(threads)));
  device->threads = static_cast<int>(*std::min_element(threads.begin(), threads.end()));
  constexpr size_t kLongestName = 128;
  std::string name = device->processor;
  name.resize(kLongestName);
  const std::string own = name;
  RETURN_IF_ERROR(gang->control->Broadcast(absl::MakeSpan(name.data(), name.size()), 0));
  const absl::Status alike =
      name == own ? absl::OkStatus()
                  : Error(absl::StatusCode::kFailedPrecondition, "EXACT_IMPOSSIBLE", "train.deterministic",
                          absl::StrCat("train.deterministic: rank 0 has the processor ", name.c_str(),
                                       ", rank ", gang->rank, " has ", own.c_str()),
                          "select hosts of one kind with resources.node_selector, or use "
                          "train.deterministic: false");
  return AgreeOn(alike, gang->control.get());
}

absl::StatusOr<Data> OpenData(const v1::StartRank& start) {
  const v1::StartAttempt& attempt = start.attempt();
  const v1::DataConfig& config = attempt.spec().data();
  const bool measures = attempt.spec().kind() == v1::JobSpec::EVALUATE;
  Data data;
  if (!measures) {
    ASSIGN_OR_RETURN(data.train,
                     SplitMixture::Open(start.data_root(), attempt, config.train(), "data.train"));
  }
  ASSIGN_OR_RETURN(data.valid, SplitMixture::Open(start.data_root(), attempt, config.valid(), "data.valid"));
  const v1::JobSpec& spec = attempt.spec();
  const bool responses = CountedOf(config) == CountedTargets::kResponses;
  const bool rules = spec.kind() == v1::JobSpec::SGT && UsesRules(spec.sgt().selector());
  if (!measures && (responses || rules)) {
    RETURN_IF_ERROR(data.train->OpenLabels());
  }
  // What the rules select of held-out text is measured for every selector, where there are labels.
  const bool by_labels = spec.kind() == v1::JobSpec::SGT || measures;
  if (responses || (by_labels && data.valid->offers_labels())) {
    RETURN_IF_ERROR(data.valid->OpenLabels());
  }
  if (start.rank() == 0) {
    RETURN_IF_ERROR(measures ? absl::OkStatus() : data.train->CheckHashes());
    RETURN_IF_ERROR(data.valid->CheckHashes());
  }
  return data;
}

absl::StatusOr<Data> LoadData(WorkerChannel* channel, Gang* gang) {
  channel->SendPhase(v1::PhaseReport::LOADING, 0);
  // Rank 0 reads the whole files for it; the others wait at the patient collective.
  absl::StatusOr<Data> data = OpenData(channel->start());
  RETURN_IF_ERROR(AgreeOn(data.status(), gang->checkpoint.get()));
  return data;
}

absl::Status CheckDivisible(const v1::StartAttempt& attempt) {
  const v1::TrainConfig& train = attempt.spec().train();
  const int64_t sequences = int64_t{train.micro_batch_size()} * attempt.world_size();
  if (sequences > 0 && train.global_batch_size() % sequences == 0) {
    return absl::OkStatus();
  }
  return InvalidField("BATCH_NOT_DIVISIBLE", "train.global_batch_size",
                      absl::StrCat("train.global_batch_size: ", train.global_batch_size(),
                                   " is not a multiple of micro_batch_size * ranks = ", sequences),
                      "change train.global_batch_size, train.micro_batch_size or resources.ranks");
}

// The planner's table, in the log before step 0 and, once, in the timeline.
void ShowMemoryPlan(WorkerChannel* channel, const ModelShape& shape, bool bf16) {
  const v1::MemoryPlan plan = PlanMemory(shape, channel->start().attempt().spec().train(), bf16 ? 2 : 4);
  const auto mib = [](int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  const std::string text = absl::StrFormat(
      "memory of a rank, planned: weights %.1f MiB, gradients %.1f, optimizer %.1f, activations %.1f, logits "
      "%.1f, snapshot %.1f, in all %.1f MiB",
      mib(plan.weights()), mib(plan.gradients()), mib(plan.optimizer()), mib(plan.activations()),
      mib(plan.logits()), mib(plan.snapshot()), mib(plan.total()));
  LogInfo(text);
  if (channel->start().rank() == 0) {
    channel->SendNote("MemoryPlan", text, 0);
  }
}

AdamWOptions OptimizerOptions(const v1::OptimizerConfig& config) {
  AdamWOptions options;
  options.beta1 = config.betas(0);
  options.beta2 = config.betas(1);
  options.eps = config.eps();
  options.weight_decay = config.weight_decay();
  options.max_grad_norm = config.max_grad_norm();
  return options;
}

// Where a method measures from: its models, and the losses of the weights it begins with.
absl::Status BeginFromOrigin(WorkerChannel* channel, const Device& device, Gang* gang, const Data& data,
                             Recipe* recipe) {
  const std::unique_ptr<InputModels> inputs = MakeInputModels(channel, gang, device, data.train.get());
  RETURN_IF_ERROR(recipe->Prepare(inputs.get()));
  if (!recipe->measures_from_origin()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(BroadcastWeights(&recipe->model().parameters(), gang->control.get()));
  channel->SendPhase(v1::PhaseReport::VALIDATING, 0);
  ASSIGN_OR_RETURN(const std::vector<GroupSum> baseline,
                   Validate(PlanValidation(channel->start().attempt().spec(), data.valid.get()), recipe,
                            device.torch, gang->control.get()));
  recipe->SetBaseline(baseline);
  LogInfo(absl::StrFormat("held-out loss before the first step: %.4f", baseline.front().mean()));
  return absl::OkStatus();
}

absl::StatusOr<v1::Evaluation> EvaluateWith(WorkerChannel* channel, const Device& device, Gang* gang) {
  ASSIGN_OR_RETURN(const Data data, LoadData(channel, gang));
  const std::unique_ptr<InputModels> inputs = MakeInputModels(channel, gang, device, data.train.get());
  return Evaluate(channel, gang, device, inputs.get(), *data.valid);
}

absl::Status TrainWith(WorkerChannel* channel, const Device& device, Gang* gang, RunState* run) {
  const v1::JobSpec& spec = channel->start().attempt().spec();
  ASSIGN_OR_RETURN(const Data data, LoadData(channel, gang));
  ASSIGN_OR_RETURN(const std::unique_ptr<Recipe> recipe, MakeRecipe(spec, device.torch));
  Parameters& parameters = recipe->model().parameters();
  ShowMemoryPlan(channel, recipe->model().shape(), device.cuda != nullptr);
  RETURN_IF_ERROR(BeginFromOrigin(channel, device, gang, data, recipe.get()));
  AdamW optimizer(&parameters, OptimizerOptions(spec.train().optimizer()));
  HostState buffers = MakeHostState(parameters);
  ASSIGN_OR_RETURN(const StartingPoint start,
                   FindStart(channel, gang, device, recipe->measures_from_origin(), &buffers));
  if (start.weights) {
    CopyFromHost(buffers, &parameters, start.moments ? &optimizer : nullptr);
  }
  optimizer.set_step(start.run.step);
  *run = start.run;
  Checkpointer checkpointer(channel, recipe->model().shape(), device, std::move(buffers));
  LoopParts parts;
  parts.channel = channel;
  parts.gang = gang;
  parts.device = device;
  parts.recipe = recipe.get();
  parts.optimizer = &optimizer;
  parts.checkpointer = &checkpointer;
  parts.train = data.train.get();
  parts.valid = data.valid.get();
  absl::Status status = Guard([&] { return TrainingLoop(parts, run).Run(); });
  if (!status.ok()) {
    // A save under way is still written, in its own time.
    channel->SendPhase(v1::PhaseReport::FINISHING, run->step);
  }
  return status;
}

absl::Status Work(WorkerChannel* channel, RunState* run, v1::RankFinished* finished) {
  const v1::StartRank& start = channel->start();
  LogInfo(absl::StrCat("rank ", start.rank(), " of ", start.attempt().world_size(), " of ",
                       start.attempt().job_name(), ", epoch ", start.attempt().attempt().epoch(), ", ",
                       start.threads(), " threads"));
  ASSIGN_OR_RETURN(Device device, SetUp(start));
  LogInfo(absl::StrCat("computes on ", device.processor));
  RETURN_IF_ERROR(CheckDivisible(start.attempt()));
  channel->SendPhase(v1::PhaseReport::RENDEZVOUS, 0);
  ASSIGN_OR_RETURN(Gang gang, FormGang(start, device, channel));
  if (start.attempt().spec().train().deterministic()) {
    RETURN_IF_ERROR(AgreeOnArithmetic(&gang, &device));
    SetUpThreads(device.threads);
  }
  if (start.attempt().spec().kind() != v1::JobSpec::EVALUATE) {
    return TrainWith(channel, device, &gang, run);
  }
  ASSIGN_OR_RETURN(v1::Evaluation evaluation, EvaluateWith(channel, device, &gang));
  if (start.rank() == 0) {
    *finished->mutable_evaluation() = std::move(evaluation);
  }
  return absl::OkStatus();
}

}  // namespace

int RunRank(int fd) {
  absl::StatusOr<std::unique_ptr<WorkerChannel>> channel = WorkerChannel::Open(fd);
  if (!channel.ok()) {
    LogError(Describe(channel.status()));
    return kExitUser;
  }
  RunState run;
  v1::RankFinished finished;
  const absl::Status status = Guard([&] { return Work(channel->get(), &run, &finished); });
  finished.set_cause(CauseOf(status));
  finished.set_last_step(run.step);
  if (!status.ok()) {
    finished.set_message(Describe(status));
    ExitCodeOf(status) == kExitResume ? LogInfo(Describe(status)) : LogError(Describe(status));
  }
  (*channel)->SendFinished(finished);
  return ExitCodeOf(status);
}

}  // namespace cherry::trainer
