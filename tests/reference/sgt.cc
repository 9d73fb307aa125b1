// cherry-reference-sgt OUT.safetensors [flags]: weights, batches, and what our selective training makes of
// them: the first step's gradients, the losses of some AdamW steps, validation sums, and the coupling before
// and after each.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/safetensors.h"
#include "common/status.h"
#include "common/token_labels.h"
#include "tests/reference/batches.h"
#include "tests/reference/tensors.h"
#include "worker/optim/adamw.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {
namespace {

constexpr int64_t kSteps = 3, kMicroBatches = 2, kBatch = 3, kLength = 40;
constexpr double kRate = 1e-3;

const ModelShape kShape = {.layers = 2, .dim = 64, .heads = 4, .kv_heads = 2, .ffn_dim = 96, .vocab = 256};

// "origin" into the model has the weights of one seed, as a model of its own those of another: an anchor at
// the very start weights would have neither loss nor gradient to compare.
class SeededModels final : public InputModels {
 public:
  absl::Status LoadInto(absl::string_view, LanguageModel* model) override {
    const at::NoGradGuard no_gradient;
    at::Tensor values = model->parameters().values();
    values.copy_(Transformer(kShape, {}, /*seed=*/7).parameters().values());
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<LanguageModel>> LoadModel(absl::string_view role) override {
    return std::make_unique<Transformer>(kShape, ModelOptions{}, role == "origin" ? 8 : 9);
  }
  absl::StatusOr<size_t> PartOf(absl::string_view) override { return 0; }
  absl::StatusOr<Batch> Calibration(int64_t, size_t) override { return absl::UnimplementedError("no data"); }
};

// A micro-batch whose tokens, labels and counted targets follow from its number.
Batch MakeBatch(int64_t number, bool responses) {
  Batch batch = NumberedBatch(number, kBatch, kLength, kShape.vocab);
  for (int64_t i = 0; i < kBatch * kLength; ++i) {
    // Spans of one to three tokens of each category in turn, with gaps between them.
    const int64_t place = (i + 3 * number) % 10;
    const int64_t category = ((i + 3 * number) / 10) % 4;
    const bool labelled = category > 0 && place < category;
    batch.labels.push_back(static_cast<uint8_t>(labelled ? category | (place == 0 ? kSpanStart : 0) : 0));
    if (responses && i % kLength < 5 * (1 + i / kLength)) {
      Uncount(i, &batch);
    }
  }
  return batch;
}

at::Tensor Bytes(const std::vector<uint8_t>& bytes) {
  return at::tensor(std::vector<int64_t>(bytes.begin(), bytes.end()), at::kLong);
}

struct Settings {
  std::string out;
  bool responses = false;
  v1::JobSpec spec;
};

class Run {
 public:
  Run(const Settings& settings, Recipe* recipe)
      : settings_(settings),
        recipe_(*recipe),
        optimizer_(&recipe->model().parameters(), {.max_grad_norm = 0.0}),
        single_(MakeSingleRank()) {}

  absl::Status Export(TensorList* out) {
    AddWeights("weight.", recipe_.model().parameters(), out);
    SeededModels inputs;
    ASSIGN_OR_RETURN(const auto origin, inputs.Load("origin"));
    ASSIGN_OR_RETURN(const auto reference, inputs.Load("sgt.reference"));
    AddWeights("origin.", origin->parameters(), out);
    AddWeights("reference.", reference->parameters(), out);
    std::vector<GroupSum> baseline(recipe_.validation_groups().size());
    recipe_.AddValidation(MakeBatch(1000, settings_.responses), absl::MakeSpan(baseline));
    recipe_.SetBaseline(baseline);
    for (int64_t step = 0; step < kSteps; ++step) {
      RETURN_IF_ERROR(Step(step, out));
    }
    std::vector<GroupSum> now(baseline.size());
    recipe_.AddValidation(MakeBatch(1000, settings_.responses), absl::MakeSpan(now));
    AddBatch("valid", MakeBatch(1000, settings_.responses), out);
    AddSums("baseline", baseline, out);
    AddSums("validation", now, out);
    std::string warning;
    for (const Measure& measure : recipe_.Compare(now, &warning)) {
      out->AddNumber(measure.name, measure.value);
    }
    return absl::OkStatus();
  }

 private:
  static void AddWeights(const std::string& prefix, const Parameters& parameters, TensorList* out) {
    for (const NamedParameter& parameter : parameters.list()) {
      out->Add(prefix + parameter.name, parameter.tensor);
    }
  }
  static void AddBatch(const std::string& name, const Batch& batch, TensorList* out) {
    out->Add(name + ".tokens", batch.tokens);
    out->Add(name + ".targets", batch.targets);
    out->Add(name + ".labels", Bytes(batch.labels));
    out->Add(name + ".samples", at::tensor(batch.samples, at::kLong));
  }
  static void AddSums(const std::string& name, const std::vector<GroupSum>& groups, TensorList* out) {
    std::vector<double> sums;
    for (const GroupSum& group : groups) {
      sums.insert(sums.end(), {group.loss, group.targets});
    }
    out->Add(name, at::tensor(sums, at::kDouble).to(at::kFloat));
  }

