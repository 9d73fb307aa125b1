// config.json of a dense checkpoint, so that Hugging Face transformers opens its directory as it is.
#ifndef CHERRY_COMMON_HF_CONFIG_H_
#define CHERRY_COMMON_HF_CONFIG_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model_plan.h"

namespace cherry {

// The class of transformers that computes what the shape does: LlamaForCausalLM; Qwen2ForCausalLM with biases
// of queries, keys and values alone; Qwen3ForCausalLM with norms of query and key; Cherry's own where there
// is none. `dtype` is that of the stored weights. Deterministic. Thread-safe.
std::string HfConfig(const ModelShape& shape, int64_t sequence_length, absl::string_view dtype = "float32");

// The shape that a config.json describes. kDataLoss names the key that is missing or wrong. Thread-safe.
absl::StatusOr<ModelShape> ParseHfConfig(absl::string_view json);

}  // namespace cherry

#endif  // CHERRY_COMMON_HF_CONFIG_H_
