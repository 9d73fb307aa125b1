#include "client/data/checkpoint_ref.h"

#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/file.h"
#include "common/ids.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr char kForms[] =
    "give JOB, JOB:best, JOB:latest, JOB:STEP, model:NAME, or a directory as /path or ./path";

absl::Status BadRef(absl::string_view text, absl::string_view what) {
  return InvalidField("CHECKPOINT_REF_INVALID", "REF", absl::StrCat("REF: '", text, "' ", what), kForms);
}

}  // namespace

absl::StatusOr<CheckpointRef> ParseCheckpointRef(absl::string_view text) {
  CheckpointRef ref;
  if (absl::StartsWith(text, "/") || absl::StartsWith(text, ".")) {
    ref.directory = std::string(text);
    return ref;
  }
  std::vector<std::string> parts = absl::StrSplit(text, ':');
  if (parts.size() > 2) {
    return BadRef(text, "has more than one ':'");
  }
  // A checkpoint is no name but for these two, so that a job called "model" keeps its own.
  if (parts.size() == 2 && parts[0] == "model" && parts[1] != "best" && parts[1] != "latest" &&
      !absl::ascii_isdigit(static_cast<unsigned char>(parts[1][0]))) {
    ref.model = true;
    parts.erase(parts.begin());
  }
  const std::vector<std::string> names = absl::StrSplit(parts[0], '/');
  if (names.size() > 2) {
    return BadRef(text, ref.model ? "is not a model" : "is not a job");
  }
  for (const std::string& name : names) {
    if (!ValidateName(name, "REF").ok()) {
      return BadRef(text, ref.model ? "is not a model" : "is not a job");
    }
  }
  ref.job = parts[0];
  ref.checkpoint = parts.size() == 2 ? parts[1] : "best";
  int64_t step = 0;
  if (ref.checkpoint != "best" && ref.checkpoint != "latest" &&
      !(absl::SimpleAtoi(ref.checkpoint, &step) && step >= 0 && absl::StrCat(step) == ref.checkpoint)) {
    return BadRef(text, absl::StrCat("names no checkpoint: '", ref.checkpoint, "'"));
  }
  return ref;
}

absl::StatusOr<ResolvedCheckpoint> ResolveCheckpoint(
    const CheckpointRef& ref, const std::string& checkpoint_root,
    const std::function<absl::StatusOr<Client*>()>& connect,
    const std::function<absl::StatusOr<std::string>(absl::string_view)>& job_resource) {
  ResolvedCheckpoint resolved;
  if (!ref.directory.empty()) {
    if (!Exists(ref.directory)) {
      return Error(absl::StatusCode::kNotFound, "CHECKPOINT_NOT_FOUND", "REF",
                   absl::StrCat(ref.directory, ": no such directory"), kForms);
    }
    resolved.directory = ref.directory;
    return resolved;
  }
  ASSIGN_OR_RETURN(resolved.job, job_resource(ref.job));
  if (ref.model) {
    ASSIGN_OR_RETURN(const JobName name, ParseJobName(resolved.job));
    resolved.job = ModelResource(name.ns, name.job);
  }
  ASSIGN_OR_RETURN(Client * client, connect());
  v1::GetCheckpointRequest request;
  request.set_job(resolved.job);
  request.set_checkpoint(ref.checkpoint);
  ASSIGN_OR_RETURN(resolved.record, client->GetCheckpoint(request));
  if (!Exists(checkpoint_root)) {
    return Error(absl::StatusCode::kNotFound, "ROOT_NOT_MOUNTED", "checkpoint-root",
                 absl::StrCat("the checkpoint root ", checkpoint_root, " is not on this machine"),
                 "run this where it is mounted, or give --checkpoint-root");
  }
  absl::StatusOr<std::string> directory = ResolveBeneath(checkpoint_root, resolved.record->path(), "REF");
  if (absl::IsNotFound(directory.status())) {
    return Error(absl::StatusCode::kNotFound, "ROOT_NOT_MOUNTED", "checkpoint-root",
                 absl::StrCat("checkpoint '", resolved.record->path(), "' is not beneath ", checkpoint_root),
                 "run this where the coordinator's checkpoint root is mounted, or give --checkpoint-root");
  }
  ASSIGN_OR_RETURN(resolved.directory, std::move(directory));
  return resolved;
}

}  // namespace cherry::client
