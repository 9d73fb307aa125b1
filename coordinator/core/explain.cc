#include "coordinator/core/explain.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/core/awaited.h"
#include "coordinator/core/machines.h"
#include "coordinator/core/placement.h"
#include "coordinator/core/scheduler.h"

namespace cherry::coordinator {
namespace {

using v1::Job;
using v1::PendingReason;

std::string Plural(int count, absl::string_view noun) {
  return absl::StrCat(count, " ", noun, count == 1 ? "" : "s");
}

PendingReason CapacityReason(const State& state, const JobEntry& entry) {
  const Capacity capacity = CountCapacity(state, entry.job().resolved());
  PendingReason reason;
  reason.set_tier(PendingReason::CAPACITY);
  reason.set_message(absl::StrCat("needs ", Plural(capacity.needed, "slot"), " at once; ", capacity.existing,
                                  capacity.existing == 1 ? " exists, " : " exist, ", capacity.free,
                                  capacity.free == 1 ? " is free" : " are free",
                                  capacity.excluded.empty() ? "" : "; ",
                                  absl::StrJoin(capacity.excluded, ", ")));
  if (capacity.existing >= capacity.needed) {
    reason.set_remedy("the end of running jobs that hold them");
  } else if (capacity.largest_fit > 0) {
    reason.set_remedy(absl::StrCat(Plural(capacity.needed - capacity.existing, "more slot"),
                                   ", or resources.ranks <= ", capacity.largest_fit));
  } else {
    reason.set_remedy(
        absl::StrCat("workers with ", Plural(capacity.needed - capacity.existing, "more slot")));
  }
  return reason;
}

PendingReason LimitReason(const State& state, const JobEntry& entry) {
  const int most = entry.record.max_parallel();
  PendingReason reason;
  reason.set_tier(PendingReason::QUOTA);
  reason.set_message(absl::StrCat("matrix.max_parallel: ", Plural(most, "job"), " of ", entry.job().matrix(),
                                  most == 1 ? " runs" : " run"));
  reason.set_remedy("the end of one of them");
  for (const std::string& uid : state.limited.at(LimitGroup(entry))) {
    reason.add_blocking_jobs(state.jobs.at(uid).job().name());
  }
  return reason;
}

// The job that everything behind it waits for, or null.
const JobEntry* Head(const State& state, const JobEntry& entry) {
  const auto head = state.jobs.find(state.head);
  if (head == state.jobs.end() || head->second.uid() == entry.uid()) {
    return nullptr;
  }
  return OrderOf(head->second) < OrderOf(entry) ? &head->second : nullptr;
}

int QueuePosition(const State& state, const JobEntry& entry) {
  int position = 0;
  for (const QueueKey& key : state.queue) {
    ++position;
    if (key.uid == entry.uid()) {
      return position;
    }
  }
  return 0;
}

absl::string_view TierName(PendingReason::Tier tier) {
  switch (tier) {
    case PendingReason::INVALID:
      return "invalid";
    case PendingReason::INPUT:
      return "input";
    case PendingReason::QUOTA:
      return "quota";
    case PendingReason::CAPACITY:
      return "capacity";
    default:
      return "queue";
  }
}

void ExplainWaiting(const State& state, const JobEntry& entry, v1::ExplainJobResponse* answer) {
  for (const PendingReason& reason : PendingReasons(state, entry)) {
    *answer->add_reasons() = reason;
  }
  if (answer->reasons().empty()) {
    answer->set_summary("starts at once");
    return;
  }
  answer->set_summary(absl::StrCat(TierName(answer->reasons(0).tier()), ": ", answer->reasons(0).message()));
  for (const PendingReason& reason : answer->reasons()) {
    const bool awaited = reason.tier() == PendingReason::INPUT && !entry.record.awaits().empty();
    if (awaited || reason.tier() == PendingReason::QUOTA) {
      answer->add_would_start(absl::StrCat("with ", reason.remedy()));
    }
  }
  const Capacity capacity = CountCapacity(state, entry.job().resolved());
  if (capacity.existing < capacity.needed) {
    answer->add_would_start(absl::StrCat("with ", Plural(capacity.needed - capacity.existing, "more slot")));
    if (capacity.largest_fit > 0) {
      answer->add_would_start(absl::StrCat("with resources.ranks <= ", capacity.largest_fit));
    }
    return;
  }
  for (const PendingReason& reason : answer->reasons()) {
    if (reason.tier() == PendingReason::QUEUE) {
      answer->add_would_start(absl::StrCat("with a priority above that of ", reason.blocking_jobs(0)));
    }
  }
  if (capacity.free < capacity.needed && entry.record.awaits().empty()) {
    answer->add_would_start(
        absl::StrCat("when ", Plural(capacity.needed - capacity.free, "more slot"), " get free"));
  }
}

}  // namespace

std::vector<PendingReason> PendingReasons(const State& state, const JobEntry& entry) {
  std::vector<PendingReason> reasons;
  if (entry.job().state() != Job::PENDING) {
    return reasons;
  }
  if (!entry.record.awaits().empty()) {
    reasons = AwaitedReasons(state, entry);
    // Slots that are in use now tell nothing about that time; slots that do not exist do.
    if (!PlaceGang(state, entry.job().resolved(), Slots::kAll).has_value()) {
      reasons.push_back(CapacityReason(state, entry));
    }
    return reasons;
  }
  if (const v1::Checkpoint* gone = GoneInput(state, entry)) {
    PendingReason& reason = reasons.emplace_back();
    reason.set_tier(PendingReason::INPUT);
    reason.set_message(absl::StrCat("its checkpoint ", gone->name(), " is corrupt or deleted"));
    reason.set_remedy("another checkpoint: cancel it, and submit it from that");
  }
  if (IsAtLimit(state, entry)) {
    reasons.push_back(LimitReason(state, entry));
  }
  if (!PlaceGang(state, entry.job().resolved(), Slots::kFree).has_value()) {
    reasons.push_back(CapacityReason(state, entry));
  }
  if (const JobEntry* head = Head(state, entry)) {
    PendingReason& reason = reasons.emplace_back();
    reason.set_tier(PendingReason::QUEUE);
    reason.set_message(absl::StrCat(head->job().resolved().name(), " is ahead in the queue"));
    reason.set_remedy("its start, or a higher priority of this job");
    reason.add_blocking_jobs(head->job().name());
  }
  return reasons;
}

v1::ExplainJobResponse Explain(const State& state, const JobEntry& entry) {
  const Job& job = entry.job();
  v1::ExplainJobResponse answer;
  answer.set_state(job.state());
  answer.set_summary(job.reason());
  if (job.state() == Job::PENDING) {
    answer.set_queue_position(QueuePosition(state, entry));
    ExplainWaiting(state, entry, &answer);
  } else if (job.state() == Job::BACKOFF) {
    answer.add_would_start(absl::StrCat(
        "at ", absl::FormatTime("%H:%M:%SZ", FromProto(job.backoff_until()), absl::UTCTimeZone()),
        ", when its back-off is over"));
  } else if (job.state() == Job::PAUSED) {
    answer.add_would_start("with 'cherry resume'");
  }
  return answer;
}

Job JobView(const State& state, const JobEntry& entry) {
  Job view = entry.job();
  for (const PendingReason& reason : PendingReasons(state, entry)) {
    *view.add_pending() = reason;
  }
  if (view.pending_size() > 0) {
    view.set_reason(view.pending(0).message());
  }
  return view;
}

}  // namespace cherry::coordinator
