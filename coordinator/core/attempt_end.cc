#include "coordinator/core/attempt_end.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/exit_codes.h"
#include "coordinator/core/attempts.h"
#include "coordinator/core/checkpoints.h"
#include "coordinator/core/timeline.h"

namespace cherry::coordinator {
namespace {

using v1::Attempt;
using v1::Job;

bool AllRanksSucceeded(const Attempt& attempt) {
  return std::all_of(attempt.ranks().begin(), attempt.ranks().end(),
                     [](const v1::RankPlacement& rank) { return rank.cause() == v1::CAUSE_SUCCEEDED; });
}

// Sets the attempt's cause, and a failure where there is none but should be one.
void DecideCause(const JobEntry& entry, Attempt* attempt) {
  const bool measures = entry.job().resolved().kind() == v1::JobSpec::EVALUATE;
  const bool complete = measures ? entry.job().has_evaluation() : HasFinal(entry);
  if (AllRanksSucceeded(*attempt) && complete) {
    attempt->set_cause(v1::CAUSE_SUCCEEDED);
    attempt->clear_failure();
  } else if (attempt->has_failure()) {
    attempt->set_cause(attempt->failure().cause());
  } else if (attempt->stop_reason() == Attempt::CANCEL || attempt->stop_reason() == Attempt::PAUSE ||
             attempt->stop_reason() == Attempt::TIME_LIMIT) {
    attempt->set_cause(v1::CAUSE_STOPPED);
  } else if (attempt->stop_reason() == Attempt::DRAIN || attempt->stop_reason() == Attempt::PREEMPT) {
    attempt->set_cause(v1::CAUSE_PREEMPTED);
  } else {
    attempt->set_cause(v1::CAUSE_PLATFORM);
    attempt->mutable_failure()->set_cause(v1::CAUSE_PLATFORM);
    attempt->mutable_failure()->set_message(
        measures ? "all ranks ended, but no findings have arrived"
                 : "all ranks ended, but the last checkpoint was never committed");
  }
}

// Adds the attempt's slot-seconds to the job's charges.
void Charge(Decision* decision, JobEntry* entry, const Attempt& attempt) {
  const absl::Time start = FromProto(attempt.start_time());
  const absl::Time end = decision->now;
  const absl::Time first = attempt.has_first_step_time() ? FromProto(attempt.first_step_time()) : end;
  const absl::Time last = std::clamp(entry->progress_time, first, end);
  const double slots = attempt.ranks_size();
  const double stepping = absl::ToDoubleSeconds(last - first);
  const double checkpoint = std::min(entry->record.checkpoint_seconds(), stepping);
  double lost = 0;
  if (attempt.cause() != v1::CAUSE_SUCCEEDED) {
    const absl::Time commit = entry->record.has_commit_time()
                                  ? std::clamp(FromProto(entry->record.commit_time()), first, last)
                                  : first;
    lost = std::min(absl::ToDoubleSeconds(last - commit), stepping - checkpoint);
  }
  const std::pair<const char*, double> parts[] = {
      {"restart", slots * absl::ToDoubleSeconds(first - start)},
      {"checkpoint", slots * checkpoint},
      {"lost_work", slots * lost},
      {"productive", slots * (stepping - checkpoint - lost)},
      {"idle_allocated", slots * absl::ToDoubleSeconds(end - last)},
  };
  v1::Charges* charges = entry->job().mutable_charges();
  charges->set_restart(charges->restart() + parts[0].second);
  charges->set_checkpoint(charges->checkpoint() + parts[1].second);
  charges->set_lost_work(charges->lost_work() + parts[2].second);
  charges->set_productive(charges->productive() + parts[3].second);
  charges->set_idle_allocated(charges->idle_allocated() + parts[4].second);
  for (const auto& [cause, seconds] : parts) {
    Measure measure;
    measure.kind = Measure::kSlotSeconds;
    measure.label = cause;
    measure.value = seconds;
    decision->actions.push_back(measure);
  }
}

void BackOff(State* state, Decision* decision, JobEntry* entry, const Why& why) {
  const int backoffs = entry->record.backoffs() + 1;
  entry->record.set_backoffs(backoffs);
  const absl::Duration wait =
      std::min(state->config.backoff_base * static_cast<double>(int64_t{1} << std::min(backoffs - 1, 30)),
               state->config.backoff_cap);
  if (ApplyToJob(state, decision, entry, JobEvent::kBackedOff, why)) {
    *entry->job().mutable_backoff_until() = ToProto(decision->now + wait);
  }
}

void Fail(State* state, Decision* decision, JobEntry* entry, const v1::Failure& failure, const Why& why) {
  *entry->job().mutable_failure() = failure;
  ApplyToJob(state, decision, entry, JobEvent::kFailed, why);
}

// An attempt ended by a failure or an eviction: try again later, or give up.
void RetryOrFail(State* state, Decision* decision, JobEntry* entry, const Attempt& attempt) {
  v1::Job& job = entry->job();
  std::string message = attempt.has_failure()
                            ? DescribeFailure(attempt.failure())
                            : absl::StrCat("stopped: ", Attempt::StopReason_Name(attempt.stop_reason()));
  if (!IsCharged(attempt.cause())) {
    BackOff(state, decision, entry, {attempt.cause(), message});
    return;
  }
  job.set_failures(job.failures() + 1);
  const int retries = job.resolved().limits().retries();
  if (job.failures() > retries) {
    Fail(state, decision, entry, attempt.failure(),
         {attempt.cause(),
          absl::StrCat(message, " (", job.failures(), " failures, limits.retries is ", retries, ")")});
    return;
  }
  BackOff(state, decision, entry, {attempt.cause(), message});
}

void DecideJob(State* state, Decision* decision, JobEntry* entry, const Attempt& attempt) {
  v1::Job& job = entry->job();
  if (attempt.cause() == v1::CAUSE_SUCCEEDED) {
    ApplyToJob(state, decision, entry, JobEvent::kSucceeded,
               {v1::CAUSE_SUCCEEDED,
                absl::StrCat("step ", attempt.last_step(), " of ", job.resolved().train().steps())});
  } else if (job.intent() == Job::CANCEL) {
    ApplyToJob(state, decision, entry, JobEvent::kCancelled, {v1::CAUSE_STOPPED, entry->job().reason()});
  } else if (attempt.stop_reason() == Attempt::TIME_LIMIT) {
    v1::Failure failure;
    failure.set_cause(v1::CAUSE_USER);
    failure.set_message("ran for limits.time; give it more time and resubmit with continue");
    Fail(state, decision, entry, failure, {v1::CAUSE_USER, failure.message()});
  } else if (job.intent() == Job::PAUSE) {
    ApplyToJob(state, decision, entry, JobEvent::kPaused, {v1::CAUSE_STOPPED, entry->job().reason()});
  } else if (attempt.stop_reason() == Attempt::PAUSE && !attempt.has_failure()) {
    ApplyToJob(state, decision, entry, JobEvent::kRequeued,
               {v1::CAUSE_STOPPED, "resumed while it was stopping"});
  } else {
    RetryOrFail(state, decision, entry, attempt);
  }
}

}  // namespace

void EndIfReaped(State* state, Decision* decision, JobEntry* entry) {
  Attempt* attempt = entry->live_attempt();
  for (const v1::RankPlacement& rank : attempt->ranks()) {
    if (rank.state() != v1::RankPlacement::EXITED) {
      return;
    }
  }
  DecideCause(*entry, attempt);
  *entry->record.mutable_run_time() = ToProto(RunTime(*entry, decision->now));
  *attempt->mutable_end_time() = ToProto(decision->now);
  Charge(decision, entry, *attempt);
  const std::string message = attempt->has_failure() ? DescribeFailure(attempt->failure()) : "";
  const Attempt ended = [&] {
    ApplyToAttempt(state, decision, entry, AttemptEvent::kReaped, {attempt->cause(), message});
    return *attempt;
  }();
  entry->rendezvous.clear();
  entry->waiters.clear();
  entry->record.add_uncollected_epochs(ended.epoch());
  CollectOrphans(decision, entry, ended.epoch());
  DecideJob(state, decision, entry, ended);
  ReleaseSource(state, decision, *entry);
}

bool IsSecondary(const v1::Failure& failure) { return failure.exit_code() == kExitPeerLost; }

bool IsCharged(v1::Cause cause) {
  return cause == v1::CAUSE_USER || cause == v1::CAUSE_OUT_OF_MEMORY || cause == v1::CAUSE_HARDWARE ||
         cause == v1::CAUSE_HANG;
}

std::string DescribeFailure(const v1::Failure& failure) {
  std::string who;
  if (!failure.worker().empty()) {
    who = absl::StrCat("rank ", failure.rank(), " on ", failure.worker(), ": ");
  }
  if (!failure.message().empty()) {
    return absl::StrCat(who, failure.message());
  }
  if (failure.signal() != 0) {
    return absl::StrCat(who, "killed by signal ", failure.signal());
  }
  return absl::StrCat(who, "exited with code ", failure.exit_code());
}

void BlameHost(State* state, Decision* decision, const v1::Failure& failure) {
  const bool host = failure.cause() == v1::CAUSE_HARDWARE || failure.cause() == v1::CAUSE_HANG ||
                    failure.cause() == v1::CAUSE_PLATFORM;
  WorkerEntry* worker = FindWorker(state, failure.worker());
  if (!host || IsSecondary(failure) || worker == nullptr) {
    return;
  }
  auto* failures = worker->record.mutable_failures();
  if (!failures->empty() && FromProto(*failures->rbegin()) >= decision->now) {
    return;  // What took several ranks of a host at once is one failure.
  }
  *failures->Add() = ToProto(decision->now);
  worker->record.mutable_worker()->set_recent_failures(failures->size());
  Touch(decision, *worker);
}

}  // namespace cherry::coordinator
