#include <algorithm>
#include <vector>

#include "common/evaluation.h"
#include "common/spec_kinds.h"
#include "common/status.h"

namespace cherry {

absl::Status ResolveEvaluate(const SpecContext& context, v1::JobSpec* spec) {
  if (context.parent_model == nullptr) {
    return InvalidField("FIELD_REQUIRED", "evaluate.baseline.job", "evaluate.baseline.job: is not given",
                        "name the job to compare with");
  }
  *spec->mutable_model() = *context.parent_model;
  v1::EvaluateConfig* const evaluate = spec->mutable_evaluate();
  const std::vector<v1::EvaluateConfig::Measure> measures = MeasuresOf(*evaluate);
  evaluate->clear_measures();
  for (const v1::EvaluateConfig::Measure measure : measures) {
    evaluate->add_measures(measure);
  }
  // A step is a model. What recovery starts from may only follow from the models.
  spec->mutable_train()->set_steps(evaluate->models_size() + std::max(1, evaluate->baselines_size()) +
                                   evaluate->starts_size());
  return absl::OkStatus();
}

}  // namespace cherry
