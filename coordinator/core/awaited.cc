#include "coordinator/core/awaited.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/status.h"
#include "coordinator/core/checkpoints.h"
#include "coordinator/core/machines.h"
#include "coordinator/core/sources.h"
#include "coordinator/core/timeline.h"

namespace cherry::coordinator {
namespace {

using v1::Job;

// "ko-base", or "team/ko-base" in another namespace.
std::string NameFor(const JobEntry& entry, const std::string& resource) {
  const absl::StatusOr<JobName> name = ParseJobName(resource);
  if (!name.ok()) {
    return resource;
  }
  return name->ns == entry.job().resolved().namespace_() ? name->job : absl::StrCat(name->ns, "/", name->job);
}

// "RUNNING, step 120/300". A job that is only about to be submitted is PENDING.
std::string HowFar(const State& state, const std::string& uid) {
  const auto found = state.jobs.find(uid);
  if (found == state.jobs.end()) {
    return Job::State_Name(Job::PENDING);
  }
  const Job& job = found->second.job();
  std::string text = Job::State_Name(job.state());
  if (job.progress().step() > 0) {
    absl::StrAppend(&text, ", step ", job.progress().step(), "/", job.resolved().train().steps());
  }
  return text;
}

bool Awaits(const JobEntry& entry, const std::string& uid) {
  const auto& awaits = entry.record.awaits();
  return !IsTerminal(entry.job().state()) &&
         std::any_of(awaits.begin(), awaits.end(),
                     [&uid](const v1::AwaitedInput& awaited) { return awaited.job_uid() == uid; });
}

// `what` happened, perhaps to a job further up: "ko-base is FAILED: rank 0 on w0: out of memory".
void GiveUp(State* state, Decision* decision, const JobEntry& parent, JobEntry* entry,
            const std::string& what) {
  const std::string message =
      absl::StrCat("it waited for ", NameFor(*entry, parent.job().name()), ", and ", what);
  const Why why{v1::CAUSE_INPUT, message};
  if (parent.job().state() == Job::CANCELLED) {
    ApplyToJob(state, decision, entry, JobEvent::kCancelled, why);
  } else {
    entry->job().mutable_failure()->set_cause(v1::CAUSE_INPUT);
    entry->job().mutable_failure()->set_message(message);
    ApplyToJob(state, decision, entry, JobEvent::kFailed, why);
  }
  ReleaseSource(state, decision, *entry);
}

// Chooses every checkpoint that is awaited from `parent`; with an error nothing has changed.
absl::Status Choose(const JobEntry& parent, JobEntry* entry) {
  v1::JobRecord chosen = entry->record;
  chosen.clear_awaits();
  for (const v1::AwaitedInput& awaited : entry->record.awaits()) {
    if (awaited.job_uid() != parent.uid()) {
      *chosen.add_awaits() = awaited;
      continue;
    }
    const bool source = awaited.role() == kSourceRole;
    const bool goes_on = entry->job().resolved().has_continue_();
    ASSIGN_OR_RETURN(const v1::Checkpoint checkpoint,
                     SelectCheckpoint(parent, awaited.checkpoint(),
                                      source ? (goes_on ? "continue" : "from") : awaited.role()));
    if (source) {
      RETURN_IF_ERROR(CheckGoesFurther(entry->job().resolved(), checkpoint.step()));
      *chosen.mutable_source() = checkpoint;
    } else {
      v1::JobInput* input = chosen.add_inputs();
      input->set_role(awaited.role());
      *input->mutable_checkpoint() = checkpoint;
    }
  }
  entry->record = std::move(chosen);
  return absl::OkStatus();
}

// The parent has succeeded.
void TakeInputs(State* state, Decision* decision, const JobEntry& parent, JobEntry* entry) {
  if (const absl::Status status = Choose(parent, entry); !status.ok()) {
    GiveUp(state, decision, parent, entry, Describe(status));
    return;
  }
  std::string message = absl::StrCat(NameFor(*entry, parent.job().name()), " has succeeded");
  if (entry->record.source().job_uid() == parent.uid()) {
    absl::StrAppend(&message, "; starts from its step ", entry->record.source().step());
  }
  AddEvent(state, decision, *entry, "InputReady", {v1::CAUSE_UNSPECIFIED, message});
  if (entry->record.awaits().empty()) {
    // Its time in the queue begins here.
    *entry->record.mutable_pending_since() = ToProto(decision->now);
    if (entry->job().state() == Job::PENDING) {
      entry->job().set_reason("waits for slots");
    }
  }
  Reindex(state, *entry);
  Touch(decision, *entry);
}

}  // namespace

std::vector<v1::PendingReason> AwaitedReasons(const State& state, const JobEntry& entry) {
  std::vector<v1::PendingReason> reasons;
  std::set<std::string> told;
  for (const v1::AwaitedInput& awaited : entry.record.awaits()) {
    if (!told.insert(awaited.job_uid()).second) {
      continue;
    }
    const std::string name = NameFor(entry, awaited.job());
    v1::PendingReason& reason = reasons.emplace_back();
    reason.set_tier(v1::PendingReason::INPUT);
    reason.set_message(absl::StrCat("waits for ", name, " (", HowFar(state, awaited.job_uid()), ")"));
    reason.set_remedy(absl::StrCat("the success of ", name));
    reason.add_blocking_jobs(awaited.job());
  }
  return reasons;
}

void SettleAwaited(State* state, Decision* decision) {
  std::map<std::string, std::string> what;  // Of jobs that ended because another one did.
  // Grows while those that waited end as well.
  for (size_t i = 0; i < decision->ended_jobs.size(); ++i) {
    const std::string uid = decision->ended_jobs[i];
    const auto children = state->children.find(uid);
    if (children == state->children.end()) {
      continue;
    }
    const JobEntry& ended = state->jobs.at(uid);
    const std::set<std::string> waiting = children->second;  // A copy: they leave as they end.
    for (const std::string& child : waiting) {
      JobEntry& entry = state->jobs.at(child);
      if (!Awaits(entry, uid)) {
        continue;
      }
      if (ended.job().state() == Job::SUCCEEDED) {
        TakeInputs(state, decision, ended, &entry);
        continue;
      }
      const auto known = what.find(uid);
      const std::string text = known != what.end() ? known->second
                                                   : absl::StrCat(NameFor(entry, ended.job().name()), " is ",
                                                                  Job::State_Name(ended.job().state()), ": ",
                                                                  ended.job().reason());
      what[child] = text;
      GiveUp(state, decision, ended, &entry, text);
    }
  }
  decision->ended_jobs.clear();
}

}  // namespace cherry::coordinator
