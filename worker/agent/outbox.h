// What waits to go to the coordinator.
//
// Messages that must arrive get a sequence number and stay until an Ack covers them; after a reconnect they
// go first, in order. The others are dropped, oldest first, when more than a bound of them wait; of one
// attempt's progress only the newest waits, with the samples of those it replaces. Not thread-safe.
#ifndef CHERRY_WORKER_AGENT_OUTBOX_H_
#define CHERRY_WORKER_AGENT_OUTBOX_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "cherry/v1/worker.pb.h"

namespace cherry::worker {

class Outbox {
 public:
  struct Bounds {
    size_t offers = 4096;              // Messages that may be lost.
    int samples_per_progress = 16384;  // Metric samples in one waiting report; the oldest go.
  };
  Outbox() : Outbox(Bounds()) {}
  explicit Outbox(const Bounds& bounds) : bounds_(bounds) {}

  void Report(v1::WorkerMessage message);
  void Offer(v1::WorkerMessage message);

  // Removes every numbered message up to `sequence`.
  void Ack(int64_t sequence);

  // A new stream: all that is not acknowledged is to be sent again. Rendezvous messages of the old one go.
  void Restart();

  // The next message to write, in order; null when nothing waits. Valid until the next call of any method.
  const v1::WorkerMessage* Peek() const;
  // The one that Peek gave has been handed to the stream.
  void Pop();

  // Numbered messages without an Ack.
  size_t unacknowledged() const { return unacked_.size(); }
  int64_t dropped() const { return dropped_; }

 private:
  struct Entry {
    int64_t order;
    v1::WorkerMessage message;
  };
  bool MergeProgress(const v1::ProgressReport& report);

  const Bounds bounds_;
  int64_t next_order_ = 1;
  int64_t next_sequence_ = 1;
  size_t sent_ = 0;  // Of unacked_, on this stream.
  std::deque<Entry> unacked_;
  std::deque<Entry> offers_;
  int64_t dropped_ = 0;
};

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_OUTBOX_H_
