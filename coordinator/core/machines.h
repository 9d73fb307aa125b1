// The two state machines of the coordinator: a job's and an attempt's. Their legal tables are data; nothing
// changes a state but through them.
//
// Pure functions, thread-safe.
#ifndef CHERRY_COORDINATOR_CORE_MACHINES_H_
#define CHERRY_COORDINATOR_CORE_MACHINES_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "cherry/v1/resources.pb.h"

namespace cherry::coordinator {

// What can happen to a job.
enum class JobEvent {
  kPlaced,       // A gang of slots was found.
  kFirstStep,    // The attempt has done a step.
  kSucceeded,    // Every rank has succeeded and the last checkpoint is committed.
  kFailed,       // Its retries or its time are used up, or a job that it waits for has failed.
  kCancelled,    // Its attempt, if any, is gone and a cancel was asked for: of it or of what it waits for.
  kPaused,       // The same for a pause.
  kRequeued,     // Its attempt was stopped, and it was resumed meanwhile.
  kBackedOff,    // Its attempt has ended for a reason that lets it try again later.
  kBackoffOver,  // The wait is over.
  kResumed,      // ResumeJob.
};

// What can happen to an attempt.
enum class AttemptEvent {
  kFirstStep,  // A step was done.
  kStop,       // It has to stop, for whatever reason; repeated stops are fine.
  kReaped,     // Every rank has exited or its worker's lease has expired.
};

struct JobTransition {
  v1::Job::State from;
  JobEvent event;
  v1::Job::State to;
};
struct AttemptTransition {
  v1::Attempt::State from;
  AttemptEvent event;
  v1::Attempt::State to;
};

// The legal tables. What is not in them is illegal.
absl::Span<const JobTransition> JobTable();
absl::Span<const AttemptTransition> AttemptTable();

// The state after `event`, or nothing when the event is illegal in this state.
std::optional<v1::Job::State> Next(v1::Job::State state, JobEvent event);
std::optional<v1::Attempt::State> Next(v1::Attempt::State state, AttemptEvent event);

absl::string_view EventName(JobEvent event);
absl::string_view EventName(AttemptEvent event);

// SUCCEEDED, FAILED and CANCELLED never change.
bool IsTerminal(v1::Job::State state);

// Both tables as Markdown, for the documentation.
std::string TablesAsMarkdown();

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_MACHINES_H_
