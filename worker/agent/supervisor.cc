#include "worker/agent/supervisor.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace cherry::worker {
namespace {

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

}  // namespace

Supervisor::Supervisor(SupervisorConfig config, RankHost* host, Uplink* uplink, RankObserver* observer)
    : config_(std::move(config)), host_(host), uplink_(uplink), observer_(observer) {}

Supervisor::Attempt* Supervisor::Find(const AttemptKey& key) {
  const auto found = attempts_.find(key);
  return found == attempts_.end() ? nullptr : &found->second;
}

Supervisor::Rank* Supervisor::Find(const RankKey& key, Attempt** attempt) {
  *attempt = Find(key.attempt);
  if (*attempt == nullptr) {
    return nullptr;
  }
  const auto found = (*attempt)->ranks.find(key.rank);
  return found == (*attempt)->ranks.end() ? nullptr : &found->second;
}

const v1::Slot* Supervisor::FindSlot(int index) const {
  for (const v1::Slot& slot : config_.slots) {
    if (slot.index() == index) {
      return &slot;
    }
  }
  return nullptr;
}

void Supervisor::OnStart(const v1::StartAttempt& start, absl::Time now) {
  const AttemptKey key = KeyOf(start.attempt());
  auto [newest, first] = newest_epoch_.emplace(key.job_uid, key.epoch);
  if (!first) {
    if (key.epoch <= newest->second) {
      return;  // Started before; if it has ended, its exits are on their way.
    }
    if (Attempt* old = Find({key.job_uid, newest->second})) {
      KillAttempt(old, EndReason::kStale, "a newer attempt of the job has started", now);
    }
    newest->second = key.epoch;
  }
  Attempt& attempt = attempts_[key];
  attempt.start = start;
  for (const v1::RankPlacement& placement : start.ranks()) {
    v1::Failure refusal;
    if (shutting_down_) {
      refusal.set_cause(v1::CAUSE_PREEMPTED);
      refusal.set_message("the worker is going down");
    } else if (FindSlot(placement.slot()) == nullptr) {
      refusal.set_cause(v1::CAUSE_PLATFORM);
      refusal.set_message(absl::StrCat("the worker has no slot ", placement.slot()));
    } else {
      Rank& rank = attempt.ranks.emplace(placement.rank(), config_.limits).first->second;
      rank.placement = placement;
      continue;
    }
    ReportExit(key, placement.rank(), 0, std::move(refusal));
  }
  StartWaiting(now);
  DropIfEmpty(key);
}

bool Supervisor::SlotBusy(int slot) const {
  for (const auto& [key, attempt] : attempts_) {
    for (const auto& [number, rank] : attempt.ranks) {
      if (rank.started && rank.placement.slot() == slot) {
        return true;
      }
    }
  }
  return false;
}

void Supervisor::StartWaiting(absl::Time now) {
  for (auto& [key, attempt] : attempts_) {
    for (auto& [number, rank] : attempt.ranks) {
      if (!rank.started && !SlotBusy(rank.placement.slot())) {
        StartRank(&attempt, &rank, now);
      }
    }
  }
}

void Supervisor::StartRank(Attempt* attempt, Rank* rank, absl::Time now) {
  const v1::Slot& slot = *FindSlot(rank->placement.slot());
  v1::StartRank start;
  *start.mutable_attempt() = attempt->start;
  start.set_rank(rank->placement.rank());
  start.set_data_root(config_.data_root);
  start.set_checkpoint_root(config_.checkpoint_root);
  start.set_threads(std::clamp(slot.cores_size(), 1, config_.most_threads));
  *start.mutable_cores() = slot.cores();
  *start.mutable_slot() = slot;
  start.set_collective_address(config_.address);
  start.set_code_version(config_.code_version);
  rank->started = true;
  rank->heard = now;
  observer_->OnSlot(slot.index(), attempt->start.job_name());
  host_->Start({KeyOf(attempt->start.attempt()), rank->placement.rank()}, start);
}

void Supervisor::OnStop(const v1::StopAttempt& stop, absl::Time now) {
  Attempt* const attempt = Find(KeyOf(stop.attempt()));
  if (attempt == nullptr) {
    return;  // Reaped already; its exits are on their way.
  }
  if (!stop.checkpoint()) {
    KillAttempt(attempt, EndReason::kStop, "killed on request", now);
    return;
  }
  const absl::Duration grace = stop.has_grace() ? FromProto(stop.grace()) : config_.grace;
  AskToStop(attempt, EndReason::kStop);
  attempt->kill_at = std::min(attempt->kill_at, now + grace);
  attempt->kill_reason = EndReason::kStop;
  attempt->kill_detail =
      absl::StrCat("killed: it had not stopped ", absl::FormatDuration(grace), " after being asked to");
  DropIfEmpty(KeyOf(stop.attempt()));
}

