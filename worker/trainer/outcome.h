// How a rank ends: the one place where exceptions become statuses, and statuses become exit codes and causes.
#ifndef CHERRY_WORKER_TRAINER_OUTCOME_H_
#define CHERRY_WORKER_TRAINER_OUTCOME_H_

#include <functional>

#include "absl/status/status.h"
#include "cherry/v1/trainer.pb.h"
#include "common/exit_codes.h"

namespace cherry::trainer {

// Runs `body`; what it throws becomes an error: no memory OUT_OF_MEMORY, a device's error DEVICE_FAILED,
// anything else TRAINER_FAILED. Thread-safe.
absl::Status Guard(const std::function<absl::Status()>& body);

// Thread-safe.
ExitCode ExitCodeOf(const absl::Status& status);
v1::Cause CauseOf(const absl::Status& status);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_OUTCOME_H_
