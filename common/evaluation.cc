#include "common/evaluation.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>

#include "common/evaluation_models.h"

namespace cherry {
namespace {

using v1::EvaluateConfig;
using Model = v1::Evaluation::Model;
using google::protobuf::RepeatedPtrField;

std::vector<const Model*> PointersTo(const RepeatedPtrField<Model>& models) {
  return {models.pointer_begin(), models.pointer_end()};
}

// A ratio that says nothing is none.
std::optional<double> Ratio(double numerator, double denominator) {
  const double ratio = numerator / denominator;
  return denominator != 0.0 && std::isfinite(ratio) ? std::optional(ratio) : std::nullopt;
}

// W = dL_F / (rho dL_G), G being the targets of `groups`, of which no two have one in common.
std::optional<double> Wave(const Model& start, const Model& model, const std::set<std::string>& groups) {
  const v1::Evaluation::Loss* const all[] = {FindLoss(start, "all"), FindLoss(model, "all")};
  if (all[0] == nullptr || all[1] == nullptr) {
    return std::nullopt;
  }
  double gain = 0.0;  // Summed over targets.
  for (const std::string& group : groups) {
    const v1::Evaluation::Loss* const before = FindLoss(start, group);
    const v1::Evaluation::Loss* const after = FindLoss(model, group);
    if (before != nullptr && after != nullptr) {
      gain += static_cast<double>(after->targets()) * (before->loss() - after->loss());
    }
  }
  return Ratio((all[0]->loss() - all[1]->loss()) * static_cast<double>(all[1]->targets()), gain);
}

// All but the selection gain, which needs every model's recovery.
void Derive(const Model& start, const Model* baseline, const RunFacts* baseline_facts, const RunFacts& facts,
            Model* model) {
  if (const auto wave = Wave(start, *model, facts.selected_groups)) {
    model->set_wave(*wave);
  }
  const v1::Evaluation::Loss* const from = FindLoss(start, "all");
  if (from == nullptr || baseline == nullptr) {
    return;
  }
  const v1::Evaluation::Loss* const own = FindLoss(*model, "all");
  const v1::Evaluation::Loss* const reached = FindLoss(*baseline, "all");
  if (own != nullptr && reached != nullptr) {
    if (const auto recovery = Ratio(from->loss() - own->loss(), from->loss() - reached->loss())) {
      model->set_recovery(*recovery);
    }
  }
  if (facts.best_valid_loss.has_value() && baseline_facts->best_valid_loss.has_value()) {
    if (const auto recovery =
            Ratio(from->loss() - *facts.best_valid_loss, from->loss() - *baseline_facts->best_valid_loss)) {
      model->set_best_recovery(*recovery);
    }
  }
  if (facts.selector != v1::SgtConfig::SELECTOR_UNSPECIFIED && model->has_recovery()) {
    if (const auto roi = Ratio(model->recovery(), model->supervised_share())) {
      model->set_roi(*roi);
    }
  }
}

// The random arm that a model of selective training is compared with; null where there is none.
const Model* RandomArm(const v1::Evaluation& evaluation, const std::vector<RunFacts>& facts, int index) {
  const Model& model = evaluation.models(index);
  const RunFacts& own = facts[index];
  if (own.selector == v1::SgtConfig::SELECTOR_UNSPECIFIED || own.selector == v1::SgtConfig::RANDOM) {
    return nullptr;
  }
  std::vector<const Model*> arms;
  for (int i = 0; i < evaluation.models_size(); ++i) {
    if (facts[i].selector == v1::SgtConfig::RANDOM && facts[i].budget == own.budget &&
        evaluation.models(i).seed() == model.seed()) {
      arms.push_back(&evaluation.models(i));
    }
  }
  const int found = MostAlike(model, arms);
  return found < 0 ? nullptr : arms[found];
}

void DeriveAll(const EvaluationFacts& facts, v1::Evaluation* evaluation) {
  const std::vector<const Model*> starts = PointersTo(evaluation->starts());
  const std::vector<const Model*> baselines = PointersTo(evaluation->baselines());
  for (int i = 0; i < evaluation->models_size(); ++i) {
    Model* const model = evaluation->mutable_models(i);
    const int start = CounterpartOf(*model, starts);
    const int baseline = CounterpartOf(*model, baselines);
    if (start >= 0) {
      Derive(*starts[start], baseline < 0 ? nullptr : baselines[baseline],
             baseline < 0 ? nullptr : &facts.baselines[baseline], facts.models[i], model);
    }
  }
  for (int i = 0; i < evaluation->models_size(); ++i) {
    Model* const model = evaluation->mutable_models(i);
    const Model* const random = RandomArm(*evaluation, facts.models, i);
    if (random != nullptr && random->has_recovery() && model->has_recovery()) {
      model->set_selection_gain(model->recovery() - random->recovery());
    }
  }
}

struct Figure {
  const char* name;
  EvaluateConfig::Measure measure;
};

constexpr Figure kFigures[] = {
    {"loss", EvaluateConfig::LOSS},
    {"recovery", EvaluateConfig::RECOVERY},
    {"best_recovery", EvaluateConfig::RECOVERY},
    {"roi", EvaluateConfig::ROI},
    {"selection_gain", EvaluateConfig::SELECTION_GAIN},
    {"wave", EvaluateConfig::WAVE},
    {"tokens_per_second", EvaluateConfig::SPEED},
    {"acceptance", EvaluateConfig::ACCEPTANCE},
};

std::optional<double> FigureOf(const Model& model, const Figure& figure) {
  if (figure.name == std::string("best_recovery")) {
    return model.has_best_recovery() ? std::optional(model.best_recovery()) : std::nullopt;
  }
  return ValueOf(model, figure.measure, "");
}

void Summarize(const std::vector<double>& values, v1::Evaluation::Summary* summary) {
  const auto count = static_cast<double>(values.size());
  double sum = 0.0;
  for (const double value : values) {
    sum += value;
  }
  double squares = 0.0;
  for (const double value : values) {
    squares += (value - sum / count) * (value - sum / count);
  }
  summary->set_count(static_cast<int>(values.size()));
  summary->set_mean(sum / count);
  if (values.size() > 1) {
    summary->set_half_width(StudentT95(static_cast<int>(values.size()) - 1) *
                            std::sqrt(squares / (count - 1.0) / count));
  }
}

using Group = std::pair<std::string, std::string>;  // Document and values.

Group GroupOf(const Model& model) { return {model.document(), model.values()}; }

// Adds a summary for each group of `models` and asked figure, in the order in which the groups appear.
void SummarizeGroups(const std::vector<EvaluateConfig::Measure>& measures,
                     const RepeatedPtrField<Model>& models, std::vector<Group>* done,
                     v1::Evaluation* evaluation) {
  std::vector<Group> groups;
  for (const Model& model : models) {
    const Group group = GroupOf(model);
    if (std::find(groups.begin(), groups.end(), group) == groups.end() &&
        std::find(done->begin(), done->end(), group) == done->end()) {
      groups.push_back(group);
    }
  }
  for (const Group& group : groups) {
    for (const Figure& figure : kFigures) {
      std::vector<double> values;
      for (const Model& model : models) {
        const auto value = FigureOf(model, figure);
        if (GroupOf(model) == group && value.has_value()) {
          values.push_back(*value);
        }
      }
      if (std::find(measures.begin(), measures.end(), figure.measure) == measures.end() || values.empty()) {
        continue;
      }
      v1::Evaluation::Summary* const summary = evaluation->add_summaries();
      summary->set_document(group.first);
      summary->set_values(group.second);
      summary->set_measure(figure.name);
      Summarize(values, summary);
    }
  }
  done->insert(done->end(), groups.begin(), groups.end());
}

// Probability of |t| <= sqrt(degrees) tan(theta): Abramowitz and Stegun, 26.7.3 and 26.7.4.
double CentralProbability(double theta, int degrees) {
  const double cosine = std::cos(theta);
  const bool odd = degrees % 2 == 1;
  double term = odd ? cosine : 1.0;
  double sum = degrees == 1 ? 0.0 : term;
  for (int k = odd ? 3 : 2; k <= degrees - 2; k += 2) {
    term *= cosine * cosine * (k - 1) / k;
    sum += term;
  }
  return odd ? 2.0 / std::numbers::pi * (theta + std::sin(theta) * sum) : std::sin(theta) * sum;
}

}  // namespace

double StudentT95(int degrees) {
  constexpr int kHalvings = 60;
  double low = 0.0;
  double high = std::numbers::pi / 2.0;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2.0;
    (CentralProbability(middle, degrees) < 0.95 ? low : high) = middle;
  }
  return std::sqrt(degrees) * std::tan(low);
}

std::vector<EvaluateConfig::Measure> MeasuresOf(const v1::EvaluateConfig& config) {
  if (config.measures().empty()) {
    return {EvaluateConfig::LOSS, EvaluateConfig::RECOVERY, EvaluateConfig::PARAMETERS};
  }
  std::vector<EvaluateConfig::Measure> measures = {EvaluateConfig::LOSS};
  for (const int measure : config.measures()) {
    if (std::find(measures.begin(), measures.end(), measure) == measures.end()) {
      measures.push_back(static_cast<EvaluateConfig::Measure>(measure));
    }
  }
  return measures;
}

v1::Evaluation FinishEvaluation(const v1::EvaluateConfig& config, v1::Evaluation measured,
                                const EvaluationFacts& facts) {
  DeriveAll(facts, &measured);
  const std::vector<EvaluateConfig::Measure> measures = MeasuresOf(config);
  std::vector<Group> done;
  SummarizeGroups(measures, measured.models(), &done, &measured);
  SummarizeGroups(measures, measured.baselines(), &done, &measured);
  for (v1::Evaluation::Verdict& verdict : Judge(config, measured)) {
    *measured.add_verdicts() = std::move(verdict);
  }
  return measured;
}

}  // namespace cherry
