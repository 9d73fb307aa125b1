// The config.json of a Hugging Face model as a shape of ours. Pure, thread-safe.
#ifndef CHERRY_CLIENT_DATA_FOREIGN_CONFIG_H_
#define CHERRY_CLIENT_DATA_FOREIGN_CONFIG_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model_plan.h"

namespace cherry::client {

// Llama, Qwen2 and Qwen3, whatever version of transformers wrote it; keys that it left out have the defaults
// of their class. Without the tokens that begin and end a text, but with those that the configuration names.
// MODEL_UNSUPPORTED names the key, its value and what is possible instead; `path` is for the message.
absl::StatusOr<ModelShape> ParseForeignConfig(absl::string_view json, const std::string& path);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_FOREIGN_CONFIG_H_
