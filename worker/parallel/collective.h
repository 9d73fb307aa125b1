// Operations that all ranks of an attempt take part in, each in the same order.
//
// One object is used by one thread at a time. After an error a collective is broken: every further call
// fails, and the attempt ends with PEER_LOST. Nothing waits for ever: a peer that went away ends a call at
// once, a silent one when the timeout is over.
#ifndef CHERRY_WORKER_PARALLEL_COLLECTIVE_H_
#define CHERRY_WORKER_PARALLEL_COLLECTIVE_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace cherry::trainer {

class Collective {
 public:
  virtual ~Collective() = default;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;

  // Replaces `values` by the element-wise sum over all ranks. The order of the additions depends only on the
  // length and the world size: every rank gets the same bits, and gets them again in another run. The memory
  // is that of the collective's device.
  virtual absl::Status AllReduceSum(absl::Span<float> values) = 0;
  // The same for numbers of the host.
  virtual absl::Status AllReduceSum(absl::Span<double> values) = 0;

  // Replaces `bytes`, of the same length on every rank, by those of `root`. Host memory.
  virtual absl::Status Broadcast(absl::Span<char> bytes, int root) = 0;

  // Returns once every rank has called it.
  virtual absl::Status Barrier() = 0;

  // Begins AllReduceSum(values) beside the caller; `values` belongs to the collective until Wait. No other
  // call may come between the first Start and Wait.
  virtual void Start(absl::Span<float> values) = 0;
  // Returns once all that were started are done.
  virtual absl::Status Wait() = 0;
};

// The collective of an attempt with one rank: nothing to do.
std::unique_ptr<Collective> MakeSingleRank();

// kUnavailable with reason PEER_LOST: another rank, or the network to it, went away.
absl::Status PeerLost(absl::string_view what);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_PARALLEL_COLLECTIVE_H_
