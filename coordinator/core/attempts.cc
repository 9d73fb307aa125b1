#include "coordinator/core/attempts.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/spec.h"
#include "coordinator/core/attempt_end.h"
#include "coordinator/core/checkpoints.h"
#include "coordinator/core/references.h"

namespace cherry::coordinator {
namespace {

using v1::Attempt;
using v1::RankPlacement;

constexpr int kKeptAttempts = 50;
constexpr size_t kMostResumeCandidates = 8;

std::set<std::string> WorkersOf(const Attempt& attempt) {
  std::set<std::string> workers;
  for (const RankPlacement& rank : attempt.ranks()) {
    if (rank.state() != RankPlacement::EXITED) {
      workers.insert(rank.worker());
    }
  }
  return workers;
}

// What data.train and data.valid name, each once.
void AddDatasets(const State& state, const v1::DataConfig& data, v1::StartAttempt* start) {
  std::set<std::string> names;
  for (const std::string& splits : {data.train(), data.valid()}) {
    for (const std::string& part : SplitParts(splits)) {
      const auto found = state.datasets.find(DatasetOfPart(part));
      if (found != state.datasets.end() && names.insert(found->first).second) {
        *start->add_datasets() = found->second;
      }
    }
  }
}

// What an evaluation has to know about a model's job: a part that does not grow with the job's file.
v1::Job FactsOf(const v1::Job& job) {
  v1::Job facts;
  facts.set_name(job.name());
  facts.set_matrix(job.matrix());
  *facts.mutable_matrix_values() = job.matrix_values();
  *facts.mutable_progress() = job.progress();
  v1::JobSpec* const spec = facts.mutable_resolved();
  spec->set_kind(job.resolved().kind());
  spec->set_name(job.resolved().name());
  *spec->mutable_data() = job.resolved().data();
  *spec->mutable_validation() = job.resolved().validation();
  spec->mutable_train()->set_seed(job.resolved().train().seed());
  spec->mutable_train()->set_sequence_length(job.resolved().train().sequence_length());
  if (job.resolved().has_sgt()) {
    spec->mutable_sgt()->set_selector(job.resolved().sgt().selector());
    spec->mutable_sgt()->set_budget(job.resolved().sgt().budget());
    *spec->mutable_sgt()->mutable_categories() = job.resolved().sgt().categories();
  }
  *spec->mutable_multi_token() = job.resolved().multi_token();
  return facts;
}

// What an evaluation has to know about its models beside their weights.
void AddJobs(const State& state, v1::StartAttempt* start) {
  for (v1::JobInput& input : *start->mutable_inputs()) {
    const auto found = state.jobs.find(input.checkpoint().job_uid());
    if (found != state.jobs.end()) {
      *input.mutable_job() = FactsOf(found->second.job());
    }
  }
}

// As the spec names them; they were noted as their jobs succeeded. What it does not name comes first.
void SortInputs(v1::JobSpec spec, v1::StartAttempt* start) {
  std::map<std::string, int> place;
  ForEachReference(&spec, [&place](const std::string& field, v1::SourceRef*) {
    place.emplace(field, static_cast<int>(place.size()) + 1);
  });
  std::stable_sort(
      start->mutable_inputs()->begin(), start->mutable_inputs()->end(),
      [&place](const v1::JobInput& a, const v1::JobInput& b) { return place[a.role()] < place[b.role()]; });
}

// How the ranks of a STOPPING attempt are asked: kept in the stop reason, so that a restart repeats it alike.
bool StopsWithCheckpoint(const Attempt& attempt) {
  return attempt.stop_with_checkpoint() && attempt.stop_reason() != Attempt::LOST_RANK;
}

v1::CoordinatorMessage StopDirective(const State& state, const JobEntry& entry) {
  const Attempt& attempt = *entry.live_attempt();
  v1::CoordinatorMessage message;
  v1::StopAttempt* stop = message.mutable_stop();
  stop->mutable_attempt()->set_job_uid(entry.uid());
  stop->mutable_attempt()->set_epoch(attempt.epoch());
  stop->set_reason(attempt.stop_reason());
  stop->set_checkpoint(StopsWithCheckpoint(attempt));
  *stop->mutable_grace() = ToProto(stop->checkpoint() ? state.config.stop_grace : absl::ZeroDuration());
  return message;
}

void FreeSlot(State* state, Decision* decision, const JobEntry& entry, const RankPlacement& rank) {
  WorkerEntry* worker = FindWorker(state, rank.worker());
  if (worker == nullptr) {
    return;
  }
  const auto occupant = worker->occupants.find(rank.slot());
  if (occupant != worker->occupants.end() && occupant->second.uid == entry.uid()) {
    worker->occupants.erase(occupant);
    decision->dirty_queue = true;
  }
}

// The failure that people should see first: peers that lost their peer only follow from another one.
void RecordFailure(Attempt* attempt, const v1::Failure& failure) {
  if (!attempt->has_failure() || (IsSecondary(attempt->failure()) && !IsSecondary(failure))) {
    *attempt->mutable_failure() = failure;
  }
}

}  // namespace

v1::CoordinatorMessage StartDirective(const State& state, const JobEntry& entry, const std::string& worker) {
  const Attempt& attempt = *entry.live_attempt();
  const v1::JobSpec& spec = entry.job().resolved();
  v1::CoordinatorMessage message;
  v1::StartAttempt* start = message.mutable_start();
  start->mutable_attempt()->set_job_uid(entry.uid());
  start->mutable_attempt()->set_epoch(attempt.epoch());
  start->set_job_name(spec.name());
  start->set_namespace_(spec.namespace_());
  *start->mutable_spec() = spec;
  start->mutable_spec()->mutable_resources()->set_device(attempt.device());
  start->set_world_size(attempt.ranks_size());
  for (const RankPlacement& rank : attempt.ranks()) {
    if (rank.worker() == worker) {
      *start->add_ranks() = rank;
    }
  }
  AddDatasets(state, spec.data(), start);
  for (v1::Checkpoint& checkpoint : CommittedNewestFirst(entry)) {
    if (start->resume_size() < static_cast<int>(kMostResumeCandidates)) {
      *start->add_resume() = std::move(checkpoint);
    }
  }
  if (spec.has_continue_() && entry.record.has_source()) {
    *start->add_resume() = entry.record.source();
  } else if (spec.has_from() && entry.record.has_source()) {
    *start->mutable_from() = entry.record.source();
  }
  *start->mutable_inputs() = entry.record.inputs();
  if (spec.kind() == v1::JobSpec::EVALUATE) {
    AddJobs(state, start);
  }
  SortInputs(spec, start);
  start->set_checkpoint_directory(EpochDirectory(entry, attempt.epoch()));
  *start->mutable_rendezvous_timeout() = ToProto(state.config.rendezvous_timeout);
  return message;
}

void StartAttempt(State* state, Decision* decision, JobEntry* entry, const Gang& gang) {
  v1::Job& job = entry->job();
  job.clear_evaluation();
  job.set_epoch(job.epoch() + 1);
  while (job.attempts_size() >= kKeptAttempts) {
    job.mutable_attempts()->DeleteSubrange(0, 1);
  }
  Attempt* attempt = job.add_attempts();
  attempt->set_epoch(job.epoch());
  attempt->set_state(Attempt::STARTING);
  attempt->set_device(gang.device);
  *attempt->mutable_start_time() = ToProto(decision->now);
  if (!job.has_start_time()) {
    *job.mutable_start_time() = ToProto(decision->now);
  }
  for (const RankPlacement& rank : gang.ranks) {
    *attempt->add_ranks() = rank;
    state->workers.at(rank.worker()).occupants[rank.slot()] = {entry->uid(), job.epoch()};
  }
  entry->record.set_checkpoint_seconds(0);
  entry->record.clear_commit_time();
  entry->progress_time = absl::InfinitePast();
  entry->rendezvous.clear();
  entry->waiters.clear();

  Measure wait;
  wait.kind = Measure::kQueueWait;
  wait.value = absl::ToDoubleSeconds(decision->now - FromProto(entry->record.pending_since()));
  decision->actions.push_back(wait);
  ApplyToJob(state, decision, entry, JobEvent::kPlaced,
             {v1::CAUSE_UNSPECIFIED, absl::StrCat(gang.ranks.size(), " ranks on ", WorkersOf(*attempt).size(),
                                                  WorkersOf(*attempt).size() == 1 ? " worker" : " workers")});
  for (const std::string& worker : WorkersOf(*attempt)) {
    SendToWorker action{worker, StartDirective(*state, *entry, worker)};
    const v1::StartAttempt& start = action.message.start();
    attempt->set_start_step(start.resume().empty() ? 0 : start.resume(0).step());
    decision->actions.push_back(std::move(action));
  }
}

void StopAttempt(State* state, Decision* decision, JobEntry* entry, Attempt::StopReason reason,
                 bool checkpoint, const Why& why) {
  Attempt* attempt = entry->live_attempt();
  const bool first = attempt->state() != Attempt::STOPPING;
  if (!first && (checkpoint || !attempt->stop_with_checkpoint())) {
    return;  // Nothing more urgent than what was asked already.
  }
  if (first) {
    attempt->set_stop_reason(reason);
    *attempt->mutable_stop_time() = ToProto(decision->now);
  }
  attempt->set_stop_with_checkpoint(checkpoint);
  ApplyToAttempt(state, decision, entry, AttemptEvent::kStop, why);
  for (const std::string& worker : WorkersOf(*attempt)) {
    ResendStop(*state, decision, *entry, worker);
  }
}

void ResendStop(const State& state, Decision* decision, const JobEntry& entry, const std::string& worker) {
  decision->actions.push_back(SendToWorker{worker, StopDirective(state, entry)});
}

void OnRankStarted(Decision* decision, JobEntry* entry, RankPlacement* rank) {
  if (rank->state() == RankPlacement::PLACED) {
    rank->set_state(RankPlacement::STARTED);
    Touch(decision, *entry);
  }
}

void OnProgress(State* state, Decision* decision, JobEntry* entry, const v1::ProgressReport& report) {
  Attempt* attempt = entry->live_attempt();
  if (report.has_progress()) {
    v1::Progress* progress = entry->job().mutable_progress();
    const v1::Progress before = *progress;
    *progress = report.progress();
    if (!progress->has_valid_loss() && before.has_valid_loss()) {
      progress->set_valid_loss(before.valid_loss());
    }
    if (before.has_best_valid_loss()) {
      progress->set_best_valid_loss(before.best_valid_loss());
    }
    *progress->mutable_update_time() = ToProto(decision->now);
    attempt->set_last_step(progress->step());
    entry->progress_time = decision->now;
    if (attempt->state() == Attempt::STARTING && progress->step() > attempt->start_step()) {
      *attempt->mutable_first_step_time() = ToProto(decision->now);
      ApplyToAttempt(state, decision, entry, AttemptEvent::kFirstStep, {});
      ApplyToJob(state, decision, entry, JobEvent::kFirstStep,
                 {v1::CAUSE_UNSPECIFIED, absl::StrCat("step ", progress->step(), " is done")});
    }
  }
  entry->record.set_checkpoint_seconds(entry->record.checkpoint_seconds() + report.checkpoint_seconds());
  if (report.samples_size() > 0) {
    RecordSamples action{entry->uid(), {}};
    const absl::Time start = FromProto(entry->job().start_time());
    for (const v1::MetricSample& sample : report.samples()) {
      action.samples.push_back(sample);
      if (sample.time() == 0) {
        action.samples.back().set_time(absl::ToDoubleSeconds(decision->now - start));
      }
    }
    decision->actions.push_back(std::move(action));
  }
  decision->actions.push_back(JobChanged{entry->uid()});
}

void OnRankExited(State* state, Decision* decision, JobEntry* entry, RankPlacement* rank,
                  const v1::RankExited& report) {
  if (rank->state() == RankPlacement::EXITED) {
    return;
  }
  Attempt* attempt = entry->live_attempt();
  rank->set_state(RankPlacement::EXITED);
  rank->set_cause(report.cause());
  rank->set_log_bytes(report.log_bytes());
  if (report.has_evaluation()) {
    *entry->job().mutable_evaluation() = report.evaluation();
  }
  attempt->set_last_step(std::max(attempt->last_step(), report.last_step()));
  FreeSlot(state, decision, *entry, *rank);
  Touch(decision, *entry);
  const bool was_asked = attempt->state() == Attempt::STOPPING;
  if (report.cause() == v1::CAUSE_STOPPED && !was_asked) {
    // Its worker is shutting down: every rank has agreed on a step and saved. Not the job's fault.
    StopAttempt(state, decision, entry, Attempt::DRAIN, true,
                {v1::CAUSE_PREEMPTED, absl::StrCat("worker ", rank->worker(), " stopped its ranks")});
  } else if (report.cause() != v1::CAUSE_SUCCEEDED && report.cause() != v1::CAUSE_STOPPED) {
    v1::Failure failure = report.failure();
    failure.set_cause(report.cause());
    failure.set_rank(rank->rank());
    failure.set_worker(rank->worker());
    RecordFailure(attempt, failure);
    BlameHost(state, decision, failure);
    StopAttempt(state, decision, entry, Attempt::LOST_RANK, false,
                {report.cause(), DescribeFailure(failure)});
  }
  EndIfReaped(state, decision, entry);
}

void LoseRank(State* state, Decision* decision, JobEntry* entry, RankPlacement* rank,
              const std::string& message) {
  if (rank->state() == RankPlacement::EXITED) {
    return;
  }
  v1::RankExited report;
  report.set_cause(v1::CAUSE_PLATFORM);
  report.mutable_failure()->set_message(message);
  OnRankExited(state, decision, entry, rank, report);
}

absl::Duration RunTime(const JobEntry& entry, absl::Time now) {
  absl::Duration time = FromProto(entry.record.run_time());
  if (const Attempt* attempt = entry.live_attempt()) {
    time += now - FromProto(attempt->start_time());
  }
  return time;
}

}  // namespace cherry::coordinator
