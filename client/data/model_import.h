// Takes a Hugging Face directory in: a checkpoint directory as Cherry's own, that any job may start from.
//
// Not thread-safe for one name.
#ifndef CHERRY_CLIENT_DATA_MODEL_IMPORT_H_
#define CHERRY_CLIENT_DATA_MODEL_IMPORT_H_

#include <string>

#include "absl/status/statusor.h"
#include "cherry/v1/resources.pb.h"

namespace cherry::client {

struct ImportOptions {
  std::string source;  // Directory with config.json, *.safetensors and tokenizer.json.
  std::string name;
  std::string ns = "default";
  std::string checkpoint_root;  // Must exist.
};

// Writes `checkpoint_root`/NAMESPACE/models/NAME-xxxxxxxx: every weight with the bytes it had, in one file
// under the names that transformers has for them, config.json, the tokenizer with its companions, and last
// the manifest. The result is what RegisterModel takes. Nothing appears before all of it is on disk.
//
// MODEL_UNSUPPORTED, MODEL_INCOMPLETE (a tensor that is missing, too many, or of another shape or type), and
// what ReadTokenizerFacts refuses: each names the file.
absl::StatusOr<v1::Model> ImportModel(const ImportOptions& options);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_MODEL_IMPORT_H_
