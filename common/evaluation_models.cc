#include "common/evaluation_models.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/ids.h"

namespace cherry {
namespace {

using v1::EvaluateConfig;
using Model = v1::Evaluation::Model;

constexpr char kBetweenValues[] = ", ";

// "ko-sgt" and "rule, 0.15" as "ko-sgt-rule-0-15": the name of a job of the matrix, but for the seed.
std::string GroupName(const Model& model) {
  std::string name = model.document();
  if (model.values().empty()) {
    return name;
  }
  for (const std::string& value : std::vector<std::string>(absl::StrSplit(model.values(), kBetweenValues))) {
    name.push_back('-');
    for (const char c : absl::AsciiStrToLower(value)) {
      name.push_back(absl::ascii_islower(c) || absl::ascii_isdigit(c) ? c : '-');
    }
  }
  return name;
}

int Likeness(const Model& a, const Model& b) {
  // More than all values together.
  constexpr int kDocument = 1000;
  const std::vector<std::string> of_a = absl::StrSplit(a.values(), kBetweenValues);
  const std::vector<std::string> of_b = absl::StrSplit(b.values(), kBetweenValues);
  int likeness = a.document() == b.document() ? kDocument : 0;
  for (size_t i = 0; i < std::min(of_a.size(), of_b.size()); ++i) {
    likeness += of_a[i] == of_b[i] ? 1 : 0;
  }
  return likeness;
}

}  // namespace

const v1::Evaluation::Loss* FindLoss(const Model& model, absl::string_view group) {
  const auto found =
      std::find_if(model.losses().begin(), model.losses().end(),
                   [group](const v1::Evaluation::Loss& loss) { return loss.group() == group; });
  return found == model.losses().end() ? nullptr : &*found;
}

std::optional<double> ValueOf(const Model& model, EvaluateConfig::Measure measure, absl::string_view group) {
  const auto when = [](bool present, double value) { return present ? std::optional(value) : std::nullopt; };
  switch (measure) {
    case EvaluateConfig::LOSS: {
      const v1::Evaluation::Loss* const loss = FindLoss(model, group.empty() ? "all" : group);
      return loss == nullptr ? std::nullopt : std::optional(loss->loss());
    }
    case EvaluateConfig::RECOVERY:
      return when(model.has_recovery(), model.recovery());
    case EvaluateConfig::ROI:
      return when(model.has_roi(), model.roi());
    case EvaluateConfig::SELECTION_GAIN:
      return when(model.has_selection_gain(), model.selection_gain());
    case EvaluateConfig::WAVE:
      return when(model.has_wave(), model.wave());
    case EvaluateConfig::PARAMETERS:
      return when(model.parameters() > 0, static_cast<double>(model.parameters()));
    case EvaluateConfig::SPEED:
      return when(model.tokens_per_second() > 0, model.tokens_per_second());
    case EvaluateConfig::ACCEPTANCE:
      return model.acceptance().empty() ? std::nullopt : std::optional(model.acceptance(0));
    default:
      return std::nullopt;
  }
}

bool IsNamed(const Model& model, absl::string_view name) {
  std::string job = model.job();
  if (const auto parts = ParseJobName(model.job()); parts.ok()) {
    job = parts->job;
    name = absl::StripPrefix(name, absl::StrCat(parts->ns, "/"));
  }
  return name == job || name == model.document() || name == GroupName(model);
}

int MostAlike(const Model& model, const std::vector<const Model*>& candidates) {
  int found = -1;
  int most = -1;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const int likeness = Likeness(model, *candidates[i]);
    if (likeness >= most) {
      found = likeness > most ? static_cast<int>(i) : -1;
      most = likeness;
    }
  }
  return found;
}

int CounterpartOf(const Model& model, const std::vector<const Model*>& candidates) {
  if (candidates.size() == 1) {
    return 0;
  }
  std::vector<const Model*> of_seed;
  std::vector<int> indexes;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i]->seed() == model.seed()) {
      of_seed.push_back(candidates[i]);
      indexes.push_back(static_cast<int>(i));
    }
  }
  const int found = MostAlike(model, of_seed);
  return found < 0 ? -1 : indexes[found];
}

}  // namespace cherry
