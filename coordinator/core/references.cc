#include "coordinator/core/references.h"

#include "absl/strings/str_cat.h"

namespace cherry::coordinator {

void ForEachReference(v1::JobSpec* spec,
                      const std::function<void(const std::string& field, v1::SourceRef* ref)>& visit) {
  const auto one = [&visit](const std::string& field, v1::SourceRef* ref) {
    if (!ref->job().empty() || !ref->model().empty()) {
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
  v1::EvaluateConfig* const evaluate = spec->has_evaluate() ? spec->mutable_evaluate() : nullptr;
  if (evaluate == nullptr) {
    return;
  }
  const auto one_or_several = [&one](const std::string& field, v1::SourceRef* single,
                                     google::protobuf::RepeatedPtrField<v1::SourceRef>* several) {
    for (int i = 0; i < several->size(); ++i) {
      one(absl::StrCat(field, "s[", i, "]"), several->Mutable(i));
    }
    if (several->empty() && single != nullptr) {
      one(field, single);
    }
  };
  one_or_several("evaluate.baseline", evaluate->has_baseline() ? evaluate->mutable_baseline() : nullptr,
                 evaluate->mutable_baselines());
  one_or_several("evaluate.start", evaluate->has_start() ? evaluate->mutable_start() : nullptr,
                 evaluate->mutable_starts());
  for (int i = 0; i < spec->evaluate().models_size(); ++i) {
    one(absl::StrCat("evaluate.models[", i, "]"), spec->mutable_evaluate()->mutable_models(i));
  }
}

}  // namespace cherry::coordinator
