#include "coordinator/core/rank_reports.h"

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/core/attempts.h"
#include "coordinator/core/checkpoints.h"
#include "coordinator/core/timeline.h"

namespace cherry::coordinator {
namespace {

// A rendezvous is a few addresses a rank; more is a mistake or an attack.
constexpr size_t kMostKeys = 65536;
constexpr size_t kMostValueBytes = 65536;
constexpr size_t kMostNoteBytes = 4096;

v1::RankPlacement* FindRank(JobEntry* entry, int32_t rank, const WorkerEntry& worker) {
  v1::Attempt* attempt = entry->live_attempt();
  if (rank < 0 || rank >= attempt->ranks_size()) {
    return nullptr;
  }
  v1::RankPlacement* placement = attempt->mutable_ranks(rank);
  return placement->worker() == worker.name() ? placement : nullptr;
}

void SendValue(Decision* decision, const JobEntry& entry, const RendezvousWaiter& waiter,
               const std::string& key, const std::string& value) {
  SendToWorker action{waiter.worker, {}};
  v1::RendezvousValue* answer = action.message.mutable_rendezvous_value();
  answer->mutable_attempt()->set_job_uid(entry.uid());
  answer->mutable_attempt()->set_epoch(entry.job().epoch());
  answer->set_rank(waiter.rank);
  answer->set_key(key);
  answer->set_value(value);
  decision->actions.push_back(std::move(action));
}

void OnRendezvousPut(Decision* decision, JobEntry* entry, const v1::RendezvousPut& put) {
  if (entry->rendezvous.size() >= kMostKeys || put.key().size() > kMostValueBytes ||
      put.value().size() > kMostValueBytes) {
    return;
  }
  entry->rendezvous[put.key()] = put.value();
  const auto waiters = entry->waiters.find(put.key());
  if (waiters == entry->waiters.end()) {
    return;
  }
  for (const RendezvousWaiter& waiter : waiters->second) {
    SendValue(decision, *entry, waiter, put.key(), put.value());
  }
  entry->waiters.erase(waiters);
}

void OnRendezvousGet(Decision* decision, JobEntry* entry, const std::string& worker,
                     const v1::RendezvousGet& get) {
  const auto value = entry->rendezvous.find(get.key());
  if (value != entry->rendezvous.end()) {
    SendValue(decision, *entry, {worker, get.rank()}, get.key(), value->second);
  } else if (entry->waiters.size() < kMostKeys) {
    entry->waiters[get.key()].push_back({worker, get.rank()});
  }
}

void OnNote(State* state, Decision* decision, JobEntry* entry, const v1::AttemptNote& note) {
  if (note.type() != "CheckpointCorrupt") {
    AddEvent(state, decision, *entry, note.type().empty() ? "Note" : note.type(),
             {v1::CAUSE_UNSPECIFIED, note.message().substr(0, kMostNoteBytes)});
    return;
  }
  // Only the job's own: `continue` may name another job's, which its owner has to look at.
  if (v1::Checkpoint* checkpoint = FindCommitted(entry, note.step())) {
    MarkCorrupt(state, decision, entry, checkpoint, note.message().substr(0, kMostNoteBytes));
    const auto rest = CommittedNewestFirst(*entry);
    entry->live_attempt()->set_start_step(rest.empty() ? entry->record.source().step() : rest.front().step());
  }
}

void OnCheckpoint(State* state, Decision* decision, JobEntry* entry, const WorkerEntry& worker,
                  const v1::CheckpointReport& report) {
  const absl::Status status = CommitCheckpoint(state, decision, entry, report);
  if (!status.ok()) {
    AddEvent(state, decision, *entry, "CheckpointRefused", {v1::CAUSE_UNSPECIFIED, Describe(status)});
    return;
  }
  SendToWorker action{worker.name(), {}};
  v1::CheckpointCommitted* committed = action.message.mutable_committed();
  committed->mutable_attempt()->set_job_uid(entry->uid());
  committed->mutable_attempt()->set_epoch(entry->job().epoch());
  committed->set_step(report.checkpoint().step());
  decision->actions.push_back(std::move(action));
}

const v1::AttemptRef* RefOf(const v1::WorkerMessage& message) {
  switch (message.body_case()) {
    case v1::WorkerMessage::kRankStarted:
      return &message.rank_started().attempt();
    case v1::WorkerMessage::kProgress:
      return &message.progress().attempt();
    case v1::WorkerMessage::kCheckpoint:
      return &message.checkpoint().attempt();
    case v1::WorkerMessage::kRankExited:
      return &message.rank_exited().attempt();
    case v1::WorkerMessage::kRendezvousPut:
      return &message.rendezvous_put().attempt();
    case v1::WorkerMessage::kRendezvousGet:
      return &message.rendezvous_get().attempt();
    case v1::WorkerMessage::kNote:
      return &message.note().attempt();
    default:
      return nullptr;
  }
}

}  // namespace

JobEntry* FindAttempt(State* state, const v1::AttemptRef& ref, const WorkerEntry& worker) {
  JobEntry* entry = FindJob(state, ref.job_uid());
  if (entry == nullptr || entry->live_attempt() == nullptr || entry->live_attempt()->epoch() != ref.epoch()) {
    return nullptr;
  }
  for (const v1::RankPlacement& rank : entry->live_attempt()->ranks()) {
    if (rank.worker() == worker.name() && rank.incarnation() == worker.worker().incarnation() &&
        rank.state() != v1::RankPlacement::EXITED) {
      return entry;
    }
  }
  return nullptr;
}

void SendStale(Decision* decision, const std::string& worker, const v1::AttemptRef& ref) {
  SendToWorker action{worker, {}};
  *action.message.mutable_stale()->mutable_attempt() = ref;
  decision->actions.push_back(std::move(action));
}

void HandleRankReport(State* state, Decision* decision, WorkerEntry* worker,
                      const v1::WorkerMessage& message) {
  const v1::AttemptRef* ref = RefOf(message);
  if (ref == nullptr) {
    return;
  }
  JobEntry* entry = FindAttempt(state, *ref, *worker);
  if (entry == nullptr) {
    if (!message.has_rank_exited()) {
      SendStale(decision, worker->name(), *ref);
    }
    return;
  }
  switch (message.body_case()) {
    case v1::WorkerMessage::kRankStarted:
      if (v1::RankPlacement* rank = FindRank(entry, message.rank_started().rank(), *worker)) {
        OnRankStarted(decision, entry, rank);
      }
      break;
    case v1::WorkerMessage::kProgress:
      OnProgress(state, decision, entry, message.progress());
      break;
    case v1::WorkerMessage::kCheckpoint:
      OnCheckpoint(state, decision, entry, *worker, message.checkpoint());
      break;
    case v1::WorkerMessage::kRankExited:
      if (v1::RankPlacement* rank = FindRank(entry, message.rank_exited().rank(), *worker)) {
        OnRankExited(state, decision, entry, rank, message.rank_exited());
      }
      break;
    case v1::WorkerMessage::kRendezvousPut:
      OnRendezvousPut(decision, entry, message.rendezvous_put());
      break;
    case v1::WorkerMessage::kRendezvousGet:
      OnRendezvousGet(decision, entry, worker->name(), message.rendezvous_get());
      break;
    default:
      OnNote(state, decision, entry, message.note());
      break;
  }
}

}  // namespace cherry::coordinator
