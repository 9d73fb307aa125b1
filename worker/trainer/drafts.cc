#include "worker/trainer/drafts.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <limits>

#include "common/status.h"

namespace cherry::trainer {
namespace {

at::Tensor Row(const std::vector<int64_t>& tokens, size_t begin, size_t end) {
  return at::tensor(at::ArrayRef<int64_t>(tokens.data() + begin, end - begin), at::kLong).unsqueeze(0);
}

int64_t Likeliest(Transformer* model, const at::Tensor& state) {
  return model->Logits(state).argmax(-1).item<int64_t>();
}

// Depth k reads at position i the state of depth k - 1 and token i + k. Its cache holds the positions whose
// token was not a draft; those of the last k - 1 positions were, and are read anew.
class ChainDrafter final : public Drafter {
 public:
  explicit ChainDrafter(Transformer* model) : model_(model) {}

  std::vector<int64_t> Draft(const std::vector<int64_t>& text, const at::Tensor& states,
                             int64_t count) override {
    const at::NoGradGuard no_gradient;
    const auto read = static_cast<int64_t>(text.size()) - 1;
    std::vector<int64_t> tokens = text;
    at::Tensor input = states;  // Of depth k - 1 at positions first to read - 1.
    int64_t first = read - states.size(1);
    caches_.resize(static_cast<size_t>(std::max<int64_t>(count, static_cast<int64_t>(caches_.size()))));
    for (int64_t k = 1; k <= count; ++k) {
      Depth& depth = caches_[static_cast<size_t>(k - 1)];
      const int64_t begin = depth.cache.length;
      input = WithKept(&depth, input, first, begin);
      first = begin;
      const at::Tensor made = model_->DecodeChain(
          input, Row(tokens, static_cast<size_t>(begin + k), static_cast<size_t>(read + k)), &depth.cache);
      tokens.push_back(Likeliest(model_, made.select(1, made.size(1) - 1)));
      // Tokens up to the last of `text` are real.
      const int64_t real = std::max<int64_t>(0, read + 1 - k);
      depth.kept = input.narrow(1, std::max<int64_t>(0, real - begin), read - std::max(real, begin));
      depth.cache.length = std::min(depth.cache.length, real);
      input = made;
    }
    return {tokens.begin() + read + 1, tokens.end()};
  }

 private:
  struct Depth {
    KvCache cache;
    at::Tensor kept;  // Inputs of positions that are not in the cache, from its length on.
  };

  // The inputs of positions `begin` and on: those kept before, then `input`, which starts at `first`.
  static at::Tensor WithKept(Depth* depth, const at::Tensor& input, int64_t first, int64_t begin) {
    if (first <= begin) {
      return input.narrow(1, begin - first, input.size(1) - (begin - first));
    }
    return at::cat({depth->kept.narrow(1, 0, first - begin), input}, 1);
  }

  Transformer* const model_;
  std::vector<Depth> caches_;
};

class LoopDrafter final : public Drafter {
 public:
  explicit LoopDrafter(Transformer* model) : model_(model) {}

  std::vector<int64_t> Draft(const std::vector<int64_t>& text, const at::Tensor&, int64_t count) override {
    model_->LimitRounds(1);
    std::vector<int64_t> tokens = text;
    for (int64_t i = 0; i < count; ++i) {
      const at::Tensor states =
          model_->DecodeStates(Row(tokens, static_cast<size_t>(cache_.length), tokens.size()), &cache_);
      tokens.push_back(Likeliest(model_, states.select(1, states.size(1) - 1)));
    }
    model_->LimitRounds(std::numeric_limits<int64_t>::max());
    // Of the drafts nothing is known yet.
    cache_.length = static_cast<int64_t>(text.size());
    return {tokens.begin() + static_cast<int64_t>(text.size()), tokens.end()};
  }

 private:
  Transformer* const model_;
  KvCache cache_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Drafter>> MakeDrafter(LanguageModel* model) {
  auto* const transformer = dynamic_cast<Transformer*>(model);
  if (transformer != nullptr && model->shape().token_chain) {
    return std::make_unique<ChainDrafter>(transformer);
  }
  if (transformer != nullptr && !model->shape().schedule.empty()) {
    return std::make_unique<LoopDrafter>(transformer);
  }
  return Error(absl::StatusCode::kFailedPrecondition, "DRAFTS_UNAVAILABLE", "--speculative",
               "--speculative: this model has nothing to draft with",
               "leave it out, or train with multi_token (form: chain), or compress with unroll.schedule");
}

}  // namespace cherry::trainer
