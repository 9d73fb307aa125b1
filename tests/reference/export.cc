// cherry-reference-export OUT.safetensors [shape flags]: initial weights, batches, and what our model makes
// of them: logits, loss and gradients of the first batch, then losses and gradient norms of AdamW steps.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/model_plan.h"
#include "common/safetensors.h"
#include "common/status.h"
#include "worker/model/transformer.h"
#include "worker/optim/adamw.h"
#include "worker/optim/lr_schedule.h"

namespace cherry::trainer {
namespace {

struct Settings {
  std::string out;
  ModelShape shape;
  bool recompute = false;
  int64_t steps = 20;
  int64_t micro_batches = 2;
  int64_t batch = 3;
  int64_t length = 40;
  int threads = 2;
};

// Tensors to write, and what keeps their memory.
class Export {
 public:
  void Add(const std::string& name, const at::Tensor& tensor) {
    const at::Tensor copy = tensor.detach().to(at::kCPU).clone(at::MemoryFormat::Contiguous);
    kept_.push_back(copy);
    items_.push_back({name, copy.scalar_type() == at::kLong ? "I64" : "F32", copy.sizes().vec(),
                      copy.const_data_ptr(), static_cast<int64_t>(copy.nbytes())});
  }
  const std::vector<TensorBytes>& items() const { return items_; }

 private:
  std::vector<at::Tensor> kept_;
  std::vector<TensorBytes> items_;
};

// Tokens and targets [steps, micro_batches, batch, length]; every eleventh target does not count.
struct Batches {
  at::Tensor tokens, targets;
};

Batches MakeBatches(const Settings& settings) {
  const int64_t count = settings.steps * settings.micro_batches * settings.batch * (settings.length + 1);
  // A linear congruence modulo a prime: all tokens occur, without a generator that the two sides must share.
  const at::Tensor tokens = (at::arange(count, at::kLong) * 7919 + 104729)
                                .remainder(1000003)
                                .remainder(settings.shape.vocab)
                                .view({settings.steps, settings.micro_batches, settings.batch, -1});
  const at::Tensor targets = tokens.narrow(3, 1, settings.length).clone();
  targets.masked_fill_(at::arange(targets.numel(), at::kLong).remainder(11).eq(0).view_as(targets), -100);
  return {tokens.narrow(3, 0, settings.length).contiguous(), targets};
}

// One step's loss per target; gradients are left as sums over the targets.
double Accumulate(Transformer* model, const Batches& batches, int64_t step, int64_t* count) {
  model->parameters().ZeroGradients();
  double sum = 0.0;
  *count = 0;
  for (int64_t i = 0; i < batches.tokens.size(1); ++i) {
    const LossSum loss = model->Loss(batches.tokens[step][i], batches.targets[step][i]);
    loss.sum.backward();
    sum += loss.sum.item<double>();
    *count += loss.count.item<int64_t>();
  }
  return sum / static_cast<double>(*count);
}

void ExportRun(const Settings& settings, Export* out) {
  Transformer model(settings.shape, {.recompute_layers = settings.recompute}, /*seed=*/7);
  for (const NamedParameter& parameter : model.parameters().list()) {
    out->Add("weight." + parameter.name, parameter.tensor);
  }
  const Batches batches = MakeBatches(settings);
  out->Add("tokens", batches.tokens);
  out->Add("targets", batches.targets);
  {
    const at::NoGradGuard no_gradient;
    out->Add("logits", model.Logits(model.Hidden(batches.tokens[0][0])));
  }
  AdamW optimizer(&model.parameters(), {.max_grad_norm = 0.5});
  const LrSchedule schedule = {.peak = 3e-3, .minimum = 3e-4, .warmup_steps = 5, .steps = settings.steps};
  std::vector<double> losses, norms, rates;
  for (int64_t step = 0; step < settings.steps; ++step) {
    int64_t count = 0;
    losses.push_back(Accumulate(&model, batches, step, &count));
    if (step == 0) {
      for (const NamedParameter& parameter : model.parameters().list()) {
        out->Add("gradient." + parameter.name, parameter.tensor.grad() / static_cast<double>(count));
      }
    }
    rates.push_back(schedule.At(step));
    norms.push_back(optimizer.Step(rates.back(), 1.0 / static_cast<double>(count)));
  }
  const auto column = [](const std::vector<double>& values) {
    return at::tensor(values, at::kDouble).to(at::kFloat);
  };
  out->Add("losses", column(losses));
  out->Add("norms", column(norms));
  out->Add("rates", column(rates));
}

int Main(int argc, char** argv) {
  Settings settings;
  ModelShape& shape = settings.shape;
  shape = {.layers = 2, .dim = 64, .heads = 4, .kv_heads = 4, .ffn_dim = 96, .vocab = 256};
  CLI::App app("Exports our model's numbers for a comparison");
  app.add_option("out", settings.out)->required();
  app.add_option("--layers", shape.layers);
  app.add_option("--dim", shape.dim);
  app.add_option("--heads", shape.heads);
  app.add_option("--kv-heads", shape.kv_heads);
  app.add_option("--ffn-dim", shape.ffn_dim);
  app.add_option("--vocab", shape.vocab);
  app.add_option("--length", settings.length);
  app.add_option("--threads", settings.threads);
  app.add_flag("--tied", shape.tied_embeddings);
  app.add_flag("--qk-norm", shape.qk_norm);
  app.add_flag("--recompute", settings.recompute);
  app.add_option("--head-width", shape.head_width);
  app.add_option("--bias", shape.attention_bias, "0: none, 1: qkv, 2: all");
  app.add_flag_callback("--llama3", [&shape] {
    shape.rope_scaling.set_type(v1::RopeScaling::LLAMA3);
    shape.rope_scaling.set_factor(8.0);
    shape.rope_scaling.set_low_freq_factor(1.0);
    shape.rope_scaling.set_high_freq_factor(4.0);
    shape.rope_scaling.set_original_positions(32);
  });
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(settings.threads);
  Export out;
  ExportRun(settings, &out);
  const auto written = WriteSafetensors(settings.out, out.items(), {});
  if (!written.ok()) {
    std::fprintf(stderr, "%s\n", Describe(written.status()).c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace cherry::trainer

int main(int argc, char** argv) { return cherry::trainer::Main(argc, argv); }
