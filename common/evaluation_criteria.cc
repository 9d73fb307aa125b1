// Judge and CheckEvaluate: criteria, as they are tested and as they are refused.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/evaluation.h"
#include "common/evaluation_models.h"
#include "common/nearest.h"
#include "common/spec_checks.h"
#include "common/status.h"

namespace cherry {
namespace {

using v1::EvaluateConfig;
using Model = v1::Evaluation::Model;
using Verdict = v1::Evaluation::Verdict;

constexpr int kMostCriteria = 64;

std::string MeasureText(EvaluateConfig::Measure measure) {
  return absl::AsciiStrToLower(EvaluateConfig::Measure_Name(measure));
}

// "recovery of ko-random above 0.5 and below 0.95"
std::string CriterionText(const v1::Criterion& criterion) {
  std::string text = absl::StrCat(criterion.group(), criterion.group().empty() ? "" : " ",
                                  MeasureText(criterion.measure()), " of ", criterion.model());
  if (!criterion.minus().empty()) {
    absl::StrAppend(&text, " minus ", criterion.minus());
  }
  if (criterion.has_above()) {
    absl::StrAppend(&text, " above ", criterion.above());
  }
  if (criterion.has_below()) {
    absl::StrAppend(&text, criterion.has_above() ? " and" : "", " below ", criterion.below());
  }
  return text;
}

// The models of that name; without any, the baselines, then the starts.
std::vector<const Model*> Named(const v1::Evaluation& evaluation, absl::string_view name) {
  std::vector<const Model*> found;
  for (const auto* const models : {&evaluation.models(), &evaluation.baselines(), &evaluation.starts()}) {
    for (const Model& model : *models) {
      if (IsNamed(model, name)) {
        found.push_back(&model);
      }
    }
    if (!found.empty()) {
      return found;
    }
  }
  return found;
}

// The number that the criterion bounds, or why there is none.
absl::StatusOr<double> Tested(const v1::Criterion& criterion, const Model& model,
                              const std::vector<const Model*>& others) {
  const auto missing = [&criterion](const Model& of) {
    return absl::NotFoundError(absl::StrCat(of.job().substr(of.job().rfind('/') + 1), " has no ",
                                            criterion.group(), criterion.group().empty() ? "" : " ",
                                            MeasureText(criterion.measure())));
  };
  const auto value = ValueOf(model, criterion.measure(), criterion.group());
  if (!value.has_value()) {
    return missing(model);
  }
  if (criterion.minus().empty()) {
    return *value;
  }
  const int other = CounterpartOf(model, others);
  if (other < 0) {
    return absl::NotFoundError(
        absl::StrCat("no single model of ", criterion.minus(), " has the seed ", model.seed()));
  }
  const auto subtracted = ValueOf(*others[other], criterion.measure(), criterion.group());
  if (!subtracted.has_value()) {
    return missing(*others[other]);
  }
  return *value - *subtracted;
}

Verdict JudgeOne(const v1::Criterion& criterion, const v1::Evaluation& evaluation) {
  Verdict verdict;
  verdict.set_claim(criterion.claim());
  verdict.set_criterion(CriterionText(criterion));
  verdict.set_result(Verdict::UNDECIDED);
  const auto undecided = [&verdict](absl::string_view why) {
    absl::StrAppend(verdict.mutable_criterion(), ": ", why);
    return verdict;
  };
  const std::vector<const Model*> models = Named(evaluation, criterion.model());
  if (models.empty()) {
    return undecided(absl::StrCat("no model is named ", criterion.model()));
  }
  const std::vector<const Model*> others = Named(evaluation, criterion.minus());
  if (!criterion.minus().empty() && others.empty()) {
    return undecided(absl::StrCat("no model is named ", criterion.minus()));
  }
  size_t holding = 0;
  absl::Status problem;
  for (const Model* const model : models) {
    const absl::StatusOr<double> value = Tested(criterion, *model, others);
    if (!value.ok()) {
      problem.Update(value.status());
      continue;
    }
    verdict.add_values(*value);
    holding += (!criterion.has_above() || *value > criterion.above()) &&
               (!criterion.has_below() || *value < criterion.below());
  }
  if (!problem.ok()) {
    return undecided(problem.message());
  }
  if (holding == 0 || holding == models.size()) {
    verdict.set_result(holding == 0 ? Verdict::FAILS : Verdict::HOLDS);
  }
  return verdict;
}

// Where `ref` stands for a job or an imported model.
const std::string& NameIn(const v1::SourceRef& ref) { return ref.job().empty() ? ref.model() : ref.job(); }

absl::Status CheckRef(const v1::SourceRef& ref, absl::string_view field) {
  if (ref.job().empty() == ref.model().empty()) {
    return InvalidField("FIELD_REQUIRED", field,
                        absl::StrCat(field, ": names ", ref.job().empty() ? "no model" : "a job and a model"),
                        "name the job whose model is meant, e.g. {job: ko-all}");
  }
  return absl::OkStatus();
}

absl::Status CheckCriterionModel(const EvaluateConfig& config, absl::string_view field,
                                 const std::string& name) {
  std::vector<std::string> known = {NameIn(config.baseline())};
  if (config.has_start()) {
    known.push_back(NameIn(config.start()));
  }
  for (const v1::SourceRef& model : config.models()) {
    known.push_back(NameIn(model));
  }
  for (const std::string& other : known) {
    // A matrix may stand here by its document, or already by its jobs.
    if (name == other || absl::StartsWith(name, other + "-") || absl::StartsWith(other, name + "-")) {
      return absl::OkStatus();
    }
  }
  const std::string near = Nearest(name, known);
  return InvalidField(
      "VALUE_UNKNOWN", field, absl::StrCat(field, ": '", name.substr(0, 100), "' is not among the models"),
      near.empty() ? "name a job or a matrix of evaluate.models" : absl::StrCat("use ", near));
}

absl::Status CheckBounds(const v1::Criterion& criterion, const std::string& field) {
  if (!criterion.has_above() && !criterion.has_below()) {
    return InvalidField("FIELD_REQUIRED", field, absl::StrCat(field, ": has no bound"),
                        "give above, below or both, e.g. above: 0.5");
  }
  for (const auto& [bound, value] :
       {std::pair<const char*, double>{".above", criterion.above()}, {".below", criterion.below()}}) {
    if (!std::isfinite(value)) {
      return OutOfRange(absl::StrCat(field, bound), absl::StrCat(value), "the finite numbers");
    }
  }
  if (criterion.has_above() && criterion.has_below() && criterion.above() >= criterion.below()) {
    return InvalidField("OUT_OF_RANGE", absl::StrCat(field, ".above"),
                        absl::StrCat(field, ".above: ", criterion.above(), " is not less than below = ",
                                     criterion.below(), ", so no value is between them"),
                        "give above < below");
  }
  return absl::OkStatus();
}

absl::Status CheckCriterion(const EvaluateConfig& config, const std::string& field,
                            const v1::Criterion& criterion) {
  if (criterion.claim().empty()) {
    return InvalidField("FIELD_REQUIRED", absl::StrCat(field, ".claim"),
                        absl::StrCat(field, ".claim: is empty"), "say in a sentence what is claimed");
  }
  const EvaluateConfig::Measure measure = criterion.measure();
  if (measure == EvaluateConfig::MEASURE_UNSPECIFIED) {
    return InvalidField("FIELD_REQUIRED", absl::StrCat(field, ".measure"),
                        absl::StrCat(field, ".measure: is not given"), "use one of evaluate.measures");
  }
  const std::vector<EvaluateConfig::Measure> measures = MeasuresOf(config);
  if (std::find(measures.begin(), measures.end(), measure) == measures.end()) {
    return InvalidField(
        "VALUE_UNKNOWN", absl::StrCat(field, ".measure"),
        absl::StrCat(field, ".measure: ", MeasureText(measure), " is not among evaluate.measures"),
        absl::StrCat("add ", MeasureText(measure), " to evaluate.measures"));
  }
  if (!criterion.group().empty() && measure != EvaluateConfig::LOSS) {
    return InvalidField("FIELD_NOT_ALLOWED", absl::StrCat(field, ".group"),
                        absl::StrCat(field, ".group: '", criterion.group().substr(0, 100), "' is given, but ",
                                     MeasureText(measure), " has no groups"),
                        "remove it, or use measure: loss");
  }
  if (criterion.model().empty()) {
    return InvalidField("FIELD_REQUIRED", absl::StrCat(field, ".model"),
                        absl::StrCat(field, ".model: is not given"),
                        "name a job or a matrix of evaluate.models");
  }
  RETURN_IF_ERROR(CheckCriterionModel(config, absl::StrCat(field, ".model"), criterion.model()));
  if (!criterion.minus().empty()) {
    RETURN_IF_ERROR(CheckCriterionModel(config, absl::StrCat(field, ".minus"), criterion.minus()));
  }
  return CheckBounds(criterion, field);
}

}  // namespace

std::vector<Verdict> Judge(const EvaluateConfig& config, const v1::Evaluation& evaluation) {
  std::vector<Verdict> verdicts;
  verdicts.reserve(config.criteria_size());
  for (const v1::Criterion& criterion : config.criteria()) {
    verdicts.push_back(JudgeOne(criterion, evaluation));
  }
  return verdicts;
}

absl::Status CheckEvaluate(const EvaluateConfig& config) {
  if (!config.has_baseline()) {
    return InvalidField("FIELD_REQUIRED", "evaluate.baseline",
                        "evaluate.baseline: an evaluation compares with a model",
                        "name its job, e.g. baseline: {job: ko-all}");
  }
  RETURN_IF_ERROR(CheckRef(config.baseline(), "evaluate.baseline"));
  if (config.models().empty()) {
    return InvalidField("FIELD_REQUIRED", "evaluate.models", "evaluate.models: names no model",
                        "name the jobs to measure, e.g. models: [{job: ko-sgt}]");
  }
  RETURN_IF_ERROR(CheckInteger("evaluate.models (number of)",
                               int64_t{config.models_size()} + config.baselines_size() + config.starts_size(),
                               1, kMostEvaluated));
  for (int i = 0; i < config.models_size(); ++i) {
    RETURN_IF_ERROR(CheckRef(config.models(i), absl::StrCat("evaluate.models[", i, "]")));
  }
  if (config.has_start()) {
    RETURN_IF_ERROR(CheckRef(config.start(), "evaluate.start"));
  }
  for (int i = 0; i < config.measures_size(); ++i) {
    if (config.measures(i) == EvaluateConfig::MEASURE_UNSPECIFIED) {
      const std::string field = absl::StrCat("evaluate.measures[", i, "]");
      return InvalidField("OUT_OF_RANGE", field, absl::StrCat(field, ": names no measure"),
                          "use loss, recovery, roi, selection_gain, wave, parameters, speed, acceptance");
    }
  }
  RETURN_IF_ERROR(CheckInteger("evaluate.criteria (number of)", config.criteria_size(), 0, kMostCriteria));
  for (int i = 0; i < config.criteria_size(); ++i) {
    RETURN_IF_ERROR(CheckCriterion(config, absl::StrCat("evaluate.criteria[", i, "]"), config.criteria(i)));
  }
  return absl::OkStatus();
}

}  // namespace cherry
