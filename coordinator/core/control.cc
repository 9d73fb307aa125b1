#include "coordinator/core/control.h"

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/status.h"
#include "coordinator/core/attempts.h"
#include "coordinator/core/checkpoints.h"
#include "coordinator/core/machines.h"
#include "coordinator/core/timeline.h"

namespace cherry::coordinator {
namespace {

using v1::Job;

absl::Status JobEnded(const JobEntry& entry) {
  return Error(absl::StatusCode::kFailedPrecondition, "JOB_ENDED", "name",
               absl::StrCat(entry.job().name(), " has ended: ", Job::State_Name(entry.job().state())),
               "submit it again with 'cherry resubmit'");
}

// "cancelled by kim: wrong data"
std::string Told(const Decision& decision, absl::string_view verb, const std::string& reason) {
  return absl::StrCat(verb, " by ", decision.actor, reason.empty() ? "" : ": ", reason);
}

// A job without an attempt changes at once; with one, once it has stopped.
void StopFor(State* state, Decision* decision, JobEntry* entry, v1::Attempt::StopReason stop, bool checkpoint,
             JobEvent event, const Why& why) {
  if (entry->live_attempt() == nullptr) {
    ApplyToJob(state, decision, entry, event, why);
    return;
  }
  entry->job().set_reason(why.message);
  Touch(decision, *entry);
  // An attempt without a step has nothing to save.
  StopAttempt(state, decision, entry, stop,
              checkpoint && entry->live_attempt()->state() != v1::Attempt::STARTING, why);
}

}  // namespace

absl::StatusOr<JobEntry*> FindByName(State* state, absl::string_view name) {
  ASSIGN_OR_RETURN(const JobName parsed, ParseJobName(name));
  const auto uid = state->by_name.find(parsed.Resource());
  if (uid == state->by_name.end()) {
    return Error(absl::StatusCode::kNotFound, "JOB_NOT_FOUND", "name",
                 absl::StrCat("there is no job '", parsed.job, "' in namespace ", parsed.ns),
                 "list them with 'cherry get jobs', or name the namespace with -n");
  }
  return &state->jobs.at(uid->second);
}

absl::Status CheckMayChange(const Caller& caller, const JobEntry& entry) {
  if (caller.is_operator || caller.identity == entry.job().submitter()) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kPermissionDenied, "NOT_OWNER", "name",
               absl::StrCat(entry.job().name(), " was submitted by ", entry.job().submitter(), ", not by ",
                            caller.identity),
               "ask its owner or an operator");
}

absl::Status CancelJob(State* state, Decision* decision, JobEntry* entry, const std::string& reason,
                       bool now) {
  if (entry->job().state() == Job::CANCELLED) {
    return absl::OkStatus();
  }
  if (IsTerminal(entry->job().state())) {
    return JobEnded(*entry);
  }
  entry->job().set_intent(Job::CANCEL);
  StopFor(state, decision, entry, v1::Attempt::CANCEL, !now, JobEvent::kCancelled,
          {v1::CAUSE_STOPPED, Told(*decision, "cancelled", reason)});
  ReleaseSource(state, decision, *entry);
  return absl::OkStatus();
}

absl::Status PauseJob(State* state, Decision* decision, JobEntry* entry, const std::string& reason) {
  if (IsTerminal(entry->job().state())) {
    return JobEnded(*entry);
  }
  if (entry->job().intent() == Job::CANCEL) {
    return Error(absl::StatusCode::kFailedPrecondition, "JOB_BEING_CANCELLED", "name",
                 absl::StrCat(entry->job().name(), " is being cancelled"),
                 "wait for its end and submit it again");
  }
  entry->job().set_intent(Job::PAUSE);
  if (entry->job().state() != Job::PAUSED) {
    StopFor(state, decision, entry, v1::Attempt::PAUSE, true, JobEvent::kPaused,
            {v1::CAUSE_STOPPED, Told(*decision, "paused", reason)});
  }
  return absl::OkStatus();
}

absl::Status ResumeJob(State* state, Decision* decision, JobEntry* entry, const std::string& reason) {
  if (entry->job().intent() != Job::PAUSE || IsTerminal(entry->job().state())) {
    return Error(absl::StatusCode::kFailedPrecondition, "JOB_NOT_PAUSED", "name",
                 absl::StrCat(entry->job().name(), " is not paused: ", Job::State_Name(entry->job().state())),
                 "only a paused job can be resumed");
  }
  entry->job().set_intent(Job::RUN);
  const Why why{v1::CAUSE_UNSPECIFIED, Told(*decision, "resumed", reason)};
  if (entry->job().state() == Job::PAUSED) {
    ApplyToJob(state, decision, entry, JobEvent::kResumed, why);
  } else {
    // Still stopping for the pause: it is queued again as soon as it has stopped.
    entry->job().set_reason(why.message);
    AddEvent(state, decision, *entry, "Resumed", why);
    Touch(decision, *entry);
  }
  return absl::OkStatus();
}

}  // namespace cherry::coordinator
