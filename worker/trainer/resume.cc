#include "worker/trainer/resume.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/file.h"
#include "common/log.h"
#include "common/manifest.h"
#include "common/status.h"
#include "worker/checkpoint/load.h"
#include "worker/parallel/agreement.h"
#include "worker/trainer/process.h"
#include "worker/trainer/recorded.h"

namespace cherry::trainer {
namespace {

// Index in `resume` of the first sound one, or -1. On rank 0.
absl::StatusOr<int> ChooseCheckpoint(WorkerChannel* channel) {
  const v1::StartRank& start = channel->start();
  const v1::StartAttempt& attempt = start.attempt();
  if (attempt.resume_size() == 0) {
    return -1;
  }
  RETURN_IF_ERROR(CheckRoot(start));
  for (int i = 0; i < attempt.resume_size(); ++i) {
    const v1::Checkpoint& checkpoint = attempt.resume(i);
    const absl::Status sound = VerifyRecorded(start, checkpoint);
    if (sound.ok()) {
      return i;
    }
    if (!IsCorrupt(sound)) {
      return Unreadable(checkpoint, sound);
    }
    const std::string message =
        absl::StrCat("checkpoint of step ", checkpoint.step(), " is not sound: ", sound.message());
    LogWarning(message);
    channel->SendNote("CheckpointCorrupt", message, checkpoint.step());
  }
  if (attempt.spec().has_continue_()) {
    return Error(absl::StatusCode::kDataLoss, "CHECKPOINT_CORRUPT", "continue",
                 absl::StrCat("continue: no checkpoint of ", attempt.spec().continue_().job(), " is sound"),
                 "name a job with a sound checkpoint; `cherry checkpoint verify` tells which are");
  }
  const std::string message = "no checkpoint is sound: starting from the beginning";
  LogWarning(message);
  channel->SendNote("Warning", message, 0);
  return -1;
}

// The weights that a job names must be sound: nothing else could stand in for them.
absl::Status CheckFrom(const v1::StartRank& start) {
  absl::Status sound = VerifyRecorded(start, start.attempt().from());
  if (sound.ok()) {
    return sound;
  }
  return Error(
      absl::StatusCode::kDataLoss, "CHECKPOINT_CORRUPT", "from",
      absl::StrCat("from: checkpoint ", start.attempt().from().name(), " is not sound: ", sound.message()),
      "name another checkpoint of that job");
}

absl::Status CannotStayExact(absl::string_view what, absl::string_view was, absl::string_view is,
                             absl::string_view remedy) {
  return Error(absl::StatusCode::kFailedPrecondition, "EXACT_RESUME_IMPOSSIBLE", "train.deterministic",
               absl::StrCat("train.deterministic: the checkpoint was made with ", what, " ", was,
                            ", this attempt has ", is, ": it could not go on bit by bit"),
               remedy);
}

absl::Status CheckExact(const v1::StartRank& start, const Device& device, const Manifest& manifest) {
  if (!start.attempt().spec().train().deterministic() || !manifest.deterministic) {
    return absl::OkStatus();
  }
  const int world_size = start.attempt().world_size();
  if (manifest.world_size != world_size) {
    return CannotStayExact("world size", absl::StrCat(manifest.world_size), absl::StrCat(world_size),
                           "give resources.ranks the first number, or train.deterministic: false");
  }
  if (manifest.threads_per_rank != device.threads) {
    return CannotStayExact(
        "threads per rank", absl::StrCat(manifest.threads_per_rank), absl::StrCat(device.threads),
        "use workers with slots of the first number of cores, or train.deterministic: false");
  }
  if (manifest.processor != device.processor) {
    return CannotStayExact(
        "processor", manifest.processor, device.processor,
        "select such hosts with resources.node_selector, or use train.deterministic: false");
  }
  return absl::OkStatus();
}

absl::StatusOr<StartingPoint> LoadResume(const v1::StartRank& start, const v1::Checkpoint& checkpoint,
                                         const Device& device, HostState* state) {
  ASSIGN_OR_RETURN(const std::string directory, DirectoryOf(start, checkpoint));
  ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(directory));
  RETURN_IF_ERROR(CheckExact(start, device, manifest));
  RETURN_IF_ERROR(LoadWeights(directory, state));
  RETURN_IF_ERROR(LoadMoments(directory, state));
  StartingPoint point;
  point.weights = true;
  point.moments = true;
  point.run.step = manifest.step;
  point.run.sample_cursor = manifest.sample_cursor;
  point.run.tokens = manifest.tokens;
  point.run.target_tokens = manifest.target_tokens;
  point.run.supervised_tokens = manifest.supervised_tokens;
  point.run.loss = manifest.loss;
  point.run.valid_loss = manifest.valid_loss;
  const bool own = manifest.job_uid == start.attempt().attempt().job_uid();
  point.run.parent = own ? manifest.parent : checkpoint.name();
  point.run.saved = own;
  for (const v1::Checkpoint& other : start.attempt().resume()) {
    if (other.has_valid_loss()) {
      point.run.best_valid_loss =
          std::min(point.run.best_valid_loss.value_or(other.valid_loss()), other.valid_loss());
    }
  }
  LogInfo(absl::StrCat("going on from the checkpoint of step ", manifest.step, " in ", directory));
  return point;
}

absl::StatusOr<StartingPoint> LoadFrom(const v1::StartRank& start, HostState* state) {
  const v1::Checkpoint& from = start.attempt().from();
  ASSIGN_OR_RETURN(const std::string directory, DirectoryOf(start, from));
  RETURN_IF_ERROR(LoadStartWeights(directory, state));
  StartingPoint point;
  point.weights = true;
  point.run.parent = from.name();
  LogInfo(absl::StrCat("starting from the weights of ", from.name()));
  return point;
}

// What a method made its weights of.
std::string ParentsOf(const v1::StartAttempt& attempt) {
  if (attempt.has_from()) {
    return attempt.from().name();
  }
  std::vector<std::string> parents;
  for (const v1::JobInput& input : attempt.inputs()) {
    parents.push_back(input.checkpoint().name());
  }
  return absl::StrJoin(parents, ", ");
}

absl::StatusOr<StartingPoint> Load(const v1::StartRank& start, int chosen, const Device& device,
                                   bool prepared, HostState* state) {
  if (chosen >= 0) {
    return LoadResume(start, start.attempt().resume(chosen), device, state);
  }
  if (prepared) {
    StartingPoint point;
    point.run.parent = ParentsOf(start.attempt());
    return point;
  }
  if (start.attempt().has_from()) {
    return LoadFrom(start, state);
  }
  return StartingPoint();
}

}  // namespace

absl::StatusOr<StartingPoint> FindStart(WorkerChannel* channel, Gang* gang, const Device& device,
                                        bool prepared, HostState* state) {
  const v1::StartRank& start = channel->start();
  Collective* collective = gang->checkpoint.get();
  absl::StatusOr<int> chosen = -1;
  if (gang->rank == 0) {
    chosen = ChooseCheckpoint(channel);
    if (chosen.ok() && *chosen < 0 && start.attempt().has_from() && !prepared) {
      const absl::Status sound = CheckFrom(start);
      chosen = sound.ok() ? chosen : sound;
    }
  }
  RETURN_IF_ERROR(AgreeOn(chosen.status(), collective));
  double shared = gang->rank == 0 ? *chosen : 0.0;
  RETURN_IF_ERROR(collective->AllReduceSum(absl::MakeSpan(&shared, 1)));
  absl::StatusOr<StartingPoint> point = Load(start, static_cast<int>(shared), device, prepared, state);
  RETURN_IF_ERROR(AgreeOn(point.status(), collective));
  return point;
}

}  // namespace cherry::trainer
