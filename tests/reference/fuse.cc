// cherry-reference-fuse OUT.safetensors [flags]: some models' weights, the mixture that our fusion makes of
// them, and its training's losses, gradients, loads and biases over some AdamW steps, and what it measures
// and decodes.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status.h"
#include "tests/reference/batches.h"
#include "tests/reference/tensors.h"
#include "worker/optim/adamw.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {
namespace {

constexpr int64_t kSteps = 6, kBatch = 3, kLength = 24;
constexpr double kRate = 1e-3;

ModelShape ExpertOf(const std::string& schedule) {
  return {
      .layers = 3, .dim = 32, .heads = 4, .kv_heads = 2, .ffn_dim = 48, .vocab = 128, .schedule = schedule};
}

Batch MakeBatch(int64_t number) { return PartlyCountedBatch(number, kBatch, kLength, 128); }

// Experts with weights of their own, large enough to tell apart.
class Experts final : public InputModels {
 public:
  explicit Experts(const ModelShape& shape) : shape_(shape) {}
  absl::Status LoadInto(absl::string_view, LanguageModel*) override {
    return absl::UnimplementedError("unused");
  }
  absl::StatusOr<std::unique_ptr<LanguageModel>> LoadModel(absl::string_view role) override {
    auto model = std::make_unique<Transformer>(shape_, ModelOptions{.frozen = true}, 1);
    at::manual_seed(static_cast<uint64_t>(20 + Number(role)));
    for (const NamedParameter& parameter : model->parameters().list()) {
      at::Tensor tensor = parameter.tensor.detach();
      tensor.dim() == 1 ? tensor.normal_(1.0, 0.2) : tensor.normal_(0.0, 0.08);
    }
    return model;
  }
  absl::StatusOr<Batch> Calibration(int64_t index, size_t part) override {
    return MakeBatch(500 + index + 100 * static_cast<int64_t>(part));
  }
  absl::StatusOr<size_t> PartOf(absl::string_view role) override { return static_cast<size_t>(Number(role)); }

 private:
  static int Number(absl::string_view role) {
    return absl::ConsumePrefix(&role, "experts[") ? role[0] - '0' : 0;
  }
  const ModelShape shape_;
};

void AddWeights(const std::string& prefix, const Parameters& parameters, TensorList* out) {
  for (const NamedParameter& parameter : parameters.list()) {
    out->Add(prefix + parameter.name, parameter.tensor);
  }
}

void AddStep(int64_t step, Recipe* recipe, AdamW* optimizer, TensorList* out) {
  LanguageModel& model = recipe->model();
  recipe->BeginStep(step);
  const Batch batch = MakeBatch(step);
  const TargetCounts counts = recipe->Count(batch);
  const std::string prefix = absl::StrCat("step", step, ".");
  model.parameters().ZeroGradients();
  const at::Tensor loss = recipe->TrainingLoss(batch, counts);
  loss.backward();
  out->Add(prefix + "tokens", batch.tokens);
  out->Add(prefix + "targets", batch.targets);
  out->AddNumber(prefix + "loss", loss.item<double>() / counts.supervised);
  for (const NamedParameter& parameter : model.parameters().list()) {
    out->Add(absl::StrCat(prefix, "before.", parameter.name), parameter.tensor);
    out->Add(absl::StrCat(prefix, "gradient.", parameter.name), parameter.tensor.grad() / counts.supervised);
  }
  optimizer->Step(kRate, 1.0 / counts.supervised);
  const Routing routing = model.TakeRouting();
  model.Settle(routing);
  if (!routing.loads.empty()) {
    out->Add(prefix + "loads", at::tensor(routing.loads, at::kDouble));
    out->AddNumber(prefix + "entropy", routing.entropy / routing.tokens);
  }
  AddWeights(prefix + "after.", model.parameters(), out);
}

absl::Status Export(const v1::JobSpec& spec, const ModelShape& expert, const ModelShape& shape,
                    TensorList* out) {
  const std::unique_ptr<Recipe> recipe = MakeFuseRecipe(spec, shape, at::kCPU);
  Experts inputs(expert);
  for (int i = 0; i < spec.experts_size(); ++i) {
    ASSIGN_OR_RETURN(const auto model, inputs.LoadModel(absl::StrCat("experts[", i, "]")));
    AddWeights(absl::StrCat("expert", i, "."), model->parameters(), out);
  }
  RETURN_IF_ERROR(recipe->Prepare(&inputs));
  LanguageModel& model = recipe->model();
  AddWeights("start.", model.parameters(), out);
  AdamW optimizer(&model.parameters(), {.weight_decay = 0.0, .max_grad_norm = 0.0});
  for (int64_t step = 0; step < kSteps; ++step) {
    AddStep(step, recipe.get(), &optimizer, out);
  }
  const Batch held_out = MakeBatch(1000);
  std::vector<GroupSum> sums(recipe->validation_groups().size());
  recipe->AddValidation(held_out, absl::MakeSpan(sums));
  out->Add("valid.tokens", held_out.tokens);
  out->Add("valid.targets", held_out.targets);
  for (size_t i = 0; i < sums.size(); ++i) {
    out->AddNumber(absl::StrCat("valid.", i), sums[i].mean());
  }
  out->Add("valid.rows", model.RowLosses(held_out.tokens, held_out.targets));
  KvCache cache;
  out->Add("decoded", model.Decode(held_out.tokens.narrow(0, 0, 1), kLength, &cache));
  return absl::OkStatus();
}

}  // namespace
}  // namespace cherry::trainer

