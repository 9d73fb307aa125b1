#include "coordinator/core/machines.h"

#include "absl/strings/str_cat.h"

namespace cherry::coordinator {
namespace {

using v1::Attempt;
using v1::Job;

constexpr JobTransition kJobTable[] = {
    {Job::PENDING, JobEvent::kPlaced, Job::STARTING},
    {Job::PENDING, JobEvent::kPaused, Job::PAUSED},
    {Job::PENDING, JobEvent::kCancelled, Job::CANCELLED},
    {Job::PENDING, JobEvent::kFailed, Job::FAILED},
    {Job::STARTING, JobEvent::kFirstStep, Job::RUNNING},
    {Job::STARTING, JobEvent::kSucceeded, Job::SUCCEEDED},
    {Job::STARTING, JobEvent::kFailed, Job::FAILED},
    {Job::STARTING, JobEvent::kCancelled, Job::CANCELLED},
    {Job::STARTING, JobEvent::kPaused, Job::PAUSED},
    {Job::STARTING, JobEvent::kRequeued, Job::PENDING},
    {Job::STARTING, JobEvent::kBackedOff, Job::BACKOFF},
    {Job::RUNNING, JobEvent::kSucceeded, Job::SUCCEEDED},
    {Job::RUNNING, JobEvent::kFailed, Job::FAILED},
    {Job::RUNNING, JobEvent::kCancelled, Job::CANCELLED},
    {Job::RUNNING, JobEvent::kPaused, Job::PAUSED},
    {Job::RUNNING, JobEvent::kRequeued, Job::PENDING},
    {Job::RUNNING, JobEvent::kBackedOff, Job::BACKOFF},
    {Job::PAUSED, JobEvent::kResumed, Job::PENDING},
    {Job::PAUSED, JobEvent::kCancelled, Job::CANCELLED},
    {Job::PAUSED, JobEvent::kFailed, Job::FAILED},
    {Job::BACKOFF, JobEvent::kBackoffOver, Job::PENDING},
    {Job::BACKOFF, JobEvent::kPaused, Job::PAUSED},
    {Job::BACKOFF, JobEvent::kCancelled, Job::CANCELLED},
};

constexpr AttemptTransition kAttemptTable[] = {
    {Attempt::STARTING, AttemptEvent::kFirstStep, Attempt::RUNNING},
    {Attempt::STARTING, AttemptEvent::kStop, Attempt::STOPPING},
    {Attempt::STARTING, AttemptEvent::kReaped, Attempt::ENDED},
    {Attempt::RUNNING, AttemptEvent::kStop, Attempt::STOPPING},
    {Attempt::RUNNING, AttemptEvent::kReaped, Attempt::ENDED},
    {Attempt::STOPPING, AttemptEvent::kStop, Attempt::STOPPING},
    {Attempt::STOPPING, AttemptEvent::kReaped, Attempt::ENDED},
};

template <typename Row, typename State, typename Event>
std::optional<State> Find(absl::Span<const Row> table, State state, Event event) {
  for (const Row& row : table) {
    if (row.from == state && row.event == event) {
      return row.to;
    }
  }
  return std::nullopt;
}

}  // namespace

absl::Span<const JobTransition> JobTable() { return kJobTable; }
absl::Span<const AttemptTransition> AttemptTable() { return kAttemptTable; }

std::optional<Job::State> Next(Job::State state, JobEvent event) { return Find(JobTable(), state, event); }
std::optional<Attempt::State> Next(Attempt::State state, AttemptEvent event) {
  return Find(AttemptTable(), state, event);
}

absl::string_view EventName(JobEvent event) {
  switch (event) {
    case JobEvent::kPlaced:
      return "placed";
    case JobEvent::kFirstStep:
      return "first step";
    case JobEvent::kSucceeded:
      return "succeeded";
    case JobEvent::kFailed:
      return "failed";
    case JobEvent::kCancelled:
      return "cancelled";
    case JobEvent::kPaused:
      return "paused";
    case JobEvent::kRequeued:
      return "requeued";
    case JobEvent::kBackedOff:
      return "backed off";
    case JobEvent::kBackoffOver:
      return "back-off over";
    case JobEvent::kResumed:
      return "resumed";
  }
  return "unknown";
}

absl::string_view EventName(AttemptEvent event) {
  switch (event) {
    case AttemptEvent::kFirstStep:
      return "first step";
    case AttemptEvent::kStop:
      return "stop";
    case AttemptEvent::kReaped:
      return "reaped";
  }
  return "unknown";
}

bool IsTerminal(Job::State state) {
  return state == Job::SUCCEEDED || state == Job::FAILED || state == Job::CANCELLED;
}

std::string TablesAsMarkdown() {
  std::string text = "| job in | when | becomes |\n|---|---|---|\n";
  for (const JobTransition& row : JobTable()) {
    absl::StrAppend(&text, "| ", Job::State_Name(row.from), " | ", EventName(row.event), " | ",
                    Job::State_Name(row.to), " |\n");
  }
  absl::StrAppend(&text, "\n| attempt in | when | becomes |\n|---|---|---|\n");
  for (const AttemptTransition& row : AttemptTable()) {
    absl::StrAppend(&text, "| ", Attempt::State_Name(row.from), " | ", EventName(row.event), " | ",
                    Attempt::State_Name(row.to), " |\n");
  }
  return text;
}

}  // namespace cherry::coordinator
