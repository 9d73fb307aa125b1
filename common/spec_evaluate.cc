#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/evaluation.h"
#include "common/spec_kinds.h"
#include "common/status.h"

namespace cherry {
namespace {

// Its losses are on tokens that it knows.
absl::Status CheckInput(const v1::Dataset& valid, const InputSource& input) {
  if (input.data != nullptr && input.data->tokenizer_hash() != valid.tokenizer_hash()) {
    return InvalidField(
        "TOKENIZER_MISMATCH", input.field,
        absl::StrCat(input.field, ": was trained with another tokenizer than '", valid.name(), "'"),
        "evaluate models of one tokenizer, on data that have it");
  }
  if (input.model.vocab() < valid.vocab()) {
    return InvalidField("VOCABULARY_MISMATCH", input.field,
                        absl::StrCat(input.field, ": has a vocabulary of ", input.model.vocab(), ", '",
                                     valid.name(), "' one of ", valid.vocab()),
                        "evaluate it on data of its own tokenizer");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ResolveEvaluate(const SpecContext& context, v1::JobSpec* spec) {
  if (context.parent_model == nullptr) {
    return InvalidField("FIELD_REQUIRED", "evaluate.baseline.job", "evaluate.baseline.job: is not given",
                        "name the job to compare with");
  }
  for (const InputSource& input : context.inputs) {
    RETURN_IF_ERROR(CheckInput(*context.valid.front(), input));
  }
  *spec->mutable_model() = *context.parent_model;
  v1::EvaluateConfig* const evaluate = spec->mutable_evaluate();
  const std::vector<v1::EvaluateConfig::Measure> measures = MeasuresOf(*evaluate);
  evaluate->clear_measures();
  for (const v1::EvaluateConfig::Measure measure : measures) {
    evaluate->add_measures(measure);
  }
  // A step is a model.
  spec->mutable_train()->set_steps(std::max<int64_t>(1, static_cast<int64_t>(context.inputs.size())));
  return absl::OkStatus();
}

}  // namespace cherry
