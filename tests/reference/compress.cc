// cherry-reference-compress OUT.safetensors [flags]: a deep model's weights, what our compression makes of
// them, and the first step's gradients, losses of some AdamW steps, and validation.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "tests/reference/batches.h"
#include "tests/reference/tensors.h"
#include "worker/optim/adamw.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {
namespace {

constexpr int64_t kSteps = 4, kBatch = 3, kLength = 24;
constexpr double kRate = 1e-3;

// What is compressed; one of the cases has biases.
ModelShape deep_shape = {.layers = 6, .dim = 32, .heads = 4, .kv_heads = 2, .ffn_dim = 48, .vocab = 128};

void Randomise(Transformer* model) {
  // Initial layers hardly change the state, and their norms are alike: other weights show what is done with
  // them.
  at::manual_seed(11);
  for (const NamedParameter& parameter : model->parameters().list()) {
    at::Tensor tensor = parameter.tensor.detach();
    tensor.dim() == 1 ? tensor.normal_(1.0, 0.2) : tensor.normal_(0.0, 0.08);
  }
}

Batch MakeBatch(int64_t number) { return PartlyCountedBatch(number, kBatch, kLength, deep_shape.vocab); }

class DeepModel final : public InputModels {
 public:
  absl::Status LoadInto(absl::string_view, LanguageModel*) override {
    return absl::UnimplementedError("unused");
  }
  absl::StatusOr<std::unique_ptr<LanguageModel>> LoadModel(absl::string_view) override {
    auto model = std::make_unique<Transformer>(deep_shape, ModelOptions{.frozen = true}, 1);
    Randomise(model.get());
    return model;
  }
  absl::StatusOr<size_t> PartOf(absl::string_view) override { return 0; }
  absl::StatusOr<Batch> Calibration(int64_t index, size_t) override { return MakeBatch(500 + index); }
};

void AddWeights(const std::string& prefix, const Parameters& parameters, TensorList* out) {
  for (const NamedParameter& parameter : parameters.list()) {
    out->Add(prefix + parameter.name, parameter.tensor);
  }
}

absl::Status Export(const v1::JobSpec& spec, const ModelShape& shape, TensorList* out) {
  const std::unique_ptr<Recipe> recipe = MakeCompressRecipe(spec, shape, at::kCPU);
  DeepModel inputs;
  ASSIGN_OR_RETURN(const auto deep, inputs.Load("origin"));
  AddWeights("deep.", deep->parameters(), out);
  RETURN_IF_ERROR(recipe->Prepare(&inputs));
  AddWeights("start.", recipe->model().parameters(), out);
  const Batch held_out = MakeBatch(1000);
  std::vector<GroupSum> baseline(2);
  recipe->AddValidation(held_out, absl::MakeSpan(baseline));
  recipe->SetBaseline(baseline);
  AdamW optimizer(&recipe->model().parameters(), {.weight_decay = 0.0, .max_grad_norm = 0.0});
  for (int64_t step = 0; step < kSteps; ++step) {
    recipe->BeginStep(step);
    const Batch batch = MakeBatch(step);
    const TargetCounts counts = recipe->Count(batch);
    recipe->model().parameters().ZeroGradients();
    const at::Tensor loss = recipe->TrainingLoss(batch, counts);
    loss.backward();
    const std::string prefix = absl::StrCat("step", step, ".");
    out->Add(prefix + "tokens", batch.tokens);
    out->Add(prefix + "targets", batch.targets);
    out->AddNumber(prefix + "loss", loss.item<double>() / counts.supervised);
    for (const NamedParameter& parameter : recipe->model().parameters().list()) {
      out->Add(absl::StrCat(prefix, "before.", parameter.name), parameter.tensor);
      out->Add(absl::StrCat(prefix, "gradient.", parameter.name),
               parameter.tensor.grad() / counts.supervised);
    }
    optimizer.Step(kRate, 1.0 / counts.supervised);
    AddWeights(prefix + "after.", recipe->model().parameters(), out);
  }
  std::vector<GroupSum> now(2);
  recipe->AddValidation(held_out, absl::MakeSpan(now));
  out->Add("valid.tokens", held_out.tokens);
  out->Add("valid.targets", held_out.targets);
  out->AddNumber("valid.start", baseline[0].mean());
  out->AddNumber("valid.teacher", baseline[1].mean());
  out->AddNumber("valid.end", now[0].mean());
  std::string warning;
  for (const Measure& measure : recipe->Compare(now, &warning)) {
    out->AddNumber(measure.name, measure.value);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace cherry::trainer

int main(int argc, char** argv) {
  std::string out, method = "mean", schedule, start = "identity", ends = "merge";
  std::vector<int> growth;
  bool serveable = false;
  double alpha = 1.0, temperature = 1.0, hidden_weight = 0.0;
  bool biased = false;
  cherry::ModelShape shape = cherry::trainer::deep_shape;
  CLI::App app("Exports our compression's numbers for a comparison");
  app.add_option("out", out)->required();
  app.add_option("--layers", shape.layers)->required();
  app.add_option("--method", method);
  app.add_option("--ends", ends);
  app.add_option("--schedule", schedule);
  app.add_option("--start", start);
  app.add_option("--growth", growth)->delimiter(',');
  app.add_flag("--serveable", serveable);
  app.add_flag("--biased", biased, "Biases of queries, keys, values and the output");
  app.add_option("--lora-rank", shape.lora_rank);
  app.add_option("--alpha", alpha);
  app.add_option("--temperature", temperature);
  app.add_option("--hidden-weight", hidden_weight);
  CLI11_PARSE(app, argc, argv);
  if (biased) {
    shape.attention_bias = cherry::trainer::deep_shape.attention_bias = cherry::v1::ModelConfig::ALL;
  }
  at::set_num_threads(1);
  using cherry::v1::CompressConfig;
  using cherry::v1::UnrollConfig;
  cherry::v1::JobSpec spec;
  spec.mutable_train()->set_steps(cherry::trainer::kSteps);
  CompressConfig* const compress = spec.mutable_compress();
  CompressConfig::Method parsed_method;
  CompressConfig::Ends parsed_ends;
  UnrollConfig::Start parsed_start;
  if (!CompressConfig::Method_Parse(absl::AsciiStrToUpper(method), &parsed_method) ||
      !CompressConfig::Ends_Parse(absl::AsciiStrToUpper(ends), &parsed_ends) ||
      !UnrollConfig::Start_Parse(absl::AsciiStrToUpper(start), &parsed_start)) {
    std::fprintf(stderr, "unknown method, ends or start\n");
    return 1;
  }
  compress->set_layers(static_cast<int>(shape.layers));
  compress->set_method(parsed_method);
  compress->set_ends(parsed_ends);
  compress->mutable_unroll()->set_start(parsed_start);
  for (const int rounds : growth) {
    compress->mutable_unroll()->add_growth(rounds);
  }
  compress->mutable_recover()->set_alpha(alpha);
  compress->mutable_recover()->set_temperature(temperature);
  compress->mutable_recover()->set_hidden_weight(hidden_weight);
  shape.schedule = schedule;
  shape.serveable = serveable;
  cherry::trainer::TensorList tensors;
  absl::Status status = cherry::trainer::Export(spec, shape, &tensors);
  if (status.ok()) {
    status = cherry::WriteSafetensors(out, tensors.items(), {}).status();
  }
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", cherry::Describe(status).c_str());
    return 1;
  }
  return 0;
}
