// cherry-bench-rows: what a step costs when only selected rows go through the head, against a step on all of
// them.
//
// One process: the arms of a size take turns, step by step, so that both sides meet the same machine. Prints
// the medians, their ratio, that of the FLOPs, and how much of it is reached.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "common/model_plan.h"
#include "common/token_labels.h"
#include "worker/kernels/allocator.h"
#include "worker/optim/adamw.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {
namespace {

struct Size {
  const char* name;
  ModelShape shape;
  int64_t sequences;
  int64_t length;
};

// Those of train_speed.sh.
const Size kSizes[] = {
    {"1.4M", {.layers = 4, .dim = 128, .heads = 4, .kv_heads = 4, .ffn_dim = 384, .vocab = 2048}, 16, 128},
    {"9M", {.layers = 6, .dim = 256, .heads = 4, .kv_heads = 4, .ffn_dim = 768, .vocab = 8192}, 8, 256},
    {"34M", {.layers = 8, .dim = 512, .heads = 8, .kv_heads = 8, .ffn_dim = 1408, .vocab = 8192}, 4, 256},
};

// Gives each model the weights it was made with.
class OwnWeights final : public InputModels {
 public:
  explicit OwnWeights(const ModelShape& shape) : shape_(shape) {}
  absl::Status LoadInto(absl::string_view, LanguageModel*) override { return absl::OkStatus(); }
  absl::StatusOr<std::unique_ptr<LanguageModel>> LoadModel(absl::string_view) override {
    return std::make_unique<Transformer>(shape_, ModelOptions{.frozen = true}, 1);
  }
  absl::StatusOr<size_t> PartOf(absl::string_view) override { return 0; }
  absl::StatusOr<Batch> Calibration(int64_t, size_t) override { return absl::UnimplementedError("no data"); }

 private:
  ModelShape shape_;
};

Batch MakeBatch(const Size& size, int64_t step) {
  Batch batch;
  const at::Tensor ids = at::randint(size.shape.vocab, {size.sequences, size.length + 1}, at::kLong);
  batch.tokens = ids.narrow(1, 0, size.length).contiguous();
  batch.targets = ids.narrow(1, 1, size.length).contiguous();
  batch.counted.assign(static_cast<size_t>(size.sequences * size.length), 1);
  for (size_t i = 0; i < batch.counted.size(); ++i) {
    batch.labels.push_back(static_cast<uint8_t>(i % 5 < 2 ? 1 | (i % 5 == 0 ? kSpanStart : 0) : 0));
  }
  for (int64_t i = 0; i < size.sequences; ++i) {
    batch.samples.push_back(step * size.sequences + i);
  }
  return batch;
}

class Arm {
 public:
  Arm(const Size& size, const char* name, v1::SgtConfig::Selector selector, double anchor) : name_(name) {
    v1::JobSpec spec;
    flops_ = FlopsPerToken(size.shape, size.length);
    if (selector == v1::SgtConfig::SELECTOR_UNSPECIFIED) {
      recipe_ = MakePretrainRecipe(spec, size.shape, at::kCPU);
    } else {
      v1::SgtConfig* const sgt = spec.mutable_sgt();
      sgt->set_selector(selector);
      sgt->set_budget(0.15);
      sgt->set_anchor(anchor);
      sgt->add_categories(v1::SgtConfig::FACT);
      flops_ = SgtFlopsPerToken(size.shape, size.length, *sgt);
      recipe_ = MakeSgtRecipe(spec, size.shape, at::kCPU);
      OwnWeights weights(size.shape);
      if (!recipe_->Prepare(&weights).ok()) {
        std::abort();
      }
    }
    optimizer_ = std::make_unique<AdamW>(&recipe_->model().parameters(), AdamWOptions());
  }

  void Step(const Batch& batch, bool count) {
    const auto begin = std::chrono::steady_clock::now();
    const TargetCounts targets = recipe_->Count(batch);
    recipe_->model().parameters().ZeroGradients();
    recipe_->TrainingLoss(batch, targets).backward();
    optimizer_->Step(1e-4, 1.0 / targets.supervised);
    if (count) {
      seconds_.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
  }

  const char* name() const { return name_; }
  double flops() const { return flops_; }
  double median() {
    std::nth_element(seconds_.begin(), seconds_.begin() + static_cast<int64_t>(seconds_.size() / 2),
                     seconds_.end());
    return seconds_[seconds_.size() / 2];
  }

 private:
  const char* name_;
  double flops_ = 0.0;
  std::unique_ptr<Recipe> recipe_;
  std::unique_ptr<AdamW> optimizer_;
  std::vector<double> seconds_;
};

void Measure(const Size& size, int steps) {
  std::vector<Arm> arms;
  arms.emplace_back(size, "full", v1::SgtConfig::SELECTOR_UNSPECIFIED, 0.0);
  arms.emplace_back(size, "random", v1::SgtConfig::RANDOM, 0.0);
  arms.emplace_back(size, "rule", v1::SgtConfig::RULE, 0.0);
  arms.emplace_back(size, "rule, anchor 1", v1::SgtConfig::RULE, 1.0);
  arms.emplace_back(size, "entropy", v1::SgtConfig::ENTROPY, 0.0);
  arms.emplace_back(size, "top_loss", v1::SgtConfig::TOP_LOSS, 0.0);
  constexpr int kWarmUp = 2;
  for (int step = 0; step < kWarmUp + steps; ++step) {
    const Batch batch = MakeBatch(size, step);
    for (Arm& arm : arms) {
      arm.Step(batch, step >= kWarmUp);
    }
  }
  const double full = arms[0].median();
  for (Arm& arm : arms) {
    const double faster = full / arm.median();
    const double less = arms[0].flops() / arm.flops();
    std::printf("%-5s %-15s %8.1f ms  faster %5.3f  less work %5.3f  reached %5.1f %%\n", size.name,
                arm.name(), 1e3 * arm.median(), faster, less, 100.0 * faster / less);
  }
}

int Main(int argc, char** argv) {
  int steps = 15;
  int threads = 2;
  std::string only;
  CLI::App app("Steps on selected rows against steps on all of them");
  app.add_option("--steps", steps);
  app.add_option("--threads", threads);
  app.add_option("--size", only, "1.4M, 9M or 34M; default all");
  CLI11_PARSE(app, argc, argv);
  if (!ConfigureAllocator()) {
    std::fprintf(stderr, "the allocator refuses its settings\n");
    return 1;
  }
  at::set_num_threads(threads);
  for (const Size& size : kSizes) {
    if (only.empty() || only == size.name) {
      Measure(size, steps);
    }
  }
  return 0;
}

}  // namespace
}  // namespace cherry::trainer

int main(int argc, char** argv) { return cherry::trainer::Main(argc, argv); }
