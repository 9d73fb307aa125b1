#include "coordinator/core/checkpoints.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status.h"
#include "coordinator/core/timeline.h"

namespace cherry::coordinator {
namespace {

using v1::Checkpoint;

// Recomputes which committed checkpoint has the lowest validation loss; the earlier one wins a tie.
void UpdateBest(Decision* decision, JobEntry* entry) {
  Checkpoint* best = nullptr;
  for (auto& [key, checkpoint] : entry->checkpoints) {
    if (checkpoint.state() == Checkpoint::COMMITTED && checkpoint.has_valid_loss() &&
        (best == nullptr || checkpoint.valid_loss() < best->valid_loss())) {
      best = &checkpoint;
    }
  }
  for (auto& [key, checkpoint] : entry->checkpoints) {
    if (checkpoint.best() != (&checkpoint == best)) {
      checkpoint.set_best(&checkpoint == best);
      Touch(decision, checkpoint);
    }
  }
  if (best != nullptr) {
    entry->job().mutable_progress()->set_best_valid_loss(best->valid_loss());
  }
}

// What a job that waits would choose if this one succeeded now.
bool IsAwaited(const v1::AwaitedInput& awaited, const Checkpoint& checkpoint) {
  int64_t step = 0;
  if (absl::SimpleAtoi(awaited.checkpoint(), &step)) {
    return checkpoint.step() == step;
  }
  return awaited.checkpoint() != "latest" && checkpoint.best();  // The latest is always kept.
}

// Checkpoints that live jobs start from, or will.
std::set<std::pair<int64_t, int64_t>> Referenced(const State& state, const JobEntry& entry) {
  const std::string& uid = entry.uid();
  std::set<std::pair<int64_t, int64_t>> keys;
  const auto children = state.children.find(uid);
  if (children == state.children.end()) {
    return keys;
  }
  for (const std::string& child : children->second) {
    const v1::JobRecord& record = state.jobs.at(child).record;
    if (record.source().job_uid() == uid) {
      keys.insert({record.source().step(), record.source().epoch()});
    }
    for (const v1::JobInput& input : record.inputs()) {
      if (input.checkpoint().job_uid() == uid) {
        keys.insert({input.checkpoint().step(), input.checkpoint().epoch()});
      }
    }
    for (const v1::AwaitedInput& awaited : record.awaits()) {
      for (const auto& [key, checkpoint] : entry.checkpoints) {
        if (awaited.job_uid() == uid && IsAwaited(awaited, checkpoint)) {
          keys.insert(key);
        }
      }
    }
  }
  return keys;
}

absl::Status CheckPath(const JobEntry& entry, const Checkpoint& checkpoint) {
  const std::string directory = EpochDirectory(entry, entry.job().epoch()) + "/";
  absl::string_view rest = checkpoint.path();
  if (!absl::ConsumePrefix(&rest, directory) || rest.empty() || absl::StrContains(rest, "/") || rest == "." ||
      rest == "..") {
    return InvalidField("CHECKPOINT_PATH_INVALID", "checkpoint.path",
                        absl::StrCat("checkpoint.path: '", checkpoint.path(), "' is not in ", directory),
                        "publish a checkpoint in the directory of its own epoch");
  }
  return absl::OkStatus();
}

}  // namespace

std::string EpochDirectory(const JobEntry& entry, int64_t epoch) {
  return absl::StrCat(entry.job().resolved().namespace_(), "/", entry.uid(), "/epoch-", epoch);
}

absl::Status CommitCheckpoint(State* state, Decision* decision, JobEntry* entry,
                              const v1::CheckpointReport& report) {
  RETURN_IF_ERROR(CheckPath(*entry, report.checkpoint()));
  const int64_t epoch = entry->job().epoch();
  const int64_t step = report.checkpoint().step();
  if (report.final() && entry->record.final_step() != step) {
    entry->record.set_final_step(step);
    Touch(decision, *entry);
  }
  // Steps grow within an epoch: an earlier one is a repeat, perhaps of a checkpoint that is gone already.
  for (const auto& [key, checkpoint] : entry->checkpoints) {
    if (key.second == epoch && key.first >= step) {
      return absl::OkStatus();
    }
  }
  Checkpoint& checkpoint = entry->checkpoints[{step, epoch}];
  checkpoint = report.checkpoint();
  checkpoint.set_name(absl::StrCat(entry->job().name(), "/checkpoints/", step));
  checkpoint.set_job_uid(entry->uid());
  checkpoint.set_epoch(epoch);
  checkpoint.set_state(Checkpoint::COMMITTED);
  checkpoint.set_pinned(false);
  checkpoint.set_best(false);
  *checkpoint.mutable_create_time() = ToProto(decision->now);
  *entry->record.mutable_commit_time() = ToProto(decision->now);
  entry->record.set_backoffs(0);
  Touch(decision, checkpoint);
  Touch(decision, *entry);
  AddEvent(state, decision, *entry, "CheckpointCommitted",
           {v1::CAUSE_UNSPECIFIED, absl::StrCat("step ", step, ", ", checkpoint.bytes(), " bytes")});
  Measure measure;
  measure.kind = Measure::kCheckpointCommitted;
  decision->actions.push_back(measure);
  UpdateBest(decision, entry);
  Retain(state, decision, entry);
  return absl::OkStatus();
}

Checkpoint* FindCommitted(JobEntry* entry, int64_t step) {
  Checkpoint* found = nullptr;
  for (auto place = entry->checkpoints.lower_bound({step, 0});
       place != entry->checkpoints.end() && place->first.first == step; ++place) {
    if (place->second.state() == Checkpoint::COMMITTED) {
      found = &place->second;
    }
  }
  return found;
}

void MarkCorrupt(State* state, Decision* decision, JobEntry* entry, Checkpoint* checkpoint,
                 absl::string_view detail) {
  checkpoint->set_state(Checkpoint::CORRUPT);
  checkpoint->set_detail(std::string(detail));
  Touch(decision, *checkpoint);
  Touch(decision, *entry);
  AddEvent(state, decision, *entry, "CheckpointCorrupt",
           {v1::CAUSE_UNSPECIFIED, absl::StrCat("step ", checkpoint->step(), ": ", detail)});
  UpdateBest(decision, entry);
}

absl::Status CheckSelector(absl::string_view which, absl::string_view field) {
  int64_t step = 0;
  if (which.empty() || which == "best" || which == "latest" || absl::SimpleAtoi(which, &step)) {
    return absl::OkStatus();
  }
  return InvalidField("CHECKPOINT_INVALID", field, absl::StrCat(field, ": '", which, "' names no checkpoint"),
                      "use best, latest or a step");
}

absl::StatusOr<Checkpoint> SelectCheckpoint(const JobEntry& entry, absl::string_view which,
                                            absl::string_view field) {
  const std::vector<Checkpoint> committed = CommittedNewestFirst(entry);
  if (committed.empty()) {
    return Error(absl::StatusCode::kNotFound, "CHECKPOINT_NOT_FOUND", field,
                 absl::StrCat(field, ": ", entry.job().name(), " has no committed checkpoint"),
                 "wait until it has saved one, or name another job");
  }
  if (which == "latest") {
    return committed.front();
  }
  if (which.empty() || which == "best") {
    for (const Checkpoint& checkpoint : committed) {
      if (checkpoint.best()) {
        return checkpoint;
      }
    }
    return committed.front();  // Nothing was validated: the latest is as good as any.
  }
  RETURN_IF_ERROR(CheckSelector(which, field));
  int64_t step = 0;
  (void)absl::SimpleAtoi(which, &step);
  for (const auto& [key, checkpoint] : entry.checkpoints) {
    if (checkpoint.step() == step && checkpoint.state() == Checkpoint::CORRUPT &&
        FindCommitted(const_cast<JobEntry*>(&entry), step) == nullptr) {
      return Error(absl::StatusCode::kDataLoss, "CHECKPOINT_CORRUPT", field,
                   absl::StrCat(field, ": ", checkpoint.name(), " is corrupt: ", checkpoint.detail()),
                   "name another step, or latest");
    }
  }
  for (const Checkpoint& checkpoint : committed) {
    if (checkpoint.step() == step) {
      return checkpoint;
    }
  }
  return Error(absl::StatusCode::kNotFound, "CHECKPOINT_NOT_FOUND", field,
               absl::StrCat(field, ": ", entry.job().name(), " keeps no checkpoint of step ", step),
               "see what it has with 'cherry get checkpoints'");
}

std::vector<Checkpoint> CommittedNewestFirst(const JobEntry& entry) {
  std::vector<Checkpoint> committed;
  for (auto place = entry.checkpoints.rbegin(); place != entry.checkpoints.rend(); ++place) {
    if (place->second.state() == Checkpoint::COMMITTED &&
        (committed.empty() || committed.back().step() != place->second.step())) {
      committed.push_back(place->second);
    }
  }
  return committed;
}

bool HasFinal(const JobEntry& entry) {
  const int64_t steps = entry.job().resolved().train().steps();
  for (const auto& [key, checkpoint] : entry.checkpoints) {
    if (checkpoint.state() == Checkpoint::COMMITTED &&
        (checkpoint.step() == entry.record.final_step() || checkpoint.step() >= steps)) {
      return true;
    }
  }
  return false;
}

void Retain(State* state, Decision* decision, JobEntry* entry) {
  const v1::CheckpointConfig& config = entry->job().resolved().checkpoint();
  const auto referenced = Referenced(*state, *entry);
  int newer = 0;
  for (auto place = entry->checkpoints.rbegin(); place != entry->checkpoints.rend(); ++place) {
    Checkpoint& checkpoint = place->second;
    if (checkpoint.state() != Checkpoint::COMMITTED) {
      continue;
    }
    const bool kept = newer < std::max(config.keep_last(), 1) || checkpoint.pinned() ||
                      (config.keep_best() && checkpoint.best()) ||
                      (config.keep_every() > 0 && checkpoint.step() % config.keep_every() == 0) ||
                      referenced.count(place->first) > 0;
    ++newer;
    if (!kept) {
      checkpoint.set_state(Checkpoint::DELETED);
      Touch(decision, checkpoint);
      decision->actions.push_back(
          RemoveCheckpoint{{entry->uid(), checkpoint.step(), checkpoint.epoch()}, checkpoint.path()});
    }
  }
}

bool IsCommitted(const State& state, const v1::Checkpoint& checkpoint) {
  const auto job = state.jobs.find(checkpoint.job_uid());
  if (job == state.jobs.end()) {
    return false;
  }
  const auto found = job->second.checkpoints.find({checkpoint.step(), checkpoint.epoch()});
  return found != job->second.checkpoints.end() && found->second.state() == v1::Checkpoint::COMMITTED;
}

void ReleaseSource(State* state, Decision* decision, const JobEntry& entry) {
  if (!IsTerminal(entry.job().state())) {
    return;
  }
  std::set<std::string> sources;
  if (entry.record.has_source()) {
    sources.insert(entry.record.source().job_uid());
  }
  for (const v1::JobInput& input : entry.record.inputs()) {
    sources.insert(input.checkpoint().job_uid());
  }
  for (const v1::AwaitedInput& awaited : entry.record.awaits()) {
    sources.insert(awaited.job_uid());
  }
  for (const std::string& uid : sources) {
    if (JobEntry* source = FindJob(state, uid)) {
      Retain(state, decision, source);
    }
  }
}

void CollectOrphans(Decision* decision, JobEntry* entry, int64_t epoch) {
  const std::string directory = EpochDirectory(*entry, epoch);
  CollectEpoch action{entry->uid(), epoch, directory, {}};
  for (const auto& [key, checkpoint] : entry->checkpoints) {
    if (key.second == epoch) {  // Deleted ones have a removal of their own.
      action.keep.push_back(checkpoint.path().substr(directory.size() + 1));
    }
  }
  decision->actions.push_back(std::move(action));
}

}  // namespace cherry::coordinator
