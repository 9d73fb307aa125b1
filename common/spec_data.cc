#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/spec_checks.h"
#include "common/spec_kinds.h"
#include "common/status.h"

namespace cherry {
namespace {

// What only an assistant says can be supervised where somebody is one.
absl::Status CheckResponses(const SpecContext& context, const v1::DataConfig& data) {
  if (data.targets() != v1::DataConfig::RESPONSES) {
    return absl::OkStatus();
  }
  for (const auto& [field, text, datasets] : {std::tuple{"data.train", data.train(), &context.train},
                                              std::tuple{"data.valid", data.valid(), &context.valid}}) {
    const std::vector<std::string> parts = SplitParts(text);
    for (size_t i = 0; i < parts.size(); ++i) {
      if (FindSplit((*datasets)[i], parts[i])->response_tokens() == 0) {
        return InvalidField("NO_RESPONSES", "data.targets",
                            absl::StrCat("data.targets: responses, but ", field, ": ", parts[i], " has none"),
                            "prepare chat data (.jsonl with messages), or use targets: all");
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSplit(absl::string_view field, const std::string& given, const v1::Dataset* dataset,
                        int64_t window) {
  ASSIGN_OR_RETURN(const SplitRef ref, ParseSplitRef(given, field));
  if (dataset == nullptr) {
    return Error(absl::StatusCode::kNotFound, "DATASET_UNKNOWN", field,
                 absl::StrCat(field, ": no dataset '", ref.dataset, "' is registered"),
                 absl::StrCat("`cherry get datasets` lists them; `cherry data prepare --name ", ref.dataset,
                              " ...` makes one"));
  }
  std::vector<std::string> splits;
  for (const v1::Split& split : dataset->splits()) {
    splits.push_back(absl::StrCat(ref.dataset, "/", split.name()));
    if (split.name() != ref.split) {
      continue;
    }
    if (split.tokens() < window + 1) {
      return InvalidField("DATASET_TOO_SMALL", field,
                          absl::StrCat(field, ": '", given, "' has ", split.tokens(),
                                       " tokens, fewer than one sample of ", window, " + 1"),
                          "use more text, or a smaller train.sequence_length");
    }
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kNotFound, "SPLIT_UNKNOWN", field,
               absl::StrCat(field, ": dataset '", ref.dataset, "' has no split '", ref.split, "'"),
               absl::StrCat("use one of ", absl::StrJoin(splits, ", ")));
}

// All parts of data.train or data.valid: registered, long enough, of one tokenizer.
absl::Status CheckParts(absl::string_view field, const std::string& given,
                        const std::vector<const v1::Dataset*>& datasets, int64_t window) {
  constexpr size_t kMostParts = 16;
  const std::vector<std::string> parts = SplitParts(given);
  if (parts.size() > kMostParts) {
    return OutOfRange(field, absl::StrCat(parts.size(), " parts"), absl::StrCat("1..", kMostParts));
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    const v1::Dataset* const dataset = i < datasets.size() ? datasets[i] : nullptr;
    RETURN_IF_ERROR(CheckSplit(field, parts[i], dataset, window));
    if (dataset->tokenizer_hash() != datasets[0]->tokenizer_hash()) {
      return InvalidField(
          "TOKENIZER_MISMATCH", field,
          absl::StrCat(field, ": '", parts[i], "' has another tokenizer than '", parts[0], "'"),
          absl::StrCat("prepare it with `--tokenizer ", datasets[0]->name(), "`"));
    }
    if (std::find(parts.begin(), parts.begin() + static_cast<int64_t>(i), parts[i]) !=
        parts.begin() + static_cast<int64_t>(i)) {
      return InvalidField("FIELD_REPEATED", field, absl::StrCat(field, ": '", parts[i], "' is named twice"),
                          "name each part once; a number before it, as in 0.7 ko/train, is its share");
    }
  }
  return PartShares(given, field).status();
}

}  // namespace

bool NamesDataset(const v1::DataConfig& data, absl::string_view dataset) {
  for (const std::string& splits : {data.train(), data.valid()}) {
    for (const std::string& part : SplitParts(splits)) {
      if (DatasetOfPart(part) == dataset) {
        return true;
      }
    }
  }
  return false;
}

const v1::Split* FindSplit(const v1::Dataset* dataset, absl::string_view part) {
  if (dataset != nullptr) {
    for (const v1::Split& split : dataset->splits()) {
      if (absl::StrCat(dataset->name(), "/", split.name()) == part) {
        return &split;
      }
    }
  }
  return nullptr;
}

absl::Status ResolveData(const SpecContext& context, v1::JobSpec* spec) {
  if (spec->data().train().empty()) {
    return InvalidField("FIELD_REQUIRED", "data.train", "data.train: is not given",
                        "name a prepared dataset, e.g. ko/train");
  }
  const int64_t window = spec->train().sequence_length();
  RETURN_IF_ERROR(CheckParts("data.train", spec->data().train(), context.train, window));
  if (spec->data().valid().empty()) {
    return InvalidField("FIELD_REQUIRED", "data.valid", "data.valid: is not given",
                        "name the held-out split, e.g. ko/valid: every checkpoint is measured on it");
  }
  RETURN_IF_ERROR(CheckParts("data.valid", spec->data().valid(), context.valid, window));
  if (HasShares(spec->data().valid())) {
    return InvalidField(
        "FIELD_NOT_ALLOWED", "data.valid",
        absl::StrCat("data.valid: '", spec->data().valid(), "' has shares, but is measured whole"),
        "leave the numbers out");
  }
  if (context.train.front()->tokenizer_hash() != context.valid.front()->tokenizer_hash()) {
    return InvalidField("TOKENIZER_MISMATCH", "data.valid",
                        absl::StrCat("data.valid: '", spec->data().valid(), "' has another tokenizer than '",
                                     spec->data().train(), "'"),
                        "prepare it with `--tokenizer` of the training dataset");
  }
  if (context.parent_data != nullptr && spec->has_from() &&
      context.parent_data->tokenizer_hash() != context.train.front()->tokenizer_hash()) {
    return InvalidField("TOKENIZER_MISMATCH", "data.train",
                        absl::StrCat("data.train: '", spec->data().train(), "' has another tokenizer than '",
                                     context.parent_data->name(), "', which the model of from has"),
                        absl::StrCat("prepare it with `--tokenizer ", context.parent_data->name(), "`"));
  }
  return CheckResponses(context, spec->data());
}

}  // namespace cherry
