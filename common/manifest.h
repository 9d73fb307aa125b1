// manifest.json: what makes a checkpoint directory valid. Written last, renamed into place.
//
// A directory holds model.safetensors (Hugging Face names), optimizer.safetensors, config.json,
// tokenizer.json (with its companions) and manifest.json. Pure but for the files they name; thread-safe.
#ifndef CHERRY_COMMON_MANIFEST_H_
#define CHERRY_COMMON_MANIFEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cherry/v1/job.pb.h"

namespace cherry {

inline constexpr char kManifestFile[] = "manifest.json";
inline constexpr char kModelFile[] = "model.safetensors";
inline constexpr char kOptimizerFile[] = "optimizer.safetensors";
inline constexpr char kConfigFile[] = "config.json";
inline constexpr char kTokenizerFile[] = "tokenizer.json";
inline constexpr char kTokenizerConfigFile[] = "tokenizer_config.json";
inline constexpr char kChatTemplateFile[] = "chat_template.jinja";
// All that Hugging Face's AutoTokenizer reads. The first is always there, the others where the tokenizer came
// with them.
inline constexpr const char* kTokenizerFiles[] = {kTokenizerFile, kTokenizerConfigFile, kChatTemplateFile,
                                                  "special_tokens_map.json"};

struct ManifestEntry {
  std::string name;
  int64_t bytes = 0;
  std::string hash;  // xxh3-128, hex
};

struct Manifest {
  int format = 1;
  std::string job_uid;
  std::string job_name;  // namespaces/{ns}/jobs/{job}
  int64_t epoch = 0;
  int64_t step = 0;
  int64_t tokens = 0;             // Trained on so far.
  int64_t target_tokens = 0;      // Of them, those that count as targets.
  int64_t supervised_tokens = 0;  // Of these, those that the loss was taken on.
  int64_t sample_cursor = 0;      // Next global sample number.
  int world_size = 0;
  int threads_per_rank = 0;
  bool deterministic = false;
  std::string processor;  // "avx512" or "avx2", or the name of the GPU
  std::string code_version;
  std::optional<double> loss;
  std::optional<double> valid_loss;
  v1::JobSpec spec;    // Resolved; stored as protobuf JSON with field names.
  std::string parent;  // Checkpoint it started from, "" for random weights.
  std::vector<ManifestEntry> files;
};

std::string ManifestToJson(const Manifest& manifest);
// kDataLoss names what is missing or wrong. Unknown keys are ignored; another format is kUnimplemented.
absl::StatusOr<Manifest> ManifestFromJson(absl::string_view json);

// manifest.json of a directory, without checking the files.
absl::StatusOr<Manifest> ReadManifest(const std::string& directory);

// Reads every file back against its length and checksum. kDataLoss names the first bad file:
// "optimizer.safetensors: checksum 12.. is not the manifest's 34..". A missing manifest is kDataLoss too: the
// save never ended.
absl::StatusOr<Manifest> VerifyCheckpoint(const std::string& directory);

}  // namespace cherry

#endif  // CHERRY_COMMON_MANIFEST_H_
