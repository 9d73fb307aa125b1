// The models of an evaluation, as criteria and counterparts look for them. Used by FinishEvaluation and
// Judge; pure functions, thread-safe.
#ifndef CHERRY_COMMON_EVALUATION_MODELS_H_
#define CHERRY_COMMON_EVALUATION_MODELS_H_

#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "cherry/v1/job.pb.h"
#include "cherry/v1/resources.pb.h"

namespace cherry {

// Null where the model was not measured on that group.
const v1::Evaluation::Loss* FindLoss(const v1::Evaluation::Model& model, absl::string_view group);

// The one number of a measure; `group` is the loss's, "" means all.
std::optional<double> ValueOf(const v1::Evaluation::Model& model, v1::EvaluateConfig::Measure measure,
                              absl::string_view group);

// Whether a criterion's name means the model: its job, its document, or its document and values joined by
// '-', as jobs of a matrix are named. `namespace/name` means that of the namespace only.
bool IsNamed(const v1::Evaluation::Model& model, absl::string_view name);

// The index of the candidate that belongs to `model`: of its document where one is, and with most of its
// values in the same places. -1 where none is, or several are alike.
int MostAlike(const v1::Evaluation::Model& model,
              const std::vector<const v1::Evaluation::Model*>& candidates);

// The same among those of the model's seed; the only candidate is that of every model.
int CounterpartOf(const v1::Evaluation::Model& model,
                  const std::vector<const v1::Evaluation::Model*>& candidates);

}  // namespace cherry

#endif  // CHERRY_COMMON_EVALUATION_MODELS_H_
