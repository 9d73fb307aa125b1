#include "worker/model/transformer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace cherry::trainer {
namespace {

ModelShape Small() {
  return {.layers = 3, .dim = 32, .heads = 4, .kv_heads = 2, .ffn_dim = 48, .vocab = 64, .qk_norm = true};
}

at::Tensor Tokens(int64_t batch, int64_t length, int64_t shift = 0) {
  return (at::arange(batch * length, at::kLong) * 31 + shift).remainder(61).view({batch, length});
}

// Gradients of the loss, flat.
at::Tensor Gradients(Transformer* model, double* loss = nullptr) {
  model->parameters().ZeroGradients();
  const LossSum sum = model->Loss(Tokens(2, 20), Tokens(2, 20, 31));
  sum.sum.backward();
  if (loss != nullptr) {
    *loss = sum.sum.item<double>();
  }
  return model->parameters().gradients().clone();
}

TEST(Transformer, HasAsManyParametersAsItsPlan) {
  for (const bool tied : {false, true}) {
    ModelShape shape = Small();
    shape.tied_embeddings = tied;
    int64_t count = 0;
    for (const ParameterSpec& spec : TransformerParameters(shape)) {
      int64_t elements = 1;
      for (const int64_t extent : spec.shape) {
        elements *= extent;
      }
      count += elements;
    }
    EXPECT_EQ(count, CountParameters(shape));
  }
}

TEST(Transformer, LoopsWithProductsHaveAsManyParametersAsTheirPlan) {
  ModelShape shape = Small();
  const std::string layers = std::to_string(shape.layers);
  double flops = 0.0;
  for (const int64_t rank : {0, 3}) {
    shape.schedule = layers + "x3";
    shape.lora_rank = rank;
    const Transformer model(shape, {}, 1);
    int64_t count = 0;
    int64_t products = 0;
    for (const NamedParameter& parameter : model.parameters().list()) {
      count += parameter.tensor.numel();
      products += parameter.name.find(".lora_") == std::string::npos ? 0 : parameter.tensor.numel();
    }
    EXPECT_EQ(count, CountParameters(shape));
    EXPECT_EQ(products > 0, rank > 0);
    // Each of them is applied once, forward and backward.
    EXPECT_DOUBLE_EQ(FlopsPerToken(shape, 16), flops + 6.0 * static_cast<double>(products) +
                                                   (rank == 0 ? FlopsPerToken(shape, 16) : 0.0));
    flops = FlopsPerToken(shape, 16);
  }
}

TEST(Transformer, NamesParametersAsHuggingFace) {
  Transformer model(Small(), {}, 1);
  for (const char* name : {"model.embed_tokens.weight", "model.layers.0.input_layernorm.weight",
                           "model.layers.2.self_attn.q_proj.weight", "model.layers.2.self_attn.k_norm.weight",
                           "model.layers.1.post_attention_layernorm.weight",
                           "model.layers.1.mlp.down_proj.weight", "model.norm.weight", "lm_head.weight"}) {
    EXPECT_GE(model.parameters().Find(name), 0) << name;
  }
  ModelShape tied = Small();
  tied.tied_embeddings = true;
  EXPECT_EQ(Transformer(tied, {}, 1).parameters().Find("lm_head.weight"), -1);
}

TEST(Transformer, DecaysMatricesOnlyAndScalesResidualProjections) {
  ModelShape shape = Small();
  shape.init_std = 0.3;
  for (const ParameterSpec& spec : TransformerParameters(shape)) {
    EXPECT_EQ(spec.decay, spec.shape.size() == 2) << spec.name;
    const bool residual =
        spec.name.find("o_proj") != std::string::npos || spec.name.find("down_proj") != std::string::npos;
    const double expected = !spec.decay ? 0.0 : residual ? 0.3 / std::sqrt(6.0) : 0.3;
    EXPECT_DOUBLE_EQ(spec.init_std, expected) << spec.name;
  }
}

TEST(Transformer, StartsNearTheUniformLoss) {
  Transformer model(Small(), {}, 1);
  const LossSum loss = model.Loss(Tokens(4, 20), Tokens(4, 20, 31));
  EXPECT_EQ(loss.count.item<int64_t>(), 80);
  EXPECT_NEAR(loss.sum.item<double>() / 80, std::log(64.0), 0.1);
}

TEST(Transformer, CountsNoIgnoredTarget) {
  Transformer model(Small(), {}, 1);
  at::Tensor targets = Tokens(2, 20, 31);
  targets.narrow(1, 0, 5).fill_(-100);
  const LossSum some = model.Loss(Tokens(2, 20), targets);
  EXPECT_EQ(some.count.item<int64_t>(), 30);
  targets.narrow(1, 5, 15).fill_(-100);
  targets.narrow(1, 0, 5).copy_(Tokens(2, 20, 31).narrow(1, 0, 5));
  const LossSum others = model.Loss(Tokens(2, 20), targets);
  const LossSum all = model.Loss(Tokens(2, 20), Tokens(2, 20, 31));
  EXPECT_NEAR(some.sum.item<double>() + others.sum.item<double>(), all.sum.item<double>(), 1e-3);
}

TEST(Transformer, GradientAgreesWithFiniteDifferences) {
  ModelShape shape = Small();
  shape.init_std = 0.3;
  Transformer model(shape, {}, 5);
  const at::Tensor gradient = Gradients(&model);
  const at::Tensor direction = gradient / gradient.norm();
  const auto loss_at = [&](double distance) {
    const at::NoGradGuard no_gradient;
    model.parameters().values().add_(direction, distance);
    const double loss = model.Loss(Tokens(2, 20), Tokens(2, 20, 31)).sum.item<double>();
    model.parameters().values().add_(direction, -distance);
    return loss;
  };
  const double slope = (loss_at(1e-2) - loss_at(-1e-2)) / 2e-2;
  EXPECT_NEAR(slope / gradient.norm().item<double>(), 1.0, 5e-3);
}

TEST(Transformer, RecomputingLayersChangesNoBit) {
  Transformer kept(Small(), {}, 2), recomputed(Small(), {.recompute_layers = true}, 2);
  double kept_loss = 0.0, recomputed_loss = 0.0;
  const at::Tensor expected = Gradients(&kept, &kept_loss);
  EXPECT_TRUE(at::equal(Gradients(&recomputed, &recomputed_loss), expected));
  EXPECT_EQ(kept_loss, recomputed_loss);
  EXPECT_GT(expected.norm().item<double>(), 0.0);
}

TEST(Transformer, TellsEachGradientOnceFromTheEnd) {
  for (const bool recompute : {false, true}) {
    ModelShape shape = Small();
    shape.tied_embeddings = true;
    Transformer model(shape, {.recompute_layers = recompute}, 2);
    std::vector<size_t> ready;
    model.parameters().SetGradientHook([&](size_t index) { ready.push_back(index); });
    Gradients(&model);
    std::vector<size_t> sorted = ready;
    std::sort(sorted.begin(), sorted.end());
    ASSERT_EQ(sorted.size(), model.parameters().list().size());
    EXPECT_EQ(std::unique(sorted.begin(), sorted.end()), sorted.end());
    EXPECT_EQ(ready.back(), 0u);  // The tied embedding: used first and last.
    // A layer's gradients come before those of the layers in front of it.
    const auto position = [&](const char* name) {
      const size_t index = static_cast<size_t>(model.parameters().Find(name));
      return std::find(ready.begin(), ready.end(), index) - ready.begin();
    };
    EXPECT_LT(position("model.layers.2.input_layernorm.weight"),
              position("model.layers.1.mlp.down_proj.weight"));
    EXPECT_LT(position("model.layers.1.input_layernorm.weight"),
              position("model.layers.0.mlp.down_proj.weight"));
  }
}

TEST(Transformer, DecodesWhatAFullForwardGives) {
  Transformer model(Small(), {}, 4);
  const at::Tensor ids = Tokens(1, 150);
  const at::Tensor full = [&] {
    const at::NoGradGuard no_gradient;
    return model.Logits(model.Hidden(ids))[0];
  }();
  KvCache cache;
  // A prompt, a second piece of several tokens, then one at a time.
  const auto expect_last = [&](int64_t begin, int64_t count) {
    const at::Tensor logits = model.Decode(ids.narrow(1, begin, count), 1, &cache).flatten();
    EXPECT_TRUE(at::allclose(logits, full[begin + count - 1], 1e-4, 1e-5)) << begin;
  };
  expect_last(0, 30);
  expect_last(30, 7);
  for (int64_t i = 37; i < 150; ++i) {
    expect_last(i, 1);
  }
  EXPECT_EQ(cache.length, 150);
}

TEST(Transformer, PredictsFromNoLaterToken) {
  Transformer model(Small(), {}, 4);
  const at::NoGradGuard no_gradient;
  const at::Tensor ids = Tokens(1, 40);
  at::Tensor changed = ids.clone();
  changed.narrow(1, 25, 15).fill_(3);
  EXPECT_TRUE(at::equal(model.Hidden(ids).narrow(1, 0, 25), model.Hidden(changed).narrow(1, 0, 25)));
}

TEST(Transformer, ComputesInBfloat16CloseToFp32) {
  Transformer fp32(Small(), {}, 6), bf16(Small(), {.compute = at::kBFloat16}, 6);
  double exact = 0.0, rounded = 0.0;
  const at::Tensor expected = Gradients(&fp32, &exact), gradient = Gradients(&bf16, &rounded);
  EXPECT_NEAR(rounded / exact, 1.0, 1e-2);
  EXPECT_EQ(gradient.scalar_type(), at::kFloat);
  EXPECT_LT(((gradient - expected).norm() / expected.norm()).item<double>(), 0.05);
}

}  // namespace
}  // namespace cherry::trainer
