#include "coordinator/core/timeline.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace cherry::coordinator {
namespace {

v1::Event* NewEvent(State* state, Decision* decision, absl::string_view type, absl::string_view message) {
  v1::Event& event = decision->changes.put_events.emplace_back();
  state->cluster.set_next_event(state->cluster.next_event() + 1);
  event.set_sequence(state->cluster.next_event());
  *event.mutable_time() = ToProto(decision->now);
  event.set_type(std::string(type));
  event.set_actor(decision->actor);
  event.set_message(std::string(message));
  return &event;
}

// "out_of_memory", or "first_step" where nothing caused it.
std::string ReasonLabel(JobEvent event, v1::Cause cause) {
  const std::string name = v1::Cause_Name(cause);
  return cause == v1::CAUSE_UNSPECIFIED ? absl::StrReplaceAll(EventName(event), {{" ", "_"}})
                                        : absl::AsciiStrToLower(absl::StripPrefix(name, "CAUSE_"));
}

v1::Event* NewJobEvent(State* state, Decision* decision, const JobEntry& entry, absl::string_view type,
                       const Why& why) {
  v1::Event* event = NewEvent(state, decision, type, why.message);
  event->set_subject(entry.job().name());
  event->set_job_uid(entry.uid());
  event->set_epoch(entry.job().epoch());
  event->set_cause(why.cause);
  return event;
}

absl::string_view EventType(v1::Job::State to, JobEvent event) {
  switch (to) {
    case v1::Job::PENDING:
      return event == JobEvent::kResumed ? "Resumed" : "Queued";
    case v1::Job::STARTING:
      return "Placed";
    case v1::Job::RUNNING:
      return "Running";
    case v1::Job::PAUSED:
      return "Paused";
    case v1::Job::BACKOFF:
      return "BackedOff";
    case v1::Job::SUCCEEDED:
      return "Succeeded";
    case v1::Job::FAILED:
      return "Failed";
    case v1::Job::CANCELLED:
      return "Cancelled";
    default:
      return "Changed";
  }
}

void Illegal(State* state, Decision* decision, const JobEntry& entry, absl::string_view machine,
             absl::string_view from, absl::string_view event) {
  NewJobEvent(state, decision, entry, "IllegalTransition",
              {v1::CAUSE_UNSPECIFIED, absl::StrCat(machine, " in ", from, " met '", event, "'")});
}

}  // namespace

void AddEvent(State* state, Decision* decision, const JobEntry& entry, absl::string_view type,
              const Why& why) {
  NewJobEvent(state, decision, entry, type, why);
  decision->actions.push_back(JobChanged{entry.uid()});
}

void AddWorkerEvent(State* state, Decision* decision, const WorkerEntry& entry, absl::string_view type,
                    absl::string_view message) {
  NewEvent(state, decision, type, message)->set_subject(absl::StrCat("workers/", entry.name()));
}

bool ApplyToJob(State* state, Decision* decision, JobEntry* entry, JobEvent event, const Why& why) {
  v1::Job& job = entry->job();
  const v1::Job::State from = job.state();
  const std::optional<v1::Job::State> to = Next(from, event);
  if (!to.has_value()) {
    Illegal(state, decision, *entry, "job", v1::Job::State_Name(from), EventName(event));
    return false;
  }
  job.set_state(*to);
  job.set_reason(*to == v1::Job::RUNNING ? "" : why.message);  // A job that runs needs no reason.
  if (*to != v1::Job::BACKOFF) {
    job.clear_backoff_until();
  }
  if (*to == v1::Job::PENDING) {
    *entry->record.mutable_pending_since() = ToProto(decision->now);
    decision->dirty_queue = true;
  }
  if (*to == v1::Job::PAUSED) {
    decision->dirty_queue = true;  // Others may have waited behind it.
  }
  if (IsTerminal(*to)) {
    *job.mutable_end_time() = ToProto(decision->now);
    decision->dirty_queue = true;
    decision->ended_jobs.push_back(job.uid());
  }
  v1::Event* line = NewJobEvent(state, decision, *entry, EventType(*to, event), why);
  line->set_from_state(v1::Job::State_Name(from));
  line->set_to_state(v1::Job::State_Name(*to));
  Measure measure;
  measure.kind = Measure::kTransition;
  measure.job_kind = absl::AsciiStrToLower(v1::JobSpec::Kind_Name(job.resolved().kind()));
  measure.to = v1::Job::State_Name(*to);
  measure.label = ReasonLabel(event, why.cause);
  decision->actions.push_back(measure);
  Reindex(state, *entry);
  Touch(decision, *entry);
  return true;
}

bool ApplyToAttempt(State* state, Decision* decision, JobEntry* entry, AttemptEvent event, const Why& why) {
  v1::Attempt* attempt = entry->live_attempt();
  if (attempt == nullptr) {
    Illegal(state, decision, *entry, "attempt", "ENDED", EventName(event));
    return false;
  }
  const v1::Attempt::State from = attempt->state();
  const std::optional<v1::Attempt::State> to = Next(from, event);
  if (!to.has_value()) {
    Illegal(state, decision, *entry, "attempt", v1::Attempt::State_Name(from), EventName(event));
    return false;
  }
  attempt->set_state(*to);
  if (*to != from && *to != v1::Attempt::RUNNING) {
    v1::Event* line =
        NewJobEvent(state, decision, *entry, *to == v1::Attempt::STOPPING ? "Stopping" : "AttemptEnded", why);
    line->set_from_state(v1::Attempt::State_Name(from));
    line->set_to_state(v1::Attempt::State_Name(*to));
  }
  Reindex(state, *entry);
  Touch(decision, *entry);
  return true;
}

void Touch(Decision* decision, const JobEntry& entry) { decision->dirty_jobs.insert(entry.uid()); }
void Touch(Decision* decision, const WorkerEntry& entry) { decision->dirty_workers.insert(entry.name()); }
void Touch(Decision* decision, const v1::Checkpoint& checkpoint) {
  decision->dirty_checkpoints.insert({checkpoint.job_uid(), {checkpoint.step(), checkpoint.epoch()}});
}

}  // namespace cherry::coordinator
