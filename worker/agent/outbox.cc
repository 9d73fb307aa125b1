#include "worker/agent/outbox.h"

#include <algorithm>
#include <utility>

#include "worker/agent/rank.h"

namespace cherry::worker {

void Outbox::Report(v1::WorkerMessage message) {
  message.set_sequence(next_sequence_++);
  unacked_.push_back({next_order_++, std::move(message)});
}

bool Outbox::MergeProgress(const v1::ProgressReport& report) {
  for (Entry& entry : offers_) {
    if (!entry.message.has_progress() ||
        !(KeyOf(entry.message.progress().attempt()) == KeyOf(report.attempt()))) {
      continue;
    }
    v1::ProgressReport* const waiting = entry.message.mutable_progress();
    *waiting->mutable_progress() = report.progress();
    waiting->set_checkpoint_seconds(waiting->checkpoint_seconds() + report.checkpoint_seconds());
    waiting->mutable_samples()->MergeFrom(report.samples());
    const int surplus = waiting->samples_size() - bounds_.samples_per_progress;
    if (surplus > 0) {
      waiting->mutable_samples()->DeleteSubrange(0, surplus);
    }
    return true;
  }
  return false;
}

void Outbox::Offer(v1::WorkerMessage message) {
  message.set_sequence(0);
  if (message.has_progress() && MergeProgress(message.progress())) {
    return;
  }
  offers_.push_back({next_order_++, std::move(message)});
  if (offers_.size() > bounds_.offers) {
    offers_.pop_front();
    ++dropped_;
  }
}

void Outbox::Ack(int64_t sequence) {
  while (!unacked_.empty() && unacked_.front().message.sequence() <= sequence) {
    unacked_.pop_front();
    sent_ -= std::min<size_t>(sent_, 1);
  }
}

void Outbox::Restart() {
  sent_ = 0;
  offers_.erase(std::remove_if(offers_.begin(), offers_.end(),
                               [](const Entry& entry) { return !entry.message.has_progress(); }),
                offers_.end());
}

const v1::WorkerMessage* Outbox::Peek() const {
  const Entry* const numbered = sent_ < unacked_.size() ? &unacked_[sent_] : nullptr;
  const Entry* const offered = offers_.empty() ? nullptr : &offers_.front();
  if (numbered == nullptr || offered == nullptr) {
    const Entry* const only = numbered != nullptr ? numbered : offered;
    return only == nullptr ? nullptr : &only->message;
  }
  return numbered->order < offered->order ? &numbered->message : &offered->message;
}

void Outbox::Pop() {
  if (Peek() == nullptr) {
    return;
  }
  if (Peek()->sequence() != 0) {
    ++sent_;
  } else {
    offers_.pop_front();
  }
}

}  // namespace cherry::worker