  absl::Status Step(int64_t step, TensorList* out) {
    std::vector<Batch> batches;
    TargetCounts totals;
    for (int64_t i = 0; i < kMicroBatches; ++i) {
      batches.push_back(MakeBatch(step * kMicroBatches + i, settings_.responses));
      const TargetCounts counts = recipe_.Count(batches.back());
      totals.supervised += counts.supervised;
      totals.others += counts.others;
      AddBatch(absl::StrCat("step", step, ".", i), batches.back(), out);
    }
    const Batch independent = MakeBatch((step + 1) * kMicroBatches, settings_.responses);
    StepView view;
    view.step = step;
    view.batches = batches;
    view.independent = &independent;
    view.collectives = {single_.get(), single_.get()};
    const bool probes = recipe_.Probes(step);
    if (probes) {
      RETURN_IF_ERROR(recipe_.BeforeUpdate(view));
    }
    recipe_.model().parameters().ZeroGradients();
    double loss = 0.0;
    for (const Batch& batch : batches) {
      const at::Tensor sum = recipe_.TrainingLoss(batch, totals);
      sum.backward();
      loss += sum.item<double>();
    }
    const std::string prefix = absl::StrCat("step", step, ".");
    out->AddNumber(prefix + "loss", loss / totals.supervised);
    out->AddNumber(prefix + "supervised", totals.supervised);
    out->AddNumber(prefix + "others", totals.others);
    if (step == 0) {
      for (const NamedParameter& parameter : recipe_.model().parameters().list()) {
        out->Add("gradient." + parameter.name, parameter.tensor.grad() / totals.supervised);
      }
    }
    optimizer_.Step(kRate, 1.0 / totals.supervised);
    if (probes) {
      std::vector<Measure> measures;
      RETURN_IF_ERROR(recipe_.AfterUpdate(view, &measures));
      for (const Measure& measure : measures) {
        out->AddNumber(prefix + measure.name, measure.value);
      }
    }
    return absl::OkStatus();
  }

  const Settings& settings_;
  Recipe& recipe_;
  AdamW optimizer_;
  std::unique_ptr<Collective> single_;
};

absl::Status Main(Settings settings, const std::string& selector, const std::string& scope) {
  v1::SgtConfig* const sgt = settings.spec.mutable_sgt();
  v1::SgtConfig::Selector parsed;
  v1::SgtConfig::Scope parsed_scope;
  if (!v1::SgtConfig::Selector_Parse(absl::AsciiStrToUpper(selector), &parsed) ||
      !v1::SgtConfig::Scope_Parse(absl::AsciiStrToUpper(scope), &parsed_scope)) {
    return absl::InvalidArgumentError("unknown selector or scope");
  }
  sgt->set_selector(parsed);
  sgt->set_scope(parsed_scope);
  sgt->set_coupling_every(1);
  for (const auto category : {v1::SgtConfig::FACT, v1::SgtConfig::REASON, v1::SgtConfig::CORRECT}) {
    sgt->add_categories(category);
  }
  settings.spec.mutable_train()->set_seed(5);
  const std::unique_ptr<Recipe> recipe = MakeSgtRecipe(settings.spec, kShape, at::kCPU);
  SeededModels inputs;
  RETURN_IF_ERROR(recipe->Prepare(&inputs));
  TensorList out;
  RETURN_IF_ERROR(Run(settings, recipe.get()).Export(&out));
  return WriteSafetensors(settings.out, out.items(), {}).status();
}

}  // namespace
}  // namespace cherry::trainer

int main(int argc, char** argv) {
  using cherry::trainer::Settings;
  Settings settings;
  std::string selector = "rule";
  std::string scope = "sequence";
  double budget = 0.15, anchor = 0.0, random_share = 0.0;
  CLI::App app("Exports our selective training's numbers for a comparison");
  app.add_option("out", settings.out)->required();
  app.add_option("--selector", selector);
  app.add_option("--scope", scope);
  app.add_option("--budget", budget);
  app.add_option("--anchor", anchor);
  app.add_option("--random-share", random_share);
  app.add_flag("--responses", settings.responses);
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(1);
  settings.spec.mutable_sgt()->set_budget(budget);
  settings.spec.mutable_sgt()->set_anchor(anchor);
  settings.spec.mutable_sgt()->set_random_share(random_share);
  const absl::Status status = cherry::trainer::Main(settings, selector, scope);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", cherry::Describe(status).c_str());
    return 1;
  }
  return 0;
}
