// How long a rank may be silent before it counts as hung, learnt from its own steps.
//
// While stepping: ten times the median of the last steps, at least 30 s; the first step, which compiles,
// allocates and warms caches, has ten minutes. Every other phase has a declared limit of its own, so that a
// long save is not taken for a hang. Pure; not thread-safe.
#ifndef CHERRY_WORKER_AGENT_STEP_DEADLINE_H_
#define CHERRY_WORKER_AGENT_STEP_DEADLINE_H_

#include <array>
#include <cstddef>

#include "absl/time/time.h"
#include "cherry/v1/trainer.pb.h"

namespace cherry::worker {

struct DeadlineLimits {
  absl::Duration starting = absl::Minutes(5);          // From the process's start to RankReady.
  absl::Duration loading = absl::Minutes(30);          // Datasets are hashed, checkpoints verified.
  absl::Duration rendezvous_slack = absl::Minutes(2);  // Beyond the rendezvous's own timeout.
  absl::Duration first_step = absl::Minutes(10);
  absl::Duration least_step = absl::Seconds(30);
  double median_factor = 10;
  absl::Duration validating = absl::Minutes(30);
  absl::Duration checkpointing = absl::Minutes(60);
  absl::Duration finishing = absl::Minutes(60);
  absl::Duration exiting = absl::Minutes(1);  // From RankFinished to the process's end.
};

class StepDeadline {
 public:
  explicit StepDeadline(const DeadlineLimits& limits) : limits_(limits) {}

  // A step took this long.
  void Learn(absl::Duration step);

  // Silence allowed in `phase`; PHASE_UNSPECIFIED means that RankReady has not come yet.
  // `rendezvous_timeout` is the attempt's.
  absl::Duration Allowed(v1::PhaseReport::Phase phase, absl::Duration rendezvous_timeout) const;

  // Zero before the first step.
  absl::Duration Median() const;

 private:
  static constexpr size_t kWindow = 64;
  DeadlineLimits limits_;
  std::array<double, kWindow> seconds_ = {};  // The last steps, a ring.
  size_t learnt_ = 0;
};

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_STEP_DEADLINE_H_
