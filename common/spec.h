// Checks a job's spec and fills in its defaults: the same code for a dry run and for a run.
//
// Pure functions, thread-safe. Errors carry ErrorInfo with the field's path in the job file.
#ifndef CHERRY_COMMON_SPEC_H_
#define CHERRY_COMMON_SPEC_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cherry/v1/job.pb.h"
#include "cherry/v1/resources.pb.h"
#include "common/data_parts.h"

namespace cherry {

// What is known of one of a fusion's experts, or of an evaluation's models.
struct InputSource {
  v1::ModelConfig model;
  std::string train;                  // Its data.train.
  const v1::Dataset* data = nullptr;  // The first of it; null when it is not registered any more.
  v1::DataConfig::Targets targets = v1::DataConfig::ALL;
  std::set<std::string> lineage;  // Uids of the job and of all that it descends from, up to a compression.
  std::string field;              // That names it.
};

struct SpecContext {
  // The datasets behind the parts of data.train and of data.valid, in their order; null where one is not
  // registered.
  std::vector<const v1::Dataset*> train;
  std::vector<const v1::Dataset*> valid;
  // Model of the checkpoint that `from`, `continue` or model.like means, when there is one.
  const v1::ModelConfig* parent_model = nullptr;
  // Model of sgt.reference, when it is given.
  const v1::ModelConfig* reference_model = nullptr;
  // Training data of those two jobs; null where there is none, or it is not registered any more.
  const v1::Dataset* parent_data = nullptr;
  const v1::Dataset* reference_data = nullptr;
  std::vector<InputSource> inputs;  // Experts in their order, or everything that is evaluated.
};

// Of the same: what can be said before anything that the spec names is looked up. Name, kind, and which
// sections a kind has.
absl::Status CheckForm(const v1::JobSpec& spec);

// Returns the spec with every default filled in, or the first thing that is wrong with it: names, ranges,
// divisibility, presets, datasets, vocabulary, what a kind needs and forbids.
absl::StatusOr<v1::JobSpec> ResolveSpec(const v1::JobSpec& spec, const SpecContext& context);

// Whether a part of either names `dataset`.
bool NamesDataset(const v1::DataConfig& data, absl::string_view dataset);

// The split of `dataset` that a part means; null when it has none of that name, or is null itself.
const v1::Split* FindSplit(const v1::Dataset* dataset, absl::string_view part);

// World sizes in [ranks.min, ranks.max], largest first, that divide global_batch_size / micro_batch_size.
std::vector<int> FeasibleRanks(const v1::JobSpec& resolved);

}  // namespace cherry

#endif  // CHERRY_COMMON_SPEC_H_
