// The half of the supervisor that listens to the ranks and to the clock.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "worker/agent/supervisor.h"

namespace cherry::worker {

void Supervisor::OnSpawned(const RankKey& key, int64_t pid, absl::Time now) {
  Attempt* attempt = nullptr;
  Rank* const rank = Find(key, &attempt);
  if (rank == nullptr) {
    return;
  }
  rank->pid = pid;
  rank->heard = now;
  v1::WorkerMessage message;
  auto* const started = message.mutable_rank_started();
  *started->mutable_attempt() = RefOf(key.attempt);
  started->set_rank(key.rank);
  started->set_pid(pid);
  uplink_->Report(std::move(message));
}

void Supervisor::OnMessage(const RankKey& key, const v1::FromTrainer& message, absl::Time now) {
  Attempt* attempt = nullptr;
  Rank* const rank = Find(key, &attempt);
  if (rank == nullptr) {
    return;
  }
  rank->heard = now;
  v1::WorkerMessage report;
  switch (message.body_case()) {
    case v1::FromTrainer::kReady:
      rank->phase = v1::PhaseReport::LOADING;
      break;
    case v1::FromTrainer::kStep:
      OnStep(attempt, rank, message.step(), now);
      break;
    case v1::FromTrainer::kPhase:
      rank->phase = message.phase().phase();
      break;
    case v1::FromTrainer::kCheckpoint:
      FlushProgress(attempt, now);
      *report.mutable_checkpoint() = message.checkpoint();
      *report.mutable_checkpoint()->mutable_attempt() = RefOf(key.attempt);
      uplink_->Report(std::move(report));
      break;
    case v1::FromTrainer::kRendezvousPut:
      OnPut(attempt, message.rendezvous_put());
      break;
    case v1::FromTrainer::kRendezvousGet:
      OnGet(attempt, key.rank, message.rendezvous_get());
      break;
    case v1::FromTrainer::kNote:
      *report.mutable_note() = message.note();
      *report.mutable_note()->mutable_attempt() = RefOf(key.attempt);
      uplink_->Report(std::move(report));
      break;
    case v1::FromTrainer::kFinished:
      rank->finished = message.finished();
      rank->last_step = std::max(rank->last_step, message.finished().last_step());
      break;
    case v1::FromTrainer::BODY_NOT_SET:
      break;  // From a newer trainer.
  }
}

void Supervisor::OnStep(Attempt* attempt, Rank* rank, const v1::StepReport& step, absl::Time now) {
  rank->phase = v1::PhaseReport::STEPPING;
  rank->last_step = step.step();
  rank->deadline.Learn(absl::Seconds(step.step_seconds()));
  const RankKey key = {KeyOf(attempt->start.attempt()), rank->placement.rank()};
  observer_->OnStep(key, attempt->start, step);
  if (!step.has_progress()) {
    return;
  }
  if (!attempt->progress.has_value()) {
    attempt->progress.emplace();
    *attempt->progress->mutable_attempt() = attempt->start.attempt();
  }
  *attempt->progress->mutable_progress() = step.progress();
  attempt->progress->mutable_samples()->MergeFrom(step.samples());
  attempt->progress->set_checkpoint_seconds(attempt->progress->checkpoint_seconds() +
                                            step.checkpoint_stall_seconds());
  if (now >= attempt->progress_sent + config_.progress_interval) {
    FlushProgress(attempt, now);
  }
}

void Supervisor::OnPut(Attempt* attempt, const v1::RendezvousPut& put) {
  attempt->puts[put.key()] = put.value();
  v1::WorkerMessage message;
  *message.mutable_rendezvous_put() = put;
  *message.mutable_rendezvous_put()->mutable_attempt() = attempt->start.attempt();
  uplink_->Offer(std::move(message));
}

void Supervisor::OnGet(Attempt* attempt, int rank, const v1::RendezvousGet& get) {
  attempt->gets.emplace(rank, get.key());
  v1::WorkerMessage message;
  *message.mutable_rendezvous_get() = get;
  *message.mutable_rendezvous_get()->mutable_attempt() = attempt->start.attempt();
  message.mutable_rendezvous_get()->set_rank(rank);
  uplink_->Offer(std::move(message));
}

void Supervisor::FlushProgress(Attempt* attempt, absl::Time now) {
  if (!attempt->progress.has_value()) {
    return;
  }
  v1::WorkerMessage message;
  *message.mutable_progress() = *std::move(attempt->progress);
  attempt->progress.reset();
  attempt->progress_sent = now;
  uplink_->Offer(std::move(message));
}

void Supervisor::OnProtocolError(const RankKey& key, absl::string_view what, absl::Time now) {
  Attempt* attempt = nullptr;
  if (Rank* const rank = Find(key, &attempt)) {
    FlushProgress(attempt, now);
    KillRank(key.attempt, rank, EndReason::kProtocol,
             absl::StrCat("killed: its message could not be read: ", what));
  }
}

void Supervisor::OnExited(const RankKey& key, const RankExit& exit, absl::Time now) {
  Attempt* attempt = nullptr;
  Rank* const rank = Find(key, &attempt);
  if (rank == nullptr) {
    return;
  }
  FlushProgress(attempt, now);
  RankEnd end;
  end.exit = exit;
  end.finished = rank->finished;
  end.asked = rank->asked;
  end.killed = rank->killed;
  end.detail = rank->kill_detail;
  ReportExit(key.attempt, key.rank, rank->last_step, ClassifyEnd(end), exit.log_bytes, rank->finished);
  observer_->OnSlot(rank->placement.slot(), "");
  attempt->ranks.erase(key.rank);
  DropIfEmpty(key.attempt);
  StartWaiting(now);
}

void Supervisor::ReportExit(const AttemptKey& key, int rank, int64_t last_step, v1::Failure failure,
                            int64_t log_bytes, const std::optional<v1::RankFinished>& finished) {
  v1::WorkerMessage message;
  auto* const exited = message.mutable_rank_exited();
  if (finished.has_value() && finished->has_evaluation()) {
    *exited->mutable_evaluation() = finished->evaluation();
  }
  *exited->mutable_attempt() = RefOf(key);
  exited->set_rank(rank);
  exited->set_cause(failure.cause());
  exited->set_last_step(last_step);
  exited->set_log_bytes(log_bytes);
  failure.set_rank(rank);
  failure.set_worker(config_.worker_name);
  *exited->mutable_failure() = std::move(failure);
  uplink_->Report(std::move(message));
}

void Supervisor::DropIfEmpty(const AttemptKey& key) {
  const Attempt* const attempt = Find(key);
  if (attempt != nullptr && attempt->ranks.empty()) {
    attempts_.erase(key);
    observer_->OnAttemptGone(key);
  }
}

absl::Time Supervisor::OwnDeadline(const Attempt& attempt, const Rank& rank) const {
  if (!rank.started || rank.killed != EndReason::kNone) {
    return absl::InfiniteFuture();
  }
  if (rank.finished.has_value()) {
    return rank.heard + config_.limits.exiting;
  }
  absl::Time heard = rank.heard;
  if (rank.phase == v1::PhaseReport::FINISHING) {
    // It may wait for its last checkpoint's commit, which only the coordinator can give.
    if (offline_since_ != absl::InfiniteFuture()) {
      return absl::InfiniteFuture();
    }
    heard = std::max(heard, connected_at_);
  }
  const auto& timeout = attempt.start.rendezvous_timeout();
  return heard + rank.deadline.Allowed(rank.phase, absl::Seconds(timeout.seconds()));
}

absl::Time Supervisor::HangDeadline(const Attempt& attempt, const Rank& rank) const {
  absl::Time deadline = OwnDeadline(attempt, rank);
  if (rank.phase != v1::PhaseReport::STEPPING) {
    return deadline;
  }
  for (const auto& [number, other] : attempt.ranks) {
    if (other.phase != v1::PhaseReport::STEPPING && other.killed == EndReason::kNone && other.started) {
      deadline = std::max(deadline, OwnDeadline(attempt, other));
    }
  }
  return deadline;
}

std::string Supervisor::HangDetail(const Rank& rank, absl::Time now) const {
  std::string phase = v1::PhaseReport::Phase_Name(rank.phase);
  if (rank.phase == v1::PhaseReport::PHASE_UNSPECIFIED) {
    phase = "STARTING";
  }
  return absl::StrCat("killed as hung: nothing heard for ",
                      absl::FormatDuration(absl::Trunc(now - rank.heard, absl::Seconds(1))), " in ", phase,
                      " after step ", rank.last_step, " (median step ",
                      absl::FormatDuration(absl::Trunc(rank.deadline.Median(), absl::Milliseconds(1))),
                      ", process state ", std::string(1, config_.process_state(rank.pid)), ")");
}

void Supervisor::KillHung(const AttemptKey& key, Attempt* attempt, absl::Time now) {
  std::vector<Rank*> hung;
  std::vector<Rank*> stopped;  // Not even able to run: the others only wait for them.
  for (auto& [number, rank] : attempt->ranks) {
    if (HangDeadline(*attempt, rank) <= now) {
      hung.push_back(&rank);
    }
  }
  if (hung.empty()) {
    return;
  }
  for (auto& [number, rank] : attempt->ranks) {
    const char state = rank.pid == 0 ? '?' : config_.process_state(rank.pid);
    if (rank.killed == EndReason::kNone && (state == 'T' || state == 't')) {
      stopped.push_back(&rank);
    }
  }
  const std::vector<Rank*>& culprits = stopped.empty() ? hung : stopped;
  for (Rank* const rank : culprits) {
    KillRank(key, rank, EndReason::kHang, HangDetail(*rank, now));
  }
  for (Rank* const rank : hung) {
    if (rank->killed == EndReason::kNone) {
      KillRank(
          key, rank, EndReason::kPeer,
          absl::StrCat("killed: it waited for rank ", culprits.front()->placement.rank(), ", which hung"));
    }
  }
}

absl::Time Supervisor::Tick(absl::Time now) {
  const bool offline_too_long =
      offline_since_ != absl::InfiniteFuture() && now >= offline_since_ + config_.offline_cap;
  std::vector<AttemptKey> keys;
  for (const auto& [key, attempt] : attempts_) {
    keys.push_back(key);
  }
  absl::Time next = attempts_.empty() || offline_since_ == absl::InfiniteFuture()
                        ? absl::InfiniteFuture()
                        : offline_since_ + config_.offline_cap;
  if (next <= now) {
    next = absl::InfiniteFuture();
  }
  for (const AttemptKey& key : keys) {
    Attempt* const attempt = &attempts_.at(key);
    if (offline_too_long) {
      KillAttempt(attempt, EndReason::kOffline,
                  absl::StrCat("killed: the coordinator was away for ",
                               absl::FormatDuration(config_.offline_cap), " (--offline-cap)"),
                  now);
      continue;
    }
    if (now >= attempt->kill_at) {
      attempt->kill_at = absl::InfiniteFuture();
      const std::string detail = attempt->kill_detail;
      KillAttempt(attempt, attempt->kill_reason, detail, now);
      continue;
    }
    KillHung(key, attempt, now);
    if (attempt->progress.has_value() && now >= attempt->progress_sent + config_.progress_interval) {
      FlushProgress(attempt, now);
    }
    next = std::min(next, attempt->kill_at);
    if (attempt->progress.has_value()) {
      next = std::min(next, attempt->progress_sent + config_.progress_interval);
    }
    for (const auto& [number, rank] : attempt->ranks) {
      next = std::min(next, HangDeadline(*attempt, rank));
    }
  }
  return next;
}

}  // namespace cherry::worker
