#include "worker/agent/step_deadline.h"

#include <algorithm>

namespace cherry::worker {

void StepDeadline::Learn(absl::Duration step) {
  seconds_[learnt_ % kWindow] = absl::ToDoubleSeconds(step);
  ++learnt_;
}

absl::Duration StepDeadline::Median() const {
  const size_t count = std::min(learnt_, kWindow);
  if (count == 0) {
    return absl::ZeroDuration();
  }
  std::array<double, kWindow> sorted = seconds_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(count / 2);
  std::nth_element(sorted.begin(), middle, sorted.begin() + static_cast<std::ptrdiff_t>(count));
  return absl::Seconds(*middle);
}

absl::Duration StepDeadline::Allowed(v1::PhaseReport::Phase phase, absl::Duration rendezvous_timeout) const {
  switch (phase) {
    case v1::PhaseReport::LOADING:
      return limits_.loading;
    case v1::PhaseReport::RENDEZVOUS:
      return rendezvous_timeout + limits_.rendezvous_slack;
    case v1::PhaseReport::STEPPING:
      return learnt_ == 0 ? limits_.first_step
                          : std::max(limits_.least_step, limits_.median_factor * Median());
    case v1::PhaseReport::VALIDATING:
      return limits_.validating;
    case v1::PhaseReport::CHECKPOINTING:
      return limits_.checkpointing;
    case v1::PhaseReport::FINISHING:
      return limits_.finishing;
    default:
      return limits_.starting;
  }
}

}  // namespace cherry::worker
