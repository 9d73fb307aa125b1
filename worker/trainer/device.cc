#include "worker/trainer/device.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "worker/trainer/process.h"

namespace cherry::trainer {
namespace {

absl::Status Unavailable(absl::string_view what) {
  return Error(
      absl::StatusCode::kFailedPrecondition, "CUDA_UNAVAILABLE", "resources.device",
      absl::StrCat("resources.device: cuda is not available here: ", what),
      "install it with `deploy/setup.sh --cuda` on a host with an NVIDIA driver, or use device: cpu");
}

// Beside the program, then wherever the dynamic linker looks.
std::string LibraryPath() {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  const std::string program(path, length > 0 ? static_cast<size_t>(length) : 0);
  const std::string beside = absl::StrCat(program.substr(0, program.find_last_of('/') + 1), kCudaLibrary);
  return access(beside.c_str(), R_OK) == 0 ? beside : kCudaLibrary;
}

}  // namespace

absl::StatusOr<Device> OpenDevice(const v1::Slot& slot) {
  Device device;
  if (slot.device() != v1::Resources::CUDA) {
    device.processor = InstructionSet();
    return device;
  }
  if (!slot.gpu_uuid().empty() && setenv("CUDA_VISIBLE_DEVICES", slot.gpu_uuid().c_str(), 1) != 0) {
    return ErrnoError(errno, "setting CUDA_VISIBLE_DEVICES");
  }
  // Never closed: Torch keeps what it registers.
  void* library = dlopen(LibraryPath().c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    return Unavailable(dlerror());
  }
  const auto api = reinterpret_cast<CudaApiFunction>(dlsym(library, kCudaApiSymbol));
  if (api == nullptr) {
    return Unavailable(dlerror());
  }
  device.cuda = api();
  const absl::StatusOr<CudaDevice> gpu = device.cuda->set_up();
  if (!gpu.ok()) {
    return Unavailable(gpu.status().message());
  }
  device.processor = gpu->name;
  device.peak_flops = PeakFlops(gpu->name);
  device.torch = c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(gpu->index));
  return device;
}

double PeakFlops(absl::string_view gpu_name) {
  // From the data sheets; PCIe boards run at lower clocks than the names that come after them.
  static constexpr std::pair<absl::string_view, double> kPeaks[] = {
      {"H100 PCIe", 756e12}, {"H100 NVL", 835e12}, {"H100", 989e12}, {"H200", 989e12}, {"A100", 312e12}};
  for (const auto& [name, peak] : kPeaks) {
    if (absl::StrContains(gpu_name, name)) {
      return peak;
    }
  }
  return 0.0;
}

absl::StatusOr<std::unique_ptr<Collective>> MakeDeviceCollective(const Device& device, int rank,
                                                                 int world_size, Rendezvous* rendezvous,
                                                                 absl::Time deadline) {
  absl::StatusOr<std::unique_ptr<Collective>> collective =
      device.cuda->make_collective(rank, world_size, rendezvous, deadline);
  if (!collective.ok()) {
    return PeerLost(collective.status().message());
  }
  return collective;
}

}  // namespace cherry::trainer
