#include "worker/agent/nvml.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/log.h"

namespace cherry::worker {
namespace {

// The few functions and types that are used, as NVML's stable C interface has them.
using Device = struct NvmlDevice*;
struct Memory {
  unsigned long long total, free, used;
};
constexpr unsigned kUuidBytes = 96;
constexpr unsigned kNameBytes = 96;

struct Nvml {
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*count)(unsigned*) = nullptr;
  int (*handle)(unsigned, Device*) = nullptr;
  int (*uuid)(Device, char*, unsigned) = nullptr;
  int (*name)(Device, char*, unsigned) = nullptr;
  int (*memory)(Device, Memory*) = nullptr;
};

template <typename F>
bool Load(void* library, const char* symbol, F* function) {
  *function = reinterpret_cast<F>(dlsym(library, symbol));
  return *function != nullptr;
}

bool LoadAll(void* library, Nvml* nvml) {
  return Load(library, "nvmlInit_v2", &nvml->init) && Load(library, "nvmlShutdown", &nvml->shutdown) &&
         Load(library, "nvmlDeviceGetCount_v2", &nvml->count) &&
         Load(library, "nvmlDeviceGetHandleByIndex_v2", &nvml->handle) &&
         Load(library, "nvmlDeviceGetUUID", &nvml->uuid) && Load(library, "nvmlDeviceGetName", &nvml->name) &&
         Load(library, "nvmlDeviceGetMemoryInfo", &nvml->memory);
}

std::vector<Gpu> List(const Nvml& nvml) {
  std::vector<Gpu> gpus;
  unsigned count = 0;
  if (nvml.count(&count) != 0) {
    return gpus;
  }
  for (unsigned i = 0; i < count; ++i) {
    Device device = nullptr;
    char uuid[kUuidBytes] = {};
    char name[kNameBytes] = {};
    Memory memory = {};
    if (nvml.handle(i, &device) != 0 || nvml.uuid(device, uuid, kUuidBytes) != 0 ||
        nvml.name(device, name, kNameBytes) != 0 || nvml.memory(device, &memory) != 0) {
      LogWarning(absl::StrCat("GPU ", i, " does not answer; it gets no slot"));
      continue;
    }
    gpus.push_back({uuid, name, static_cast<int64_t>(memory.total)});
  }
  return gpus;
}

}  // namespace

std::vector<Gpu> VisibleGpus(const std::vector<Gpu>& all, absl::string_view visible) {
  std::vector<Gpu> gpus;
  for (const absl::string_view name : absl::StrSplit(visible, ',')) {
    const auto named = [&](const Gpu& gpu) {
      size_t index = 0;
      return absl::SimpleAtoi(name, &index) ? index == static_cast<size_t>(&gpu - all.data())
                                            : !name.empty() && absl::StartsWith(gpu.uuid, name);
    };
    const auto found = std::find_if(all.begin(), all.end(), named);
    if (found == all.end()) {
      break;  // As CUDA reads it: the first name that means nothing ends the list.
    }
    gpus.push_back(*found);
  }
  return gpus;
}

std::vector<Gpu> FindGpus() {
  void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return {};
  }
  Nvml nvml;
  std::vector<Gpu> gpus;
  if (LoadAll(library, &nvml) && nvml.init() == 0) {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    gpus = visible == nullptr ? List(nvml) : VisibleGpus(List(nvml), visible);
    nvml.shutdown();
  }
  dlclose(library);
  return gpus;
}

}  // namespace cherry::worker
