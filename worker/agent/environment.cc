#include "worker/agent/environment.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace cherry::worker {
namespace {

constexpr const char* kAllowed[] = {
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CHERRY_DEPS",
    "CHERRY_FAULTS",
    "ASAN_OPTIONS",
    "UBSAN_OPTIONS",
    "TSAN_OPTIONS",
    "CUDA_HOME",
    "CUDA_PATH",
    "NCCL_DEBUG",
    "NCCL_SOCKET_IFNAME",
    "NCCL_IB_HCA",
};

bool Allowed(absl::string_view entry) {
  return std::any_of(std::begin(kAllowed), std::end(kAllowed),
                     [entry](const char* name) { return absl::StartsWith(entry, absl::StrCat(name, "=")); });
}

}  // namespace

std::vector<std::string> RankEnvironment(const std::vector<std::string>& inherited,
                                         const v1::StartRank& start, absl::string_view mark) {
  std::vector<std::string> environment;
  for (const std::string& entry : inherited) {
    if (Allowed(entry)) {
      environment.push_back(entry);
    }
  }
  for (const char* const name : {"OMP_NUM_THREADS", "MKL_NUM_THREADS"}) {
    environment.push_back(absl::StrCat(name, "=", start.threads()));
  }
  if (!start.slot().gpu_uuid().empty()) {
    environment.push_back(absl::StrCat("CUDA_VISIBLE_DEVICES=", start.slot().gpu_uuid()));
  }
  environment.push_back(absl::StrCat(kRankVariable, "=", mark));
  return environment;
}

}  // namespace cherry::worker
