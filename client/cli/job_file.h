// Job files: YAML to JobSpec and back, by the field names of proto/cherry/v1/job.proto.
//
// Pure functions without I/O, thread-safe, safe on any input. Errors are kInvalidArgument with ErrorInfo; the
// message reads "FILE:LINE: train.lr: unknown key", the remedy names what was probably meant.
#ifndef CHERRY_CLIENT_CLI_JOB_FILE_H_
#define CHERRY_CLIENT_CLI_JOB_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cherry/v1/job.pb.h"

namespace cherry::client {

inline constexpr size_t kMaxJobFileBytes = 1 << 20;
inline constexpr size_t kMaxJobsInFile = 256;

// The jobs of one file, a document each, in order; at least one. `file` is only for messages. Beyond the
// proto's own shape: `resources.ranks: 2`, durations such as `1h30m`, the axes of `matrix` beside its other
// keys.
absl::StatusOr<std::vector<v1::JobSpec>> ParseJobFile(absl::string_view text, absl::string_view file);

// Applies "train.steps=20" as if it stood in the file; the value is YAML. An empty value takes the field out.
absl::Status SetField(absl::string_view assignment, v1::JobSpec* spec);

// A document that ParseJobFile reads back as the same spec; ends in a newline. Output-only fields are left
// out.
std::string JobSpecToYaml(const v1::JobSpec& spec);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_JOB_FILE_H_
