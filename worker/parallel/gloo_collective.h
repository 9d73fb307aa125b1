// Collectives over TCP by Gloo: ring all-reduce on host memory.
#ifndef CHERRY_WORKER_PARALLEL_GLOO_COLLECTIVE_H_
#define CHERRY_WORKER_PARALLEL_GLOO_COLLECTIVE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/parallel/collective.h"
#include "worker/parallel/rendezvous.h"

namespace cherry::trainer {

struct GlooOptions {
  int rank = 0;
  int world_size = 1;
  // Contexts of one attempt differ in it; each has connections of its own, so their traffic cannot mix.
  std::string context;
  std::string address;  // Local address to listen on.
  absl::Duration rendezvous_timeout = absl::Seconds(60);
  // Of one operation: longer than ranks may be apart. A peer whose connection breaks is noticed at once.
  absl::Duration timeout = absl::Minutes(10);
};

// Connects to every other rank through `rendezvous`, which is used only here. Errors: PEER_LOST when a rank
// does not come within the timeout, kInvalidArgument for an address that cannot be listened on.
absl::StatusOr<std::unique_ptr<Collective>> MakeGloo(const GlooOptions& options, Rendezvous* rendezvous);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_PARALLEL_GLOO_COLLECTIVE_H_
