#include "coordinator/core/worker_registry.h"

#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/status.h"
#include "common/version.h"
#include "coordinator/core/attempts.h"
#include "coordinator/core/rank_reports.h"
#include "coordinator/core/timeline.h"

namespace cherry::coordinator {
namespace {

using v1::Worker;
using AttemptKey = std::pair<std::string, int64_t>;

constexpr int kMostSlots = 1024;

absl::Status CheckHello(const v1::Register& hello) {
  if (hello.api_major() != kApiMajor) {
    return Error(absl::StatusCode::kFailedPrecondition, "API_VERSION_UNSUPPORTED", "api_major",
                 absl::StrCat("api_major: ", hello.api_major(), " is not supported, only ", kApiMajor),
                 "run a worker of the coordinator's version");
  }
  RETURN_IF_ERROR(ValidateName(hello.name(), "name"));
  if (hello.incarnation().empty() || hello.incarnation().size() > 64) {
    return InvalidField("FIELD_REQUIRED", "incarnation", "incarnation: is empty or too long",
                        "send a random id made when the process starts");
  }
  std::set<int32_t> indices;
  for (const v1::Slot& slot : hello.slots()) {
    if (!indices.insert(slot.index()).second || slot.device() == v1::Resources::AUTO) {
      return InvalidField("SLOT_INVALID", "slots",
                          absl::StrCat("slots: slot ", slot.index(), " is repeated or has no device"),
                          "give each slot its own index, and cpu or cuda");
    }
  }
  if (indices.size() > kMostSlots) {
    return InvalidField("OUT_OF_RANGE", "slots", absl::StrCat("slots: ", indices.size(), " are too many"),
                        absl::StrCat("give at most ", kMostSlots));
  }
  return absl::OkStatus();
}

// Ends every rank that the state still places on this worker, of whatever incarnation.
void LoseRanks(State* state, Decision* decision, const std::string& worker, const std::string& message) {
  const std::vector<std::string> active(state->active.begin(), state->active.end());
  for (const std::string& uid : active) {
    JobEntry& entry = state->jobs.at(uid);
    // The list of ranks is walked by index: the attempt may end on the way.
    for (int i = 0; entry.live_attempt() != nullptr && i < entry.live_attempt()->ranks_size(); ++i) {
      v1::RankPlacement* rank = entry.live_attempt()->mutable_ranks(i);
      if (rank->worker() == worker) {
        LoseRank(state, decision, &entry, rank, message);
      }
    }
  }
}

// Splits what the worker says it runs into what it should run and strays, which are told so.
std::set<AttemptKey> SortAttempts(State* state, Decision* decision, WorkerEntry* worker,
                                  const google::protobuf::RepeatedPtrField<v1::AttemptRef>& listed) {
  std::set<AttemptKey> known;
  worker->strays.clear();
  for (const v1::AttemptRef& ref : listed) {
    if (FindAttempt(state, ref, *worker) != nullptr) {
      known.insert({ref.job_uid(), ref.epoch()});
    } else {
      worker->strays.insert({ref.job_uid(), ref.epoch()});
      SendStale(decision, worker->name(), ref);
    }
  }
  return known;
}

// After a registration: whatever the worker lacks is sent again. All directives are safe to repeat.
void Reattach(State* state, Decision* decision, const WorkerEntry& worker,
              const std::set<AttemptKey>& known) {
  for (const std::string& uid : state->active) {
    const JobEntry& entry = state->jobs.at(uid);
    const v1::Attempt& attempt = *entry.live_attempt();
    bool placed = false;
    bool here = false;
    for (const v1::RankPlacement& rank : attempt.ranks()) {
      if (rank.worker() == worker.name() && rank.state() != v1::RankPlacement::EXITED) {
        here = true;
        placed = placed || rank.state() == v1::RankPlacement::PLACED;
      }
    }
    if (here && placed && known.count({uid, attempt.epoch()}) == 0) {
      decision->actions.push_back(SendToWorker{worker.name(), StartDirective(*state, entry, worker.name())});
    }
    if (here && attempt.state() == v1::Attempt::STOPPING) {
      ResendStop(*state, decision, entry, worker.name());
    }
  }
}

void SetState(State* state, Decision* decision, WorkerEntry* worker, Worker::State to, absl::string_view type,
              absl::string_view message) {
  if (worker->worker().state() == to) {
    return;
  }
  worker->record.mutable_worker()->set_state(to);
  decision->dirty_queue = true;
  Touch(decision, *worker);
  AddWorkerEvent(state, decision, *worker, type, message);
}

// What an operator has asked for is kept, should the worker come back.
bool MayBeForgotten(const WorkerEntry& worker) {
  return worker.worker().state() == Worker::LOST && worker.connection == 0 &&
         worker.record.desired() == Worker::READY;
}

void ForgetLost(State* state, Decision* decision) {
  for (auto entry = state->workers.begin(); entry != state->workers.end();) {
    const auto here = entry++;
    if (MayBeForgotten(here->second) && here->second.last_seen + state->config.forget_lost <= decision->now) {
      decision->dirty_workers.erase(here->first);
      decision->changes.delete_workers.push_back(here->first);
      state->workers.erase(here);
    }
  }
}

// Until when the oldest failure counts against the host.
absl::Time FailureEnd(const State& state, const WorkerEntry& worker) {
  return worker.record.failures().empty()
             ? absl::InfiniteFuture()
             : FromProto(worker.record.failures(0)) + state.config.failure_memory;
}

void ForgetFailures(State* state, Decision* decision) {
  for (auto& [name, worker] : state->workers) {
    bool forgot = false;
    while (FailureEnd(*state, worker) <= decision->now) {
      worker.record.mutable_failures()->DeleteSubrange(0, 1);
      forgot = true;
    }
    if (forgot) {
      worker.record.mutable_worker()->set_recent_failures(worker.record.failures_size());
      decision->dirty_queue = true;
      Touch(decision, worker);
    }
  }
}

void FillWorker(const v1::Register& hello, absl::Time now, Worker* worker) {
  *worker->mutable_slots() = hello.slots();
  *worker->mutable_labels() = hello.labels();
  *worker->mutable_roots() = hello.roots();
  worker->set_name(hello.name());
  worker->set_incarnation(hello.incarnation());
  worker->set_version(hello.version());
  worker->set_address(hello.address());
  worker->set_metrics_address(hello.metrics_address());
  *worker->mutable_register_time() = ToProto(now);
}

}  // namespace

absl::Status RegisterWorker(State* state, Decision* decision, int64_t connection, const v1::Register& hello) {
  RETURN_IF_ERROR(CheckHello(hello));
  WorkerEntry& worker = state->workers[hello.name()];
  const bool is_new = worker.record.worker().incarnation() != hello.incarnation();
  const bool was_known = !worker.record.worker().incarnation().empty();
  if (worker.connection != 0 && worker.connection != connection) {
    decision->actions.push_back(CloseConnection{
        worker.connection, Error(absl::StatusCode::kAborted, "WORKER_REPLACED", "name",
                                 absl::StrCat("worker ", hello.name(), " has registered again elsewhere"),
                                 "give each worker a name of its own with --name")});
  }
  worker.connection = connection;
  decision->actions.push_back(BindConnection{connection, hello.name()});
  worker.last_seen = decision->now;
  decision->dirty_queue = true;
  if (is_new && was_known) {
    LoseRanks(state, decision, hello.name(), absl::StrCat("worker ", hello.name(), " restarted"));
    worker.occupants.clear();
  }
  if (worker.record.desired() == Worker::STATE_UNSPECIFIED) {
    worker.record.set_desired(Worker::READY);
  }
  FillWorker(hello, decision->now, worker.record.mutable_worker());
  Touch(decision, worker);
  if (is_new) {
    worker.record.mutable_worker()->set_state(worker.record.desired());
    AddWorkerEvent(state, decision, worker, "WorkerRegistered", absl::StrCat(hello.slots_size(), " slots"));
  } else {
    SetState(state, decision, &worker, worker.record.desired(), "WorkerReturned", "its lease is renewed");
  }
  v1::CoordinatorMessage message;
  *message.mutable_registered()->mutable_heartbeat_interval() = ToProto(state->config.heartbeat);
  *message.mutable_registered()->mutable_lease() = ToProto(state->config.lease);
  decision->actions.push_back(SendToWorker{hello.name(), message});
  Reattach(state, decision, worker, SortAttempts(state, decision, &worker, hello.attempts()));
  return absl::OkStatus();
}

void HandleWorkerMessage(State* state, Decision* decision, int64_t connection, const std::string& name,
                         const v1::WorkerMessage& message) {
  WorkerEntry* worker = FindWorker(state, name);
  if (worker == nullptr || worker->connection != connection) {
    return;
  }
  worker->last_seen = decision->now;
  if (worker->worker().state() == Worker::LOST) {
    SetState(state, decision, worker, worker->record.desired(), "WorkerReturned", "its lease is renewed");
  }
  if (message.has_heartbeat()) {
    *worker->record.mutable_worker()->mutable_roots() = message.heartbeat().roots();
    const bool had_strays = !worker->strays.empty();
    SortAttempts(state, decision, worker, message.heartbeat().attempts());
    decision->dirty_queue = decision->dirty_queue || (had_strays && worker->strays.empty());
  } else {
    HandleRankReport(state, decision, worker, message);
  }
  if (message.sequence() > 0) {
    v1::CoordinatorMessage answer;
    answer.mutable_ack()->set_sequence(message.sequence());
    decision->actions.push_back(SendToWorker{name, answer});
  }
}

void Disconnect(State* state, int64_t connection, const std::string& name) {
  WorkerEntry* worker = FindWorker(state, name);
  if (worker != nullptr && worker->connection == connection) {
    worker->connection = 0;
  }
}

void ExpireLeases(State* state, Decision* decision) {
  for (auto& [name, worker] : state->workers) {
    if (worker.worker().state() == Worker::LOST || worker.last_seen + state->config.lease > decision->now) {
      continue;
    }
    const std::string message =
        absl::StrCat("worker ", name, " was silent for ", absl::FormatDuration(state->config.lease));
    SetState(state, decision, &worker, Worker::LOST, "WorkerLost", message);
    LoseRanks(state, decision, name, message);
    worker.occupants.clear();
  }
  ForgetLost(state, decision);
  ForgetFailures(state, decision);
}

absl::Time NextLease(const State& state) {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [name, worker] : state.workers) {
    next = std::min(next, FailureEnd(state, worker));
    if (worker.worker().state() != Worker::LOST) {
      next = std::min(next, worker.last_seen + state.config.lease);
    } else if (MayBeForgotten(worker)) {
      next = std::min(next, worker.last_seen + state.config.forget_lost);
    }
  }
  return next;
}

