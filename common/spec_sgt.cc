#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/model_plan.h"
#include "common/spec_checks.h"
#include "common/spec_kinds.h"
#include "common/status.h"

namespace cherry {
namespace {

using v1::SgtConfig;

constexpr double kBudget = 0.15;
constexpr int64_t kCouplingEvery = 10;

void FillIn(SgtConfig* sgt) {
  if (sgt->selector() == SgtConfig::SELECTOR_UNSPECIFIED) {
    sgt->set_selector(SgtConfig::RULE);
  }
  if (!sgt->has_budget()) sgt->set_budget(kBudget);
  if (!sgt->has_anchor()) sgt->set_anchor(1.0);
  if (!sgt->has_random_share()) sgt->set_random_share(0.0);
  if (!sgt->has_coupling_every()) sgt->set_coupling_every(kCouplingEvery);
  if (sgt->categories_size() == 0) {
    sgt->add_categories(SgtConfig::FACT);
    sgt->add_categories(SgtConfig::REASON);
    sgt->add_categories(SgtConfig::CORRECT);
  }
  if (sgt->selector() == SgtConfig::ALL) {
    // Nothing is left over to draw at random, or to hold in its place.
    sgt->set_budget(1.0);
    sgt->set_anchor(0.0);
    sgt->set_random_share(0.0);
  }
}

absl::Status CheckRanges(const SgtConfig& sgt) {
  if (!(sgt.budget() > 0.0 && sgt.budget() <= 1.0)) {
    return OutOfRange("sgt.budget", absl::StrCat(sgt.budget()), "(0, 1]");
  }
  if (!(sgt.random_share() >= 0.0 && sgt.random_share() <= 1.0)) {
    return OutOfRange("sgt.random_share", absl::StrCat(sgt.random_share()), "[0, 1]");
  }
  RETURN_IF_ERROR(CheckReal("sgt.anchor", sgt.anchor(), 0.0, 1e6));
  RETURN_IF_ERROR(CheckInteger("sgt.coupling_every", sgt.coupling_every(), 0, 1'000'000'000));
  RETURN_IF_ERROR(CheckInteger("sgt.categories (number of)", sgt.categories_size(), 0, 16));
  for (const int category : sgt.categories()) {
    if (category == SgtConfig::CATEGORY_UNSPECIFIED) {
      return InvalidField("OUT_OF_RANGE", "sgt.categories", "sgt.categories: names no category",
                          "use fact, reason, correct");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckReference(const SpecContext& context, const v1::JobSpec& spec) {
  const SgtConfig& sgt = spec.sgt();
  if (!NeedsReference(sgt.selector())) {
    return absl::OkStatus();
  }
  const std::string selector = sgt.selector() == SgtConfig::EXCESS ? "excess" : "super";
  if (context.reference_model == nullptr) {
    return InvalidField("FIELD_REQUIRED", "sgt.reference",
                        absl::StrCat("sgt.reference: the selector ", selector,
                                     " compares the losses with those of a reference model"),
                        "name a job trained on clean data, e.g. reference: {job: ko-ref}");
  }
  if (context.reference_data != nullptr &&
      context.reference_data->tokenizer_hash() != context.train.front()->tokenizer_hash()) {
    return InvalidField("TOKENIZER_MISMATCH", "sgt.reference",
                        absl::StrCat("sgt.reference: ", sgt.reference().job(),
                                     " was trained with another tokenizer than '", spec.data().train(), "'"),
                        "name a job whose data has the same tokenizer");
  }
  ASSIGN_OR_RETURN(const ModelShape reference, ResolveModel(*context.reference_model, 0));
  if (reference.routes_tokens()) {
    return InvalidField("MODEL_MISMATCH", "sgt.reference",
                        absl::StrCat("sgt.reference: ", sgt.reference().job(), " is a mixture by token"),
                        "name a single model, or a mixture with routing: ffn");
  }
  if (reference.vocab != spec.model().vocab()) {
    return InvalidField("VOCABULARY_MISMATCH", "sgt.reference",
                        absl::StrCat("sgt.reference: ", sgt.reference().job(), " has a vocabulary of ",
                                     reference.vocab, ", the model one of ", spec.model().vocab()),
                        "name a job with the same vocabulary");
  }
  return absl::OkStatus();
}

int64_t TokensOf(const v1::Split& split, int category) {
  switch (category) {
    case SgtConfig::FACT:
      return split.fact_tokens();
    case SgtConfig::REASON:
      return split.reason_tokens();
    default:
      return split.correct_tokens();
  }
}

// Labels that are not there would be a budget that is never used.
absl::Status CheckLabels(const SpecContext& context, const v1::JobSpec& spec) {
  if (!UsesRules(spec.sgt().selector())) {
    return absl::OkStatus();
  }
  const std::vector<std::string> valid = SplitParts(spec.data().valid());
  for (size_t i = 0; i < valid.size(); ++i) {
    if (FindSplit(context.valid[i], valid[i])->labels_hash().empty()) {
      return InvalidField("NO_LABELS", "data.valid",
                          absl::StrCat("data.valid: '", valid[i],
                                       "' has no labels, so what the rules select of it cannot be measured"),
                          "prepare the dataset again (--rules ko,en), or choose another selector");
    }
  }
  const std::vector<std::string> train = SplitParts(spec.data().train());
  int64_t labelled = 0;
  for (size_t i = 0; i < train.size(); ++i) {
    for (const int category : spec.sgt().categories()) {
      labelled += TokensOf(*FindSplit(context.train[i], train[i]), category);
    }
  }
  if (labelled == 0) {
    return InvalidField(
        "NO_LABELS", "sgt.selector",
        absl::StrCat("sgt.selector: no token of '", spec.data().train(), "' has a label of the categories"),
        "prepare the dataset again (--rules ko,en), or choose another selector");
  }
  return absl::OkStatus();
}

}  // namespace

bool ScoresAllRows(SgtConfig::Selector selector) {
  return selector == SgtConfig::ENTROPY || selector == SgtConfig::TOP_LOSS ||
         selector == SgtConfig::LOW_LOSS || NeedsReference(selector);
}

bool UsesRules(SgtConfig::Selector selector) {
  return selector == SgtConfig::RULE || selector == SgtConfig::SUPER;
}

bool NeedsReference(SgtConfig::Selector selector) {
  return selector == SgtConfig::EXCESS || selector == SgtConfig::SUPER;
}

absl::Status ResolveSgt(const SpecContext& context, v1::JobSpec* spec) {
  if (spec->model().experts() > 0 && spec->model().routing() == v1::FuseConfig::TOKEN) {
    return InvalidField("MODEL_MISMATCH", "from",
                        "from: a mixture by token has no head of its own to select rows for",
                        "start from a single model, or from a mixture with routing: ffn");
  }
  FillIn(spec->mutable_sgt());
  RETURN_IF_ERROR(CheckRanges(spec->sgt()));
  RETURN_IF_ERROR(CheckReference(context, *spec));
  return CheckLabels(context, *spec);
}

}  // namespace cherry
