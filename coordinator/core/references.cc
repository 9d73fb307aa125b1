#include "coordinator/core/references.h"

#include "absl/strings/str_cat.h"

namespace cherry::coordinator {

void ForEachReference(v1::JobSpec* spec,
                      const std::function<void(const std::string& field, v1::SourceRef* ref)>& visit) {
  const auto one = [&visit](const std::string& field, v1::SourceRef* ref) {
    if (!ref->job().empty()) {
      visit(field, ref);
    }
  };
  if (spec->has_from()) one("from", spec->mutable_from());
  if (spec->has_continue_()) one("continue", spec->mutable_continue_());
  if (spec->model().has_like()) one("model.like", spec->mutable_model()->mutable_like());
  if (spec->sgt().has_reference()) one("sgt.reference", spec->mutable_sgt()->mutable_reference());
  for (int i = 0; i < spec->experts_size(); ++i) {
    one(absl::StrCat("experts[", i, "]"), spec->mutable_experts(i));
  }
  if (spec->evaluate().has_baseline()) {
    one("evaluate.baseline", spec->mutable_evaluate()->mutable_baseline());
  }
  for (int i = 0; i < spec->evaluate().models_size(); ++i) {
    one(absl::StrCat("evaluate.models[", i, "]"), spec->mutable_evaluate()->mutable_models(i));
  }
}

}  // namespace cherry::coordinator
