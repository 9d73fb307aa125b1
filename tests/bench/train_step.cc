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
#include "worker/trainer/device.h"

namespace cherry::trainer {
namespace {

struct Settings {
  ModelShape shape;
  int64_t batch = 16;
  int64_t length = 128;
  int threads = 2;
  bool default_allocator = false;
  bool cuda = false;
  bool bf16 = false;
};

class Run {
 public:
  Run(const Settings& settings, at::Device device)
      : settings_(settings),
        device_(device),
        model_(settings.shape, {.device = device, .compute = settings.bf16 ? at::kBFloat16 : at::kFloat},
               /*seed=*/1),
        optimizer_(&model_.parameters(), {}) {}

  // Forward, backward, clipping and AdamW; returns the seconds it took.
  double Step() {
    const at::Tensor ids =
        at::randint(settings_.shape.vocab, {settings_.batch, settings_.length + 1}, at::kLong);
    const at::Tensor tokens = ids.narrow(1, 0, settings_.length).to(device_).contiguous();
    const at::Tensor targets = ids.narrow(1, 1, settings_.length).to(device_).contiguous();
    const auto begin = std::chrono::steady_clock::now();
    model_.parameters().ZeroGradients();
    const LossSum loss = model_.Loss(tokens, targets);
    loss.sum.backward();
    optimizer_.Step(1e-3, 1.0 / static_cast<double>(loss.count.item<int64_t>()));
    if (!device_.is_cpu()) {
      // What is queued must be done: the weights are read.
      model_.parameters().values().select(0, 0).item<float>();
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

 private:
  Settings settings_;
  at::Device device_;
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
  app.add_flag("--cuda", settings.cuda);
  app.add_flag("--bf16", settings.bf16);
  CLI11_PARSE(app, argc, argv);
  shape.kv_heads = shape.heads;
  if (!settings.default_allocator && !ConfigureAllocator()) {
    std::cerr << "the allocator refuses its settings\n";
    return 1;
  }
  at::set_num_threads(settings.threads);
  v1::Slot slot;
  slot.set_device(settings.cuda ? v1::Resources::CUDA : v1::Resources::CPU);
  const absl::StatusOr<Device> device = OpenDevice(slot);
  if (!device.ok()) {
    std::cerr << device.status() << '\n';
    return 1;
  }
  Run run(settings, device->torch);
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