void Supervisor::AskToStop(Attempt* attempt, EndReason reason) {
  const AttemptKey key = KeyOf(attempt->start.attempt());
  v1::ToTrainer message;
  message.mutable_stop()->set_checkpoint(true);
  for (auto next = attempt->ranks.begin(); next != attempt->ranks.end();) {
    auto& [number, rank] = *next;
    ++next;  // KillRank may erase this one.
    if (!rank.started) {
      KillRank(key, &rank, reason, "stopped before it had started");
      continue;
    }
    if (rank.asked == EndReason::kNone) {
      host_->Send({key, number}, message);
    }
    rank.asked = reason;
  }
}

void Supervisor::OnStale(const v1::AttemptRef& attempt, absl::Time now) {
  if (Attempt* const found = Find(KeyOf(attempt))) {
    KillAttempt(found, EndReason::kStale, "killed: the coordinator no longer knows this attempt", now);
  }
}

void Supervisor::KillAttempt(Attempt* attempt, EndReason reason, absl::string_view detail, absl::Time now) {
  const AttemptKey key = KeyOf(attempt->start.attempt());
  FlushProgress(attempt, now);
  for (auto next = attempt->ranks.begin(); next != attempt->ranks.end();) {
    Rank* const rank = &next->second;
    ++next;  // KillRank may erase this one.
    KillRank(key, rank, reason, detail);
  }
  DropIfEmpty(key);
}

void Supervisor::KillRank(const AttemptKey& key, Rank* rank, EndReason reason, absl::string_view detail) {
  const int number = rank->placement.rank();
  if (!rank->started) {
    RankEnd end;
    end.exit.signalled = true;
    end.exit.signal = 9;
    end.killed = reason;
    end.detail = std::string(detail);
    ReportExit(key, number, 0, ClassifyEnd(end));
    attempts_.at(key).ranks.erase(number);
    return;
  }
  if (rank->killed == EndReason::kNone) {
    rank->killed = reason;
    rank->kill_detail = std::string(detail);
  }
  host_->Kill({key, number});
}

void Supervisor::OnRendezvousValue(const v1::RendezvousValue& value) {
  const RankKey key = {KeyOf(value.attempt()), value.rank()};
  Attempt* attempt = nullptr;
  if (Find(key, &attempt) == nullptr || attempt->gets.erase({value.rank(), value.key()}) == 0) {
    return;  // Gone, or answered twice.
  }
  v1::ToTrainer message;
  message.mutable_rendezvous()->set_key(value.key());
  message.mutable_rendezvous()->set_value(value.value());
  host_->Send(key, message);
}

void Supervisor::OnCommitted(const v1::CheckpointCommitted& committed, absl::Time now) {
  const RankKey key = {KeyOf(committed.attempt()), 0};
  Attempt* attempt = nullptr;
  if (Find(key, &attempt) == nullptr) {
    return;
  }
  v1::ToTrainer message;
  *message.mutable_committed() = committed;
  host_->Send(key, message);
  observer_->OnCommitted(key.attempt, now);
}

void Supervisor::OnConnected(absl::Time now) {
  offline_since_ = absl::InfiniteFuture();
  connected_at_ = now;
  for (const auto& [key, attempt] : attempts_) {
    for (const auto& [name, value] : attempt.puts) {
      v1::WorkerMessage message;
      auto* const put = message.mutable_rendezvous_put();
      *put->mutable_attempt() = RefOf(key);
      put->set_key(name);
      put->set_value(value);
      uplink_->Offer(std::move(message));
    }
    for (const auto& [rank, name] : attempt.gets) {
      v1::WorkerMessage message;
      auto* const get = message.mutable_rendezvous_get();
      *get->mutable_attempt() = RefOf(key);
      get->set_rank(rank);
      get->set_key(name);
      uplink_->Offer(std::move(message));
    }
  }
}

void Supervisor::OnDisconnected(absl::Time now) { offline_since_ = std::min(offline_since_, now); }

void Supervisor::Shutdown(absl::Time now) {
  const bool again = shutting_down_;
  shutting_down_ = true;
  std::vector<AttemptKey> keys;
  for (const auto& [key, attempt] : attempts_) {
    keys.push_back(key);
  }
  for (const AttemptKey& key : keys) {
    Attempt& attempt = attempts_.at(key);
    if (again) {
      KillAttempt(&attempt, EndReason::kShutdown, "killed: the worker was told twice to go down", now);
      continue;
    }
    AskToStop(&attempt, EndReason::kShutdown);
    if (now + config_.grace < attempt.kill_at) {
      attempt.kill_at = now + config_.grace;
      attempt.kill_reason = EndReason::kShutdown;
      attempt.kill_detail = absl::StrCat("killed: the worker is going down and its grace of ",
                                         absl::FormatDuration(config_.grace), " (--grace) is over");
    }
    DropIfEmpty(key);
  }
}

std::vector<v1::AttemptRef> Supervisor::LiveAttempts() const {
  std::vector<v1::AttemptRef> live;
  for (const auto& [key, attempt] : attempts_) {
    live.push_back(RefOf(key));
  }
  return live;
}

}  // namespace cherry::worker
