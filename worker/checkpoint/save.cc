#include "worker/checkpoint/save.h"

#include <sys/statvfs.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/fault_points.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/safetensors.h"
#include "common/status.h"

namespace cherry::trainer {
namespace {

TensorBytes Entry(const std::string& name, const TensorPlace& place, const std::vector<float>& buffer) {
  TensorBytes tensor;
  tensor.name = name;
  tensor.dtype = "F32";
  tensor.shape = place.shape;
  tensor.data = buffer.data() + place.offset;
  tensor.bytes = place.elements * static_cast<int64_t>(sizeof(float));
  return tensor;
}

absl::Status AddTensors(const std::string& directory, const char* name,
                        const std::vector<TensorBytes>& tensors, std::vector<ManifestEntry>* files) {
  ASSIGN_OR_RETURN(WrittenFile file,
                   WriteSafetensors(absl::StrCat(directory, "/", name), tensors, {{"format", "pt"}}));
  files->push_back({name, file.bytes, std::move(file.hash)});
  return absl::OkStatus();
}

absl::Status AddText(const std::string& directory, const char* name, const std::string& text,
                     std::vector<ManifestEntry>* files) {
  RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(directory, "/", name), text));
  files->push_back({name, static_cast<int64_t>(text.size()), HashBytes(text)});
  return absl::OkStatus();
}

absl::StatusOr<SavedCheckpoint> WriteFiles(const SaveRequest& request, const HostState& state,
                                           const std::string& directory) {
  std::vector<TensorBytes> model;
  std::vector<TensorBytes> optimizer;
  for (const TensorPlace& place : state.places) {
    model.push_back(Entry(place.name, place, state.values));
    optimizer.push_back(Entry(absl::StrCat("exp_avg.", place.name), place, state.exp_avg));
    optimizer.push_back(Entry(absl::StrCat("exp_avg_sq.", place.name), place, state.exp_avg_sq));
  }
  Manifest manifest = request.manifest;
  manifest.files.clear();
  FaultPoint("checkpoint.before_model");
  RETURN_IF_ERROR(AddTensors(directory, kModelFile, model, &manifest.files));
  FaultPoint("checkpoint.before_optimizer");
  RETURN_IF_ERROR(AddTensors(directory, kOptimizerFile, optimizer, &manifest.files));
  RETURN_IF_ERROR(AddText(directory, kConfigFile, request.config, &manifest.files));
  for (const char* name : kTokenizerFiles) {
    const std::string path = absl::StrCat(request.tokenizer, "/", name);
    if (!request.tokenizer.empty() && Exists(path)) {
      ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
      RETURN_IF_ERROR(AddText(directory, name, text, &manifest.files));
    }
  }
  RETURN_IF_ERROR(SyncDirectory(directory));
  FaultPoint("checkpoint.before_manifest");
  const std::string json = ManifestToJson(manifest);
  RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(directory, "/", kManifestFile), json));
  FaultPoint("checkpoint.after_manifest");
  SavedCheckpoint saved;
  saved.bytes = static_cast<int64_t>(json.size());
  for (const ManifestEntry& file : manifest.files) {
    saved.bytes += file.bytes;
  }
  saved.manifest_hash = HashBytes(json);
  return saved;
}

// What a person needs to know when a save fails.
absl::Status Explain(const absl::Status& status, const std::string& root, int64_t needed) {
  struct statvfs info;
  const int64_t available =
      statvfs(root.c_str(), &info) == 0 ? static_cast<int64_t>(info.f_bavail * info.f_frsize) : -1;
  if (absl::IsResourceExhausted(status) || absl::IsOutOfRange(status)) {
    return Error(absl::StatusCode::kResourceExhausted, "DISK_FULL", "checkpoint",
                 absl::StrCat("the checkpoint could not be saved: ", status.message(), "; it needs ", needed,
                              " bytes, ", available, " are free in ", root),
                 "free space there, for example with `cherry checkpoint prune`, or keep fewer with "
                 "checkpoint.keep_last");
  }
  return Error(status.code(), "CHECKPOINT_UNWRITABLE", "checkpoint",
               absl::StrCat("the checkpoint could not be saved: ", status.message()),
               absl::StrCat("check the disk and the permissions of ", root));
}

}  // namespace

std::string StepDirectory(const std::string& epoch_directory, int64_t step) {
  return absl::StrFormat("%s/step-%08d", epoch_directory, step);
}

absl::StatusOr<SavedCheckpoint> WriteCheckpoint(const SaveRequest& request, const HostState& state) {
  const std::string directory = absl::StrCat(request.root, "/", request.directory);
  absl::Status made = MakeDirectories(directory);
  absl::StatusOr<SavedCheckpoint> saved =
      made.ok() ? WriteFiles(request, state, directory) : absl::StatusOr<SavedCheckpoint>(made);
  if (!saved.ok()) {
    const int64_t needed = static_cast<int64_t>(3 * sizeof(float) * state.values.size());
    const absl::Status error = Explain(saved.status(), request.root, needed);
    // Gives the room back; the error that matters is the one above.
    Drop(RemoveTree(directory));
    return error;
  }
  return saved;
}

}  // namespace cherry::trainer
