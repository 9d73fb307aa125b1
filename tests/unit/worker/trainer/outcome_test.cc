#include "worker/trainer/outcome.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "common/status.h"
#include "worker/parallel/collective.h"
#include "worker/trainer/device.h"

namespace cherry::trainer {
namespace {

TEST(OutcomeTest, ExceptionsBecomeCauses) {
  const absl::Status memory = Guard([]() -> absl::Status { throw std::bad_alloc(); });
  EXPECT_EQ(ExitCodeOf(memory), kExitOutOfMemory);
  EXPECT_EQ(CauseOf(memory), v1::CAUSE_OUT_OF_MEMORY);
  const absl::Status torch_memory = Guard([]() -> absl::Status {
    TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.");
    return absl::OkStatus();
  });
  EXPECT_EQ(ExitCodeOf(torch_memory), kExitOutOfMemory);
  const absl::Status cublas = Guard([]() -> absl::Status {
    TORCH_CHECK(false, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`");
    return absl::OkStatus();
  });
  EXPECT_EQ(ExitCodeOf(cublas), kExitOutOfMemory);
  const absl::Status device = Guard([]() -> absl::Status {
    TORCH_CHECK(false, "CUDA error: an illegal memory access was encountered");
    return absl::OkStatus();
  });
  EXPECT_EQ(ExitCodeOf(device), kExitHardware);
  EXPECT_EQ(CauseOf(device), v1::CAUSE_HARDWARE);
  const absl::Status other = Guard([]() -> absl::Status { throw std::runtime_error("odd"); });
  EXPECT_EQ(ExitCodeOf(other), kExitUser);
  EXPECT_EQ(other.message(), "odd");
}

TEST(OutcomeTest, StatusesBecomeExitCodes) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), kExitDone);
  EXPECT_EQ(CauseOf(absl::OkStatus()), v1::CAUSE_SUCCEEDED);
  EXPECT_EQ(ExitCodeOf(PeerLost("gone")), kExitPeerLost);
  EXPECT_EQ(CauseOf(PeerLost("gone")), v1::CAUSE_PLATFORM);
  const absl::Status full = Error(absl::StatusCode::kResourceExhausted, "DISK_FULL", "", "full", "free some");
  EXPECT_EQ(ExitCodeOf(full), kExitIo);
  EXPECT_EQ(CauseOf(full), v1::CAUSE_USER);
  const absl::Status stopped = Error(absl::StatusCode::kCancelled, "STOPPED", "", "stopped", "");
  EXPECT_EQ(ExitCodeOf(stopped), kExitResume);
  EXPECT_EQ(CauseOf(stopped), v1::CAUSE_STOPPED);
}

TEST(DeviceTest, KnowsThePeakOfCommonGpusAndGuessesNone) {
  EXPECT_EQ(PeakFlops("NVIDIA H100 80GB HBM3"), 989e12);
  EXPECT_EQ(PeakFlops("NVIDIA H100 PCIe"), 756e12);
  EXPECT_EQ(PeakFlops("NVIDIA A100-SXM4-80GB"), 312e12);
  EXPECT_EQ(PeakFlops("NVIDIA GeForce GTX 1080"), 0.0);
}

}  // namespace
}  // namespace cherry::trainer
