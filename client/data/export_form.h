// What an exported model is to transformers: one of its own classes where one computes the same, else
// modelling code that goes with it.
#ifndef CHERRY_CLIENT_DATA_EXPORT_FORM_H_
#define CHERRY_CLIENT_DATA_EXPORT_FORM_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model_plan.h"
#include "common/safetensors.h"

namespace cherry::client {

enum class ExportForm {
  kPlain,  // Llama, Qwen2 or Qwen3. Loops that are serveable become a layer for each visit, their gains part
           // of the two projections back to the residual stream.
  kMixtral,  // Experts that are FFNs, whose routers have no bias that balances them. Loops as above.
  kCode,     // modeling_cherry.py, with the weights as they are.
};

// The chain that predicts further tokens is part of none: its weights lie beside, under their own names.
inline constexpr char kMultiTokenFile[] = "multi_token.safetensors";
inline constexpr char kModelingFile[] = "modeling_cherry.py";
extern const char kModelingCode[];  // Its content.

// The first of them that says what a model of this shape with these weights says. kDataLoss names a tensor
// that is missing.
absl::StatusOr<ExportForm> FormOf(const ModelShape& shape, const SafetensorsFile& weights);

// config.json of that form. `config` is the checkpoint's.
absl::StatusOr<std::string> ExportConfig(const ModelShape& shape, ExportForm form, absl::string_view config);

// Writes the weights in that form into `directory`, which gets kModelFile and, where there is a chain,
// kMultiTokenFile: the names of those it wrote. Synced. kDataLoss names a tensor that is missing.
// Thread-safe.
absl::StatusOr<std::vector<std::string>> ExportWeights(const SafetensorsFile& weights,
                                                       const ModelShape& shape, ExportForm form,
                                                       const std::string& directory);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_EXPORT_FORM_H_