absl::Status SetDesiredState(State* state, Decision* decision, WorkerEntry* worker, Worker::State desired) {
  if (desired != Worker::READY && desired != Worker::CORDONED && desired != Worker::DRAINING) {
    return InvalidField("OUT_OF_RANGE", "state",
                        absl::StrCat("state: ", Worker::State_Name(desired), " cannot be asked for"),
                        "use READY, CORDONED or DRAINING");
  }
  worker->record.set_desired(desired);
  Touch(decision, *worker);
  if (worker->worker().state() != Worker::LOST) {
    const std::string message = absl::StrCat("asked for by ", decision->actor);
    SetState(state, decision, worker, desired,
             desired == Worker::READY      ? "Uncordoned"
             : desired == Worker::CORDONED ? "Cordoned"
                                           : "Draining",
             message);
  }
  if (desired != Worker::DRAINING) {
    return absl::OkStatus();
  }
  std::set<std::string> uids;
  for (const auto& [slot, occupant] : worker->occupants) {
    uids.insert(occupant.uid);
  }
  for (const std::string& uid : uids) {
    StopAttempt(state, decision, &state->jobs.at(uid), v1::Attempt::DRAIN, true,
                {v1::CAUSE_PREEMPTED, absl::StrCat("worker ", worker->name(), " is being drained")});
  }
  return absl::OkStatus();
}

Worker WorkerView(const State& state, const WorkerEntry& worker) {
  Worker view = worker.worker();
  if (worker.last_seen > absl::InfinitePast()) {
    *view.mutable_last_seen_time() = ToProto(worker.last_seen);
  }
  for (v1::Slot& slot : *view.mutable_slots()) {
    const auto occupant = worker.occupants.find(slot.index());
    if (occupant != worker.occupants.end()) {
      const auto job = state.jobs.find(occupant->second.uid);
      slot.set_job(job == state.jobs.end() ? "" : job->second.job().name());
    }
  }
  return view;
}

}  // namespace cherry::coordinator
