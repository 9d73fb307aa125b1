#include "coordinator/api/model_check.h"

#include <sys/stat.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/manifest.h"
#include "common/status.h"

namespace cherry::coordinator {
namespace {

absl::Status Damaged(const v1::Model& model, absl::string_view what) {
  return Error(absl::StatusCode::kDataLoss, "MODEL_DAMAGED", "model.path",
               absl::StrCat("model.path: ", model.path(), ": ", what), "import the model again");
}

}  // namespace

absl::Status ReadModelFiles(const std::string& checkpoint_root, v1::Model* model) {
  const absl::StatusOr<std::string> directory = ResolveBeneath(checkpoint_root, model->path(), "model.path");
  if (!directory.ok() && InfoOf(directory.status()).reason().empty()) {
    return InvalidField(
        "MODEL_NOT_THERE", "model.path",
        absl::StrCat("model.path: '", model->path().substr(0, 200), "' is not beneath the checkpoint root"),
        "import it where the coordinator's checkpoint root is mounted");
  }
  RETURN_IF_ERROR(directory.status());
  const absl::StatusOr<std::string> json = ReadFile(absl::StrCat(*directory, "/", kManifestFile));
  if (!json.ok()) {
    return Damaged(*model, json.status().message());
  }
  const absl::StatusOr<Manifest> manifest = ManifestFromJson(*json);
  if (!manifest.ok()) {
    return Damaged(*model, manifest.status().message());
  }
  int64_t bytes = static_cast<int64_t>(json->size());
  for (const ManifestEntry& file : manifest->files) {
    struct stat info;
    const std::string path = absl::StrCat(*directory, "/", file.name);
    if (absl::StrContains(file.name, "/") || lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) ||
        info.st_size != file.bytes) {
      return Damaged(*model, absl::StrCat(file.name, " is not a file of ", file.bytes, " bytes"));
    }
    bytes += file.bytes;
    if (file.name == kTokenizerFile) {
      model->set_tokenizer_hash(file.hash);
    }
  }
  model->set_uid(manifest->job_uid);
  *model->mutable_config() = manifest->spec.model();
  model->set_bytes(bytes);
  model->set_manifest_hash(HashBytes(*json));
  return absl::OkStatus();
}

}  // namespace cherry::coordinator
