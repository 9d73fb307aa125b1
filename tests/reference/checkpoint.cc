// cherry-reference-checkpoint DIRECTORY OUT.safetensors --tokenizer F --vocab V [shape flags]: a checkpoint
// as the trainer writes it, of initial weights, and beside it tokens and the logits that our model gives for
// them.
#include <ATen/ATen.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "absl/strings/match.h"
#include "common/model_plan.h"
#include "common/safetensors.h"
#include "common/status.h"
#include "worker/checkpoint/hf_config.h"
#include "worker/checkpoint/save.h"
#include "worker/model/transformer.h"
#include "worker/optim/adamw.h"
#include "worker/trainer/state_copy.h"

namespace cherry::trainer {
namespace {

struct Settings {
  std::string directory;
  std::string out;
  std::string tokenizer;
  ModelShape shape;
  int64_t length = 48;
};

absl::Status Save(const Settings& settings, const Transformer& model, const AdamW& optimizer) {
  HostState state = MakeHostState(model.parameters());
  CopyToHost(model.parameters(), optimizer, &state);
  SaveRequest request;
  const size_t slash = settings.directory.find_last_of('/');
  request.root = settings.directory.substr(0, slash);
  request.directory = settings.directory.substr(slash + 1);
  request.config = HfConfig(settings.shape, settings.length);
  request.tokenizer = settings.tokenizer;
  *request.manifest.spec.mutable_model() = ToConfig(settings.shape);
  request.manifest.spec.mutable_train()->set_sequence_length(static_cast<int32_t>(settings.length));
  return WriteCheckpoint(request, state).status();
}

absl::Status Run(const Settings& settings) {
  Transformer model(settings.shape, {}, /*seed=*/7);
  // Gains and norms start as ones, half of a low-rank product as zeros: other values show where they go.
  at::manual_seed(7);
  for (const NamedParameter& parameter : model.parameters().list()) {
    if (parameter.tensor.dim() == 1) {
      parameter.tensor.detach().normal_(0.7, 0.2);
    } else if (absl::EndsWith(parameter.name, ".lora_b.weight")) {
      parameter.tensor.detach().normal_(0.0, 0.3);
    }
  }
  const AdamW optimizer(&model.parameters(), {});
  RETURN_IF_ERROR(Save(settings, model, optimizer));
  const at::NoGradGuard no_gradient;
  const at::Tensor tokens = (at::arange(2 * settings.length, at::kLong) * 7919 + 104729)
                                .remainder(settings.shape.vocab)
                                .view({2, settings.length})
                                .contiguous();
  const at::Tensor logits = model.Logits(model.Hidden(tokens)).contiguous();
  const std::vector<TensorBytes> tensors = {
      {"tokens", "I64", tokens.sizes().vec(), tokens.const_data_ptr(), static_cast<int64_t>(tokens.nbytes())},
      {"logits", "F32", logits.sizes().vec(), logits.const_data_ptr(),
       static_cast<int64_t>(logits.nbytes())}};
  return WriteSafetensors(settings.out, tensors, {}).status();
}

int Main(int argc, char** argv) {
  Settings settings;
  ModelShape& shape = settings.shape;
  shape = {.layers = 2, .dim = 64, .heads = 4, .kv_heads = 4, .ffn_dim = 96, .vocab = 0};
  CLI::App app("Writes a checkpoint of initial weights, and its logits");
  app.add_option("directory", settings.directory, "Absolute")->required();
  app.add_option("out", settings.out)->required();
  app.add_option("--tokenizer", settings.tokenizer)->required();
  app.add_option("--vocab", shape.vocab)->required();
  app.add_option("--kv-heads", shape.kv_heads);
  app.add_flag("--tied", shape.tied_embeddings);
  app.add_flag("--qk-norm", shape.qk_norm);
  app.add_option("--schedule", shape.schedule);
  app.add_flag("--serveable", shape.serveable);
  app.add_option("--lora-rank", shape.lora_rank);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = Run(settings);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", Describe(status).c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace cherry::trainer

int main(int argc, char** argv) { return cherry::trainer::Main(argc, argv); }
