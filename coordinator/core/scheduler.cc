#include "coordinator/core/scheduler.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/core/attempts.h"
#include "coordinator/core/checkpoints.h"
#include "coordinator/core/placement.h"
#include "coordinator/core/timeline.h"

namespace cherry::coordinator {
namespace {

absl::Time TimeLimit(const JobEntry& entry) {
  const v1::Attempt* attempt = entry.live_attempt();
  if (attempt == nullptr || attempt->state() == v1::Attempt::STOPPING ||
      !entry.job().resolved().limits().has_time()) {
    return absl::InfiniteFuture();
  }
  return FromProto(attempt->start_time()) + FromProto(entry.job().resolved().limits().time()) -
         FromProto(entry.record.run_time());
}

}  // namespace

void Schedule(State* state, Decision* decision) {
  decision->dirty_queue = false;
  state->head.clear();
  std::unordered_set<std::string> too_large;  // Shapes that no set of slots holds.
  for (auto next = state->queue.begin(); next != state->queue.end();) {
    JobEntry& entry = state->jobs.at(next->uid);
    ++next;  // Starting the job takes it out of the queue.
    if (too_large.count(entry.shape) > 0 || GoneInput(*state, entry) != nullptr || IsAtLimit(*state, entry)) {
      continue;
    }
    if (const std::optional<Gang> gang = PlaceGang(*state, entry.job().resolved(), Slots::kFree)) {
      StartAttempt(state, decision, &entry, *gang);
    } else if (PlaceGang(*state, entry.job().resolved(), Slots::kAll).has_value()) {
      state->head = entry.uid();
      return;
    } else {
      too_large.insert(entry.shape);
    }
  }
}

void ScheduleNew(State* state, Decision* decision, JobEntry* entry) {
  const JobEntry* head = FindJob(state, state->head);
  // Behind the head nothing starts. Before it, or without one, all that wait could never fit.
  if ((head != nullptr && OrderOf(*head) < OrderOf(*entry)) || GoneInput(*state, *entry) != nullptr ||
      IsAtLimit(*state, *entry)) {
    return;
  }
  if (const std::optional<Gang> gang = PlaceGang(*state, entry->job().resolved(), Slots::kFree)) {
    StartAttempt(state, decision, entry, *gang);
  } else if (PlaceGang(*state, entry->job().resolved(), Slots::kAll).has_value()) {
    state->head = entry->uid();
  }
}

void CheckDeadlines(State* state, Decision* decision) {
  const std::vector<std::string> backoff(state->backoff.begin(), state->backoff.end());
  for (const std::string& uid : backoff) {
    JobEntry& entry = state->jobs.at(uid);
    if (FromProto(entry.job().backoff_until()) <= decision->now) {
      ApplyToJob(state, decision, &entry, JobEvent::kBackoffOver,
                 {v1::CAUSE_UNSPECIFIED, "its back-off is over"});
    }
  }
  const std::vector<std::string> active(state->active.begin(), state->active.end());
  for (const std::string& uid : active) {
    JobEntry& entry = state->jobs.at(uid);
    if (TimeLimit(entry) <= decision->now) {
      StopAttempt(state, decision, &entry, v1::Attempt::TIME_LIMIT, true,
                  {v1::CAUSE_STOPPED,
                   absl::StrCat("limits.time of ",
                                absl::FormatDuration(FromProto(entry.job().resolved().limits().time())),
                                " is used up")});
    }
  }
}

absl::Time NextJobDeadline(const State& state) {
  absl::Time next = absl::InfiniteFuture();
  for (const std::string& uid : state.backoff) {
    next = std::min(next, FromProto(state.jobs.at(uid).job().backoff_until()));
  }
  for (const std::string& uid : state.active) {
    next = std::min(next, TimeLimit(state.jobs.at(uid)));
  }
  return next;
}

bool IsAtLimit(const State& state, const JobEntry& entry) {
  const auto running = state.limited.find(LimitGroup(entry));
  return running != state.limited.end() &&
         static_cast<int>(running->second.size()) >= entry.record.max_parallel();
}

const v1::Checkpoint* GoneInput(const State& state, const JobEntry& entry) {
  if (entry.record.has_source() && !IsCommitted(state, entry.record.source())) {
    return &entry.record.source();
  }
  for (const v1::JobInput& input : entry.record.inputs()) {
    if (!IsCommitted(state, input.checkpoint())) {
      return &input.checkpoint();
    }
  }
  return nullptr;
}

}  // namespace cherry::coordinator
