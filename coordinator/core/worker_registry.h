// Workers: registration, leases, what their messages mean, and taking a host out of service.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_WORKER_REGISTRY_H_
#define CHERRY_COORDINATOR_CORE_WORKER_REGISTRY_H_

#include <string>

#include "absl/status/status.h"
#include "coordinator/core/decision.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// First message of a stream. A new incarnation ends the attempts of the old one at once; the same one is
// reattached and told again what its list of attempts lacks.
//   INVALID_ARGUMENT, FAILED_PRECONDITION (API major): the stream is to be closed with it.
absl::Status RegisterWorker(State* state, Decision* decision, int64_t connection, const v1::Register& hello);

// Any other message. One from a connection that is no longer the worker's has no effect.
void HandleWorkerMessage(State* state, Decision* decision, int64_t connection, const std::string& worker,
                         const v1::WorkerMessage& message);

// The stream has ended. The lease goes on.
void Disconnect(State* state, int64_t connection, const std::string& worker);

// Marks workers LOST whose lease has expired and ends their ranks.
void ExpireLeases(State* state, Decision* decision);
// When the next lease expires; InfiniteFuture when none can.
absl::Time NextLease(const State& state);

// CORDONED, DRAINING or READY. DRAINING asks its attempts to stop with a checkpoint.
absl::Status SetDesiredState(State* state, Decision* decision, WorkerEntry* worker,
                             v1::Worker::State desired);

// The worker as the API shows it.
v1::Worker WorkerView(const State& state, const WorkerEntry& worker);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_WORKER_REGISTRY_H_
