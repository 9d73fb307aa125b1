// Time as a dependency, so that tests step it by hand.
#ifndef CHERRY_COMMON_CLOCK_H_
#define CHERRY_COMMON_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace cherry {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // The wall time of the process's start plus a steady clock: never jumps.
  virtual absl::Time Now() = 0;
};

// Thread-safe.
class SteadyClock final : public Clock {
 public:
  SteadyClock() : wall_start_(absl::Now()), steady_start_(Steady()) {}
  absl::Time Now() override { return wall_start_ + (Steady() - steady_start_); }

 private:
  static absl::Duration Steady() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return absl::DurationFromTimespec(now);
  }
  const absl::Time wall_start_;
  const absl::Duration steady_start_;
};

}  // namespace cherry

#endif  // CHERRY_COMMON_CLOCK_H_
