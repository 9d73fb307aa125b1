// cherry-reference-checkpoint DIRECTORY OUT.safetensors --tokenizer D --vocab V [shape flags]: a checkpoint
// as the trainer writes it, of random weights, and beside it tokens and the logits that our model gives for
// them; with --load those of a checkpoint that is there.
#include <ATen/ATen.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/hf_config.h"
#include "common/manifest.h"
#include "common/model_plan.h"
#include "common/safetensors.h"
#include "common/status.h"
#include "worker/checkpoint/load.h"
#include "worker/checkpoint/save.h"
#include "worker/model/language_model.h"
#include "worker/optim/adamw.h"
#include "worker/trainer/state_copy.h"

namespace cherry::trainer {
namespace {

struct Settings {
  std::string directory;
  std::string out;
  std::string tokenizer;
  bool load = false;
  bool no_router_bias = false;
  ModelShape shape;
  int64_t length = 48;
};

absl::Status Save(const Settings& settings, LanguageModel* model) {
  HostState state = MakeHostState(model->parameters());
  CopyToHost(model->parameters(), AdamW(&model->parameters(), {}), &state);
  SaveRequest request;
  const size_t slash = settings.directory.find_last_of('/');
  request.root = settings.directory.substr(0, slash);
  request.directory = settings.directory.substr(slash + 1);
  request.config = HfConfig(settings.shape, settings.length);
  request.tokenizer = settings.tokenizer;  // Its directory.
  *request.manifest.spec.mutable_model() = ToConfig(settings.shape);
  request.manifest.spec.mutable_train()->set_sequence_length(static_cast<int32_t>(settings.length));
  return WriteCheckpoint(request, state).status();
}

// Gains and norms start as ones, half of a low-rank product as zeros: other values show where they go.
void Scatter(const Settings& settings, LanguageModel* model) {
  at::manual_seed(7);
  for (const NamedParameter& parameter : model->parameters().list()) {
    const at::Tensor tensor = parameter.tensor.detach();
    if (absl::EndsWith(parameter.name, ".load_bias.weight")) {
      tensor.normal_(0.0, settings.no_router_bias ? 0.0 : 0.3);
    } else if (tensor.dim() == 1) {
      tensor.normal_(0.7, 0.2);
    } else if (absl::EndsWith(parameter.name, ".lora_b.weight") ||
               absl::EndsWith(parameter.name, ".injection.weight")) {
      tensor.normal_(0.0, 0.3);
    }
  }
}

absl::Status LoadInto(const std::string& directory, LanguageModel* model) {
  HostState state = MakeHostState(model->parameters(), /*moments=*/false);
  RETURN_IF_ERROR(LoadWeights(directory, &state));
  CopyFromHost(state, &model->parameters(), nullptr);
  return absl::OkStatus();
}

absl::Status Run(Settings settings) {
  if (settings.load) {
    ASSIGN_OR_RETURN(const std::string config, ReadFile(absl::StrCat(settings.directory, "/", kConfigFile)));
    ASSIGN_OR_RETURN(settings.shape, ParseHfConfig(config));
  }
  const std::unique_ptr<LanguageModel> model = MakeLanguageModel(settings.shape, {}, /*seed=*/7);
  if (!settings.load) {
    Scatter(settings, model.get());
  }
  RETURN_IF_ERROR(settings.load ? LoadInto(settings.directory, model.get()) : Save(settings, model.get()));
  const at::NoGradGuard no_gradient;
  const at::Tensor tokens = (at::arange(2 * settings.length, at::kLong) * 7919 + 104729)
                                .remainder(settings.shape.vocab)
                                .view({2, settings.length})
                                .contiguous();
  std::vector<at::Tensor> rows;
  for (int64_t i = 0; i < tokens.size(0); ++i) {
    KvCache cache;
    rows.push_back(model->Decode(tokens.narrow(0, i, 1), settings.length, &cache));
  }
  const at::Tensor logits = at::stack(rows).contiguous();
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
  app.add_option("--tokenizer", settings.tokenizer, "Directory of one");
  app.add_option("--vocab", shape.vocab);
  app.add_option("--kv-heads", shape.kv_heads);
  app.add_flag("--tied", shape.tied_embeddings);
  app.add_flag("--qk-norm", shape.qk_norm);
  app.add_option("--schedule", shape.schedule);
  app.add_flag("--serveable", shape.serveable);
  app.add_option("--lora-rank", shape.lora_rank);
  app.add_option("--head-dim", shape.head_width);
  app.add_option("--bias", shape.attention_bias, "0: none, 1: qkv, 2: all");
  app.add_option("--experts", shape.experts);
  app.add_option("--top-k", shape.top_k);
  app.add_flag_callback("--route-tokens", [&shape] { shape.routing = v1::FuseConfig::TOKEN; });
  app.add_flag("--no-router-bias", settings.no_router_bias);
  app.add_flag("--chain", shape.token_chain);
  app.add_flag_callback("--llama3", [&shape] {
    shape.rope_scaling.set_type(v1::RopeScaling::LLAMA3);
    shape.rope_scaling.set_factor(8.0);
    shape.rope_scaling.set_low_freq_factor(1.0);
    shape.rope_scaling.set_high_freq_factor(4.0);
    shape.rope_scaling.set_original_positions(32);
  });
  app.add_flag("--load", settings.load, "Only writes the logits of a checkpoint that is there");
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
