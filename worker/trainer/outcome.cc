#include "worker/trainer/outcome.h"

#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace cherry::trainer {
namespace {

absl::Status OutOfMemory(absl::string_view what) {
  return Error(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY", "train.micro_batch_size",
               absl::StrCat("out of memory: ", what),
               "use a smaller train.micro_batch_size, or train.activation_checkpoint: full");
}

// Torch's first line says what is wrong; the rest is a stack trace.
std::string FirstLine(absl::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

absl::Status FromTorch(const c10::Error& error) {
  const std::string what = FirstLine(error.what_without_backtrace());
  // The CPU's allocator has no exception type of its own.
  if (absl::StrContains(what, "DefaultCPUAllocator") || absl::StrContains(what, "out of memory") ||
      absl::StrContains(what, "ALLOC_FAILED")) {
    return OutOfMemory(what);
  }
  if (absl::StrContains(what, "CUDA error") || absl::StrContains(what, "CUBLAS") ||
      absl::StrContains(what, "cuDNN error")) {
    return Error(absl::StatusCode::kInternal, "DEVICE_FAILED", "", what, "check the device and its driver");
  }
  return Error(absl::StatusCode::kInternal, "TRAINER_FAILED", "", what, "see the log of this rank");
}

}  // namespace

absl::Status Guard(const std::function<absl::Status()>& body) {
  try {
    return body();
  } catch (const c10::OutOfMemoryError& error) {
    return OutOfMemory(FirstLine(error.what_without_backtrace()));
  } catch (const c10::Error& error) {
    return FromTorch(error);
  } catch (const std::bad_alloc& error) {
    return OutOfMemory(error.what());
  } catch (const std::exception& error) {
    return Error(absl::StatusCode::kInternal, "TRAINER_FAILED", "", error.what(), "see the log of this rank");
  }
}

ExitCode ExitCodeOf(const absl::Status& status) {
  if (status.ok()) {
    return kExitDone;
  }
  const std::string reason = InfoOf(status).reason();
  if (reason == "STOPPED") {
    return kExitResume;
  }
  if (reason == "OUT_OF_MEMORY") {
    return kExitOutOfMemory;
  }
  if (reason == "DEVICE_FAILED") {
    return kExitHardware;
  }
  if (reason == "PEER_LOST") {
    return kExitPeerLost;
  }
  if (reason == "DISK_FULL" || reason == "CHECKPOINT_UNWRITABLE" || reason == "CHECKPOINT_UNREADABLE") {
    return kExitIo;
  }
  return kExitUser;
}

v1::Cause CauseOf(const absl::Status& status) {
  switch (ExitCodeOf(status)) {
    case kExitDone:
      return v1::CAUSE_SUCCEEDED;
    case kExitResume:
      return v1::CAUSE_STOPPED;
    case kExitOutOfMemory:
      return v1::CAUSE_OUT_OF_MEMORY;
    case kExitHardware:
      return v1::CAUSE_HARDWARE;
    case kExitPeerLost:
      return v1::CAUSE_PLATFORM;
    case kExitUser:
    case kExitIo:
      return v1::CAUSE_USER;
  }
  return v1::CAUSE_USER;
}

}  // namespace cherry::trainer
