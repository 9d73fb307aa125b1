// cherry-bench-train: times optimizer steps of our training engine on synthetic tokens.
//
// Prints "ready" after the warm-up. Then each line "N" on standard input runs N steps and prints their
// seconds on one line, so that a driver can take turns with other programs.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <string>

#include "worker/kernels/allocator.h"
#include "worker/model/transformer.h"
#include "worker/optim/adamw.h"

namespace cherry::trainer {
namespace {

struct Settings {
  ModelShape shape;
  int64_t batch = 16;
  int64_t length = 128;
  int threads = 2;
  bool default_allocator = false;
};

class Run {
 public:
  explicit Run(const Settings& settings)
      : settings_(settings), model_(settings.shape, {}, /*seed=*/1), optimizer_(&model_.parameters(), {}) {}

  // Forward, backward, clipping and AdamW; returns the seconds it took.
  double Step() {
    const at::Tensor ids =
        at::randint(settings_.shape.vocab, {settings_.batch, settings_.length + 1}, at::kLong);
    const at::Tensor tokens = ids.narrow(1, 0, settings_.length).contiguous();
    const at::Tensor targets = ids.narrow(1, 1, settings_.length).contiguous();
    const auto begin = std::chrono::steady_clock::now();
    model_.parameters().ZeroGradients();
    const LossSum loss = model_.Loss(tokens, targets);
    loss.sum.backward();
    optimizer_.Step(1e-3, 1.0 / static_cast<double>(loss.count.item<int64_t>()));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

 private:
  Settings settings_;
  Transformer model_;
  AdamW optimizer_;
};

int Main(int argc, char** argv) {
  Settings settings;
  ModelShape& shape = settings.shape;
  shape = {.layers = 4, .dim = 128, .heads = 4, .kv_heads = 4, .ffn_dim = 384, .vocab = 2048};
  CLI::App app("Times training steps");
  app.add_option("--layers", shape.layers);
  app.add_option("--dim", shape.dim);
  app.add_option("--heads", shape.heads);
  app.add_option("--ffn-dim", shape.ffn_dim);
  app.add_option("--vocab", shape.vocab);
  app.add_option("--batch", settings.batch);
  app.add_option("--length", settings.length);
  app.add_option("--threads", settings.threads);
  app.add_flag("--default-allocator", settings.default_allocator);
  CLI11_PARSE(app, argc, argv);
  shape.kv_heads = shape.heads;
  if (!settings.default_allocator && !ConfigureAllocator()) {
    std::cerr << "the allocator refuses its settings\n";
    return 1;
  }
  at::set_num_threads(settings.threads);
  Run run(settings);
  for (int i = 0; i < 3; ++i) {
    run.Step();
  }
  std::cout << "ready " << CountParameters(shape) << std::endl;
  for (int64_t count = 0; std::cin >> count;) {
    for (int64_t i = 0; i < count; ++i) {
      std::cout << run.Step() << ' ';
    }
    std::cout << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace cherry::trainer

int main(int argc, char** argv) { return cherry::trainer::Main(argc, argv); }
