// What a trainer may know of the worker's environment.
//
// Pure; thread-safe.
#ifndef CHERRY_WORKER_AGENT_ENVIRONMENT_H_
#define CHERRY_WORKER_AGENT_ENVIRONMENT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cherry/v1/trainer.pb.h"

namespace cherry::worker {

// Marks every process of a rank, so that none is overlooked.
inline constexpr char kRankVariable[] = "CHERRY_RANK";

// The environment of a rank: of `inherited` ("NAME=value") only what is on a short list (paths, locale,
// CUDA's and the sanitizers' settings, CHERRY_FAULTS), never a secret; then the thread counts and the GPU
// of its slot, and kRankVariable=`mark`.
std::vector<std::string> RankEnvironment(const std::vector<std::string>& inherited,
                                         const v1::StartRank& start, absl::string_view mark);

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_ENVIRONMENT_H_
