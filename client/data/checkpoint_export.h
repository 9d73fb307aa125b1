// Checkpoints as other programs open them. Thread-safe.
#ifndef CHERRY_CLIENT_DATA_CHECKPOINT_EXPORT_H_
#define CHERRY_CLIENT_DATA_CHECKPOINT_EXPORT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace cherry::client {

enum class ExportFormat {
  kHuggingFace,  // What transformers opens: a Llama (with norms of query and key: a Qwen3) and a fast
                 // tokenizer.
  kCherry,       // The checkpoint itself, with its manifest and optimizer.
};

struct ExportOptions {
  std::string checkpoint;  // Directory.
  std::string output;  // Made when it is not there; files of the same names are replaced with `force` only.
  ExportFormat format = ExportFormat::kHuggingFace;
  bool force = false;
};

struct ExportResult {
  std::vector<std::string> files;
  int64_t step = 0;
};

// Verifies the checkpoint first: kDataLoss names a damaged file, and nothing is written.
// MODEL_NOT_EXPRESSIBLE: the model has parts that the format cannot say.
absl::StatusOr<ExportResult> ExportCheckpoint(const ExportOptions& options);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_CHECKPOINT_EXPORT_H_