int main(int argc, char** argv) {
  std::string out, routing = "ffn", balance = "loss_free", start = "normal", schedule, form = "chain",
                   curriculum = "none";
  int experts = 2, top_k = 2, depth = 0;
  double rate = 0.05, weight = 0.3;
  CLI::App app("Exports our fusion's numbers for a comparison");
  app.add_option("out", out)->required();
  app.add_option("--experts", experts);
  app.add_option("--top-k", top_k);
  app.add_option("--routing", routing);
  app.add_option("--balance", balance);
  app.add_option("--rate", rate);
  app.add_option("--start", start);
  app.add_option("--schedule", schedule);
  app.add_option("--depth", depth);
  app.add_option("--form", form);
  app.add_option("--weight", weight);
  app.add_option("--curriculum", curriculum);
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(1);
  using cherry::v1::FuseConfig;
  using cherry::v1::MultiTokenConfig;
  cherry::v1::JobSpec spec;
  spec.mutable_train()->set_steps(cherry::trainer::kSteps);
  spec.mutable_train()->set_seed(1);
  FuseConfig* const fuse = spec.mutable_fuse();
  FuseConfig::Routing parsed_routing = FuseConfig::FFN;
  FuseConfig::Balance parsed_balance = FuseConfig::LOSS_FREE;
  FuseConfig::RouterStart parsed_start;
  MultiTokenConfig::Form parsed_form = MultiTokenConfig::CHAIN;
  MultiTokenConfig::Curriculum parsed_curriculum;
  if (!FuseConfig::Routing_Parse(absl::AsciiStrToUpper(routing), &parsed_routing) ||
      !FuseConfig::Balance_Parse(absl::AsciiStrToUpper(balance), &parsed_balance) ||
      !FuseConfig::RouterStart_Parse(absl::AsciiStrToUpper(start), &parsed_start) ||
      !MultiTokenConfig::Form_Parse(absl::AsciiStrToUpper(form), &parsed_form) ||
      !MultiTokenConfig::Curriculum_Parse(absl::AsciiStrToUpper(curriculum), &parsed_curriculum)) {
    std::fprintf(stderr, "unknown routing, balance, start, form or curriculum\n");
    return 2;
  }
  fuse->set_routing(parsed_routing);
  fuse->set_balance(parsed_balance);
  fuse->set_balance_rate(rate);
  fuse->set_router_start(parsed_start);
  MultiTokenConfig* const multi_token = spec.mutable_multi_token();
  multi_token->set_depth(depth);
  multi_token->set_form(parsed_form);
  multi_token->set_curriculum(parsed_curriculum);
  multi_token->set_weight(weight);
  const cherry::ModelShape expert = cherry::trainer::ExpertOf(schedule);
  cherry::ModelShape shape = expert;
  for (int i = 0; i < experts; ++i) {
    spec.add_experts();
  }
  if (parsed_routing != FuseConfig::SOUP) {
    shape.experts = experts;
    shape.top_k = top_k;
    shape.routing = parsed_routing;
  }
  shape.balance = parsed_balance;
  shape.balance_rate = rate;
  shape.token_chain = depth > 0 && parsed_form == MultiTokenConfig::CHAIN;
  cherry::trainer::TensorList list;
  absl::Status status = cherry::trainer::Export(spec, expert, shape, &list);
  if (status.ok()) {
    status = cherry::WriteSafetensors(out, list.items(), {}).status();
  }
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", cherry::Describe(status).c_str());
    return 1;
  }
  return 0;
}
