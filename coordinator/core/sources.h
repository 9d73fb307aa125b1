// What the references of a spec mean: datasets, the models of other jobs, and checkpoints, chosen now where
// they exist and awaited where their job is still to succeed.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_SOURCES_H_
#define CHERRY_COORDINATOR_CORE_SOURCES_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/spec.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// What an input is for. The source is what `from` or `continue` names.
inline constexpr char kSourceRole[] = "source";
inline constexpr char kOriginRole[] = "origin";
inline constexpr char kReferenceRole[] = "sgt.reference";
inline constexpr char kStartRole[] = "evaluate.start";

// Jobs that are not part of the state yet, by resource name: those of a pipeline that is being submitted.
using DraftJobs = std::map<std::string, JobEntry>;

// Pointers are into the state, and last as long as nothing is registered.
struct Sources {
  std::vector<const v1::Dataset*> train;  // By the parts of data.train; null where one is not registered.
  std::vector<const v1::Dataset*> valid;
  const v1::Dataset* parent_data = nullptr;
  const v1::Dataset* reference_data = nullptr;
  std::optional<v1::ModelConfig> model;
  std::optional<v1::ModelConfig> reference_model;
  std::optional<v1::Checkpoint> checkpoint;  // Of the source, where it is chosen already.
  std::optional<int64_t> source_step;        // Where it is known by now.
  std::vector<InputSource> read;             // For SpecContext.inputs.
  std::vector<v1::JobInput> inputs;
  std::vector<v1::AwaitedInput> awaits;
};

// "default" where the spec names none.
std::string NamespaceOf(const v1::JobSpec& spec);

// Looks up everything the spec names, among `drafts` before the state, and writes uids and inherited data
// into it. Errors name the field: a job that does not exist, a checkpoint that neither does nor will.
absl::StatusOr<Sources> LookUp(const State& state, const DraftJobs& drafts, v1::JobSpec* spec);

// A job that goes on has to go further than `source_step`.
absl::Status CheckGoesFurther(const v1::JobSpec& resolved, int64_t source_step);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_SOURCES_H_
