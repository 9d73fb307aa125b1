// Models that recipes are prepared from, without checkpoints. One thread.
#ifndef CHERRY_TESTS_UNIT_WORKER_TRAINER_PARENTS_H_
#define CHERRY_TESTS_UNIT_WORKER_TRAINER_PARENTS_H_

#include <cstdint>
#include <limits>
#include <memory>

#include "tests/reference/batches.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {

inline const ModelShape kParent = {
    .layers = 2, .dim = 16, .heads = 2, .kv_heads = 2, .ffn_dim = 24, .vocab = 64};

// Models without a defect, or with one weight that is no number: nothing made of them equals anything.
class Parents final : public InputModels {
 public:
  explicit Parents(bool broken, uint64_t seed = 5) : broken_(broken), seed_(seed) {}
  absl::Status LoadInto(absl::string_view, LanguageModel*) override {
    return absl::UnimplementedError("unused");
  }
  absl::StatusOr<std::unique_ptr<LanguageModel>> LoadModel(absl::string_view) override {
    auto model = std::make_unique<Transformer>(kParent, ModelOptions{}, seed_);
    if (broken_) {
      model->parameters().Value("model.layers.1.mlp.up_proj.weight")[0][0] =
          std::numeric_limits<float>::quiet_NaN();
    }
    return model;
  }
  absl::StatusOr<Batch> Calibration(int64_t index, size_t) override {
    return PartlyCountedBatch(index, /*rows=*/2, /*length=*/12, kParent.vocab);
  }
  absl::StatusOr<size_t> PartOf(absl::string_view) override { return 0; }
  void Alive() override { ++signs_of_life_; }
  int64_t signs_of_life() const { return signs_of_life_; }

 private:
  const bool broken_;
  const uint64_t seed_;
  int64_t signs_of_life_ = 0;
};

}  // namespace cherry::trainer

#endif  // CHERRY_TESTS_UNIT_WORKER_TRAINER_PARENTS_H_
