// config.json of a dense checkpoint, so that Hugging Face transformers opens its directory as it is.
#ifndef CHERRY_WORKER_CHECKPOINT_HF_CONFIG_H_
#define CHERRY_WORKER_CHECKPOINT_HF_CONFIG_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model_plan.h"

namespace cherry::trainer {

// LlamaForCausalLM, or Qwen3ForCausalLM (the same with norms of query and key) for `qk_norm`. Deterministic.
// Thread-safe.
std::string HfConfig(const ModelShape& shape, int64_t sequence_length);

// The shape that a config.json describes. kDataLoss names the key that is missing or wrong. Thread-safe.
absl::StatusOr<ModelShape> ParseHfConfig(absl::string_view json);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_CHECKPOINT_HF_CONFIG_H_
