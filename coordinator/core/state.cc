#include "coordinator/core/state.h"

#include "coordinator/core/machines.h"

namespace cherry::coordinator {
namespace {

template <typename Set, typename Key>
void Keep(Set* set, const Key& key, bool member) {
  if (member) {
    set->insert(key);
  } else {
    set->erase(key);
  }
}

}  // namespace

QueueKey OrderOf(const JobEntry& entry) {
  return {entry.job().resolved().priority(), entry.record.arrival(), entry.uid()};
}

void Reindex(State* state, const JobEntry& entry) {
  const v1::Job& job = entry.job();
  Keep(&state->queue, OrderOf(entry), job.state() == v1::Job::PENDING && entry.record.awaits().empty());
  Keep(&state->active, job.uid(), entry.live_attempt() != nullptr);
  Keep(&state->backoff, job.uid(), job.state() == v1::Job::BACKOFF);
  if (entry.record.has_source()) {
    Keep(&state->children[entry.record.source().job_uid()], job.uid(), !IsTerminal(job.state()));
  }
  for (const v1::JobInput& input : entry.record.inputs()) {
    Keep(&state->children[input.checkpoint().job_uid()], job.uid(), !IsTerminal(job.state()));
  }
  for (const v1::AwaitedInput& awaited : entry.record.awaits()) {
    Keep(&state->children[awaited.job_uid()], job.uid(), !IsTerminal(job.state()));
  }
  if (const std::string group = LimitGroup(entry); !group.empty()) {
    Keep(&state->limited[group], job.uid(), entry.live_attempt() != nullptr);
  }
}

std::string LimitGroup(const JobEntry& entry) {
  return entry.record.max_parallel() > 0 ? entry.record.pipeline_uid() + "/" + entry.job().matrix() : "";
}

JobEntry* FindJob(State* state, const std::string& uid) {
  const auto found = state->jobs.find(uid);
  return found == state->jobs.end() ? nullptr : &found->second;
}

WorkerEntry* FindWorker(State* state, const std::string& name) {
  const auto found = state->workers.find(name);
  return found == state->workers.end() ? nullptr : &found->second;
}

google::protobuf::Timestamp ToProto(absl::Time time) {
  google::protobuf::Timestamp proto;
  const int64_t nanos = absl::ToUnixNanos(time);
  proto.set_seconds(nanos / 1'000'000'000);
  proto.set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  return proto;
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  const int64_t nanos = absl::ToInt64Nanoseconds(duration);
  proto.set_seconds(nanos / 1'000'000'000);
  proto.set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  return proto;
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

}  // namespace cherry::coordinator
