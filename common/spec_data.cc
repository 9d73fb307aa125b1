#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/ids.h"
#include "common/spec_kinds.h"
#include "common/status.h"

namespace cherry {
namespace {

// What only an assistant says can be supervised where somebody is one.
absl::Status CheckResponses(const SpecContext& context, const v1::DataConfig& data) {
  if (data.targets() != v1::DataConfig::RESPONSES) {
    return absl::OkStatus();
  }
  for (const auto& [field, split] : {std::pair{"data.train", FindSplit(context.train, data.train())},
                                     std::pair{"data.valid", FindSplit(context.valid, data.valid())}}) {
    if (split->response_tokens() == 0) {
      return InvalidField("NO_RESPONSES", "data.targets",
                          absl::StrCat("data.targets: responses, but ", field, " has none"),
                          "prepare chat data (.jsonl with messages), or use targets: all");
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

}  // namespace

absl::StatusOr<SplitRef> ParseSplitRef(absl::string_view text, absl::string_view field) {
  const std::vector<std::string> parts = absl::StrSplit(text, '/');
  if (parts.size() == 2 && ValidateName(parts[0], field).ok() && ValidateName(parts[1], field).ok()) {
    return SplitRef{parts[0], parts[1]};
  }
  return InvalidField("DATASET_INVALID", field,
                      absl::StrCat(field, ": '", text.substr(0, 200), "' is not DATASET/SPLIT"),
                      "write it as ko/train");
}

const v1::Split* FindSplit(const v1::Dataset* dataset, const std::string& reference) {
  if (dataset != nullptr) {
    for (const v1::Split& split : dataset->splits()) {
      if (absl::StrCat(dataset->name(), "/", split.name()) == reference) {
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
  RETURN_IF_ERROR(CheckSplit("data.train", spec->data().train(), context.train, window));
  if (spec->data().valid().empty()) {
    return InvalidField("FIELD_REQUIRED", "data.valid", "data.valid: is not given",
                        "name the held-out split, e.g. ko/valid: every checkpoint is measured on it");
  }
  RETURN_IF_ERROR(CheckSplit("data.valid", spec->data().valid(), context.valid, window));
  if (context.train->tokenizer_hash() != context.valid->tokenizer_hash()) {
    return InvalidField("TOKENIZER_MISMATCH", "data.valid",
                        absl::StrCat("data.valid: '", spec->data().valid(), "' has another tokenizer than '",
                                     spec->data().train(), "'"),
                        "prepare it with `--tokenizer` of the training dataset");
  }
  if (context.parent_data != nullptr && spec->has_from() &&
      context.parent_data->tokenizer_hash() != context.train->tokenizer_hash()) {
    return InvalidField(
        "TOKENIZER_MISMATCH", "data.train",
        absl::StrCat("data.train: '", spec->data().train(), "' has another tokenizer than '",
                     context.parent_data->name(), "', which the model of from.job was trained on"),
        absl::StrCat("prepare it with `--tokenizer ", context.parent_data->name(), "`"));
  }
  return CheckResponses(context, spec->data());
}

}  // namespace cherry
