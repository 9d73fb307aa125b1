#include "worker/methods/compress/merge.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "worker/methods/compress/align.h"

namespace cherry::trainer {
namespace {

const ModelShape kDeep = {.layers = 4, .dim = 16, .heads = 4, .kv_heads = 2, .ffn_dim = 12, .vocab = 30};

ModelShape Shallow(const std::string& schedule, bool serveable = false) {
  ModelShape shape = kDeep;
  shape.layers = 2;
  shape.schedule = schedule;
  shape.serveable = serveable;
  return shape;
}

at::Tensor Get(const Transformer& model, const std::string& name) {
  const int64_t index = model.parameters().Find(name);
  EXPECT_GE(index, 0) << name;
  return model.parameters().list()[static_cast<size_t>(index)].tensor.detach();
}

at::Tensor Tokens() { return at::arange(24, at::kLong).remainder(30).view({2, 12}); }

double Difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

const std::vector<double> kTwoEach = {2.0, 2.0};

std::vector<Combination> Means() { return CombineMean(GroupLayers(4, 2, false)); }

class MergeTest : public ::testing::Test {
 protected:
  MergeTest() : source_(kDeep, {}, 3) {
    // Norms start as ones; other values show where they go.
    for (const NamedParameter& parameter : source_.parameters().list()) {
      if (parameter.tensor.dim() == 1) {
        parameter.tensor.detach().normal_();
      }
    }
  }

  // Layer 1 becomes layer 0 with its units and key heads in another order: it computes the same.
  void MakeLayerOneAReorderedLayerZero() {
    const std::vector<int64_t> units = {5, 3, 11, 0, 7, 1, 10, 2, 9, 4, 8, 6};
    const LayerOrder order = {units, {1, 0}};
    for (const char* part : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                             "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      const std::string suffix = std::string(".") + part + ".weight";
      Get(source_, "model.layers.1" + suffix)
          .copy_(Reordered(Get(source_, "model.layers.0" + suffix), part, kDeep, order));
    }
  }

  const at::NoGradGuard no_gradient_;
  Transformer source_;
};

TEST_F(MergeTest, LayersAreTheWeightedSumsAndAllElseIsCopied) {
  Transformer target(Shallow(""), {}, 4);
  MergeInto(source_, Means(), false, &target);
  for (const char* part : {"self_attn.q_proj", "mlp.down_proj", "input_layernorm"}) {
    const auto name = [&](int layer) {
      return "model.layers." + std::to_string(layer) + "." + part + ".weight";
    };
    EXPECT_LT(Difference(Get(target, name(1)), (Get(source_, name(2)) + Get(source_, name(3))) / 2), 1e-7)
        << part;
  }
  for (const char* name : {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}) {
    EXPECT_EQ(Difference(Get(target, name), Get(source_, name)), 0.0) << name;
  }
}

TEST_F(MergeTest, EveryVisitHasTheNormsOfItsLayer) {
  Transformer target(Shallow("1x2 + 1x3"), {}, 4);
  MergeInto(source_, Means(), false, &target);
  const at::Tensor first = Get(target, "model.layers.1.visits.0.input_layernorm.weight");
  EXPECT_EQ(Difference(first, Get(target, "model.layers.1.visits.2.input_layernorm.weight")), 0.0);
}

TEST_F(MergeTest, IdentityGainsGiveTheMergedModelsLogits) {
  Transformer merged(Shallow(""), {}, 4);
  MergeInto(source_, Means(), false, &merged);
  const at::Tensor expected = merged.Logits(merged.Hidden(Tokens()));
  for (const bool serveable : {false, true}) {
    for (const char* schedule : {"2x3", "1 + 1x4", "1x2 + 1x2"}) {
      Transformer loops(Shallow(schedule, serveable), {}, 5);
      MergeInto(source_, Means(), false, &loops);
      SetGains(GainStart::kIdentity, kTwoEach, 1, &loops);
      EXPECT_LT(Difference(loops.Logits(loops.Hidden(Tokens())), expected), 1e-5) << schedule;
    }
  }
}

TEST_F(MergeTest, FlowGainsShareOutTheLayersThatALayerStandsFor) {
  Transformer loops(Shallow("1x2 + 1x4"), {}, 5);
  SetGains(GainStart::kFlow, kTwoEach, 4, &loops);
  EXPECT_FLOAT_EQ(Get(loops, "model.layers.0.visits.1.mlp.gain.weight").item<float>(), 1.0F);        // 2 / 2
  EXPECT_FLOAT_EQ(Get(loops, "model.layers.1.visits.3.self_attn.gain.weight").item<float>(), 0.5F);  // 2 / 4
}

TEST_F(MergeTest, ProductsOfFullRankMakeEveryVisitItsLayer) {
  ModelShape shape = kDeep;
  shape.kv_heads = shape.heads;
  shape.ffn_dim = 20;
  Transformer deep(shape, {}, 3);
  shape.layers = 2;
  shape.schedule = "2x2";
  shape.lora_rank = 16;
  Transformer loops(shape, {}, 5);
  MergeInto(deep, Means(), false, &loops);
  SetGains(GainStart::kLora, kTwoEach, 2, &loops);
  EXPECT_GT(Difference(loops.Hidden(Tokens()), deep.Hidden(Tokens())), 1e-3);
  SetProducts(deep, Means(), false, 2, &loops);
  EXPECT_LT(Difference(loops.Hidden(Tokens()), deep.Hidden(Tokens())), 1e-4);
}

TEST_F(MergeTest, ProductsDoNotSayWhatAlignmentHasSaid) {
  MakeLayerOneAReorderedLayerZero();
  for (const bool aligned : {false, true}) {
    ModelShape shape = Shallow("1x2 + 1x2");
    shape.lora_rank = 4;
    Transformer loops(shape, {}, 5);
    MergeInto(source_, Means(), aligned, &loops);
    SetProducts(source_, Means(), aligned, 2, &loops);
    const at::Tensor product = at::matmul(Get(loops, "model.layers.0.visits.1.mlp.down_proj.lora_b.weight"),
                                          Get(loops, "model.layers.0.visits.1.mlp.down_proj.lora_a.weight"));
    EXPECT_EQ(product.abs().max().item<double>() < 1e-6, aligned);
  }
}

TEST_F(MergeTest, LoopsWithProductsDecodeAsTheyRunAndGrowWithThem) {
  ModelShape shape = Shallow("2x4");
  shape.lora_rank = 3;
  Transformer loops(shape, {}, 5);
  MergeInto(source_, Means(), false, &loops);
  SetGains(GainStart::kLora, kTwoEach, 2, &loops);
  SetProducts(source_, Means(), false, 2, &loops);
  loops.LimitRounds(2);
  const at::Tensor tokens = Tokens().narrow(0, 0, 1);
  const at::Tensor full = loops.Logits(loops.Hidden(tokens)).squeeze(0);
  KvCache cache;
  EXPECT_LT(Difference(loops.Decode(tokens, tokens.size(1), &cache), full), 1e-4);
  GrowRounds(GainStart::kLora, 2, 4, &loops);
  const auto b = [&](int round) {
    return Get(loops, "model.layers.0.visits." + std::to_string(round) + ".mlp.up_proj.lora_b.weight");
  };
  EXPECT_EQ(Difference(b(0), b(1)), 0.0);
  EXPECT_EQ(Difference(b(2), b(3)), 0.0);
  EXPECT_GT(Difference(b(1), b(2)), 1e-6);
}

TEST_F(MergeTest, WhatMayTakeLongGivesSignsOfLife) {
  int64_t signs = 0;
  const auto alive = [&signs] { ++signs; };
  const auto since = [&signs] { return std::exchange(signs, 0); };
  v1::CompressConfig compress;
  compress.set_layers(2);
  compress.set_method(v1::CompressConfig::RDSC);
  const std::vector<at::Tensor> calibration = {Tokens()};
  Combine(compress, &source_, calibration, alive);
  EXPECT_GE(since(), 2);  // For the batch and every candidate.
  for (const v1::CompressConfig::Method method : {v1::CompressConfig::BI, v1::CompressConfig::DROP}) {
    compress.set_method(method);
    Combine(compress, &source_, calibration, alive);
    EXPECT_EQ(since(), 1);  // For the batch.
  }
  ModelShape shape = Shallow("2x3");
  shape.lora_rank = 2;
  Transformer loops(shape, {}, 5);
  MergeInto(source_, Means(), true, &loops, alive);
  EXPECT_EQ(since(), 2);  // For every layer that another is aligned to.
  SetProducts(source_, Means(), true, 2, &loops, alive);
  EXPECT_EQ(since(), 4 * 7);  // For every matrix of every visit.
}

TEST_F(MergeTest, LimitedRoundsAreNotRun) {
  Transformer loops(Shallow("2x3"), {}, 5);
  MergeInto(source_, Means(), false, &loops);
  Transformer plain(Shallow(""), {}, 4);
  MergeInto(source_, Means(), false, &plain);
  loops.LimitRounds(1);
  EXPECT_LT(Difference(loops.Hidden(Tokens()), plain.Hidden(Tokens())), 1e-5);
  loops.LimitRounds(2);
  EXPECT_GT(Difference(loops.Hidden(Tokens()), plain.Hidden(Tokens())), 1e-3);
}

TEST_F(MergeTest, IdentityGrowsWithoutChangingTheModel) {
  Transformer loops(Shallow("2x4"), {}, 5);
  MergeInto(source_, Means(), false, &loops);
  SetGains(GainStart::kIdentity, kTwoEach, 1, &loops);
  loops.LimitRounds(1);
  const at::Tensor before = loops.Hidden(Tokens());
  GrowRounds(GainStart::kIdentity, 1, 2, &loops);
  loops.LimitRounds(2);
  EXPECT_LT(Difference(loops.Hidden(Tokens()), before), 1e-5);
}

TEST_F(MergeTest, TrainedRoundsGrowWithoutChangingTheModelAndUnrunRoundsDoNothing) {
  Transformer loops(Shallow("2x4"), {}, 5);
  MergeInto(source_, Means(), false, &loops);
  SetGains(GainStart::kIdentity, kTwoEach, 1, &loops);
  Get(loops, "model.loops.0.injection.weight").normal_(0.0, 0.2);
  Get(loops, "model.loops.0.rounds.0.weight").normal_();
  loops.LimitRounds(1);
  const at::Tensor before = loops.Hidden(Tokens());
  loops.LimitRounds(4);
  EXPECT_LT(Difference(loops.Hidden(Tokens()), before), 1e-5);
  GrowRounds(GainStart::kIdentity, 1, 2, &loops);
  loops.LimitRounds(2);
  EXPECT_LT(Difference(loops.Hidden(Tokens()), before), 1e-5);
  SetGains(GainStart::kFlow, kTwoEach, 2, &loops);
  const at::Tensor flow = loops.Hidden(Tokens());
  loops.LimitRounds(4);
  EXPECT_LT(Difference(loops.Hidden(Tokens()), flow), 1e-5);
}

TEST_F(MergeTest, ATargetStandsForItsGroupOrForTheRunUpToTheNext) {
  v1::CompressConfig compress;
  compress.set_layers(2);
  compress.set_method(v1::CompressConfig::LAST);
  EXPECT_THAT(StandsFor(compress, CombineLast(GroupLayers(4, 2, false)), 4),
              ::testing::ElementsAre(2.0, 2.0));
  compress.set_method(v1::CompressConfig::DROP);
  EXPECT_THAT(StandsFor(compress, {{{0, 1.0}}, {{3, 1.0}}}, 4), ::testing::ElementsAre(3.0, 1.0));
}

TEST_F(MergeTest, FlowGrowsByHalvingTheGainsOfCopies) {
  Transformer loops(Shallow("2x4"), {}, 5);
  Get(loops, "model.layers.0.visits.0.mlp.gain.weight").fill_(0.8);
  Get(loops, "model.layers.0.visits.1.mlp.gain.weight").fill_(0.4);
  Get(loops, "model.loops.0.rounds.1.weight").fill_(7.0);
  GrowRounds(GainStart::kFlow, 2, 4, &loops);
  const auto gain = [&](int round) {
    return Get(loops, "model.layers.0.visits." + std::to_string(round) + ".mlp.gain.weight").item<float>();
  };
  EXPECT_FLOAT_EQ(gain(0), 0.4F);
  EXPECT_FLOAT_EQ(gain(1), 0.4F);
  EXPECT_FLOAT_EQ(gain(2), 0.2F);
  EXPECT_FLOAT_EQ(gain(3), 0.2F);
  EXPECT_EQ(Get(loops, "model.loops.0.rounds.3.weight")[0].item<float>(), 7.0F);
}

TEST_F(MergeTest, DecodingTokenByTokenGivesTheLogitsOfAFullForward) {
  Transformer loops(Shallow("1 + 1x3"), {}, 5);
  Get(loops, "model.loops.0.injection.weight").normal_(0.0, 0.1);
  Get(loops, "model.loops.0.rounds.1.weight").normal_();
  const at::Tensor tokens = Tokens().narrow(0, 0, 1);
  const at::Tensor full = loops.Logits(loops.Hidden(tokens)).squeeze(0);
  KvCache cache;
  for (int64_t i = 0; i < tokens.size(1); ++i) {
    EXPECT_LT(Difference(loops.Decode(tokens.narrow(1, i, 1), 1, &cache).flatten(), full[i]), 1e-4) << i;
  }
}

TEST_F(MergeTest, AlignmentUndoesAPermutationOfUnitsAndHeads) {
  MakeLayerOneAReorderedLayerZero();
  Transformer plain(Shallow(""), {}, 4), aligned(Shallow(""), {}, 4);
  MergeInto(source_, Means(), false, &plain);
  MergeInto(source_, Means(), true, &aligned);
  const std::string name = "model.layers.0.mlp.down_proj.weight";
  EXPECT_LT(Difference(Get(aligned, name), Get(source_, name)), 1e-6);
  EXPECT_LT(Difference(Get(aligned, "model.layers.0.self_attn.o_proj.weight"),
                       Get(source_, "model.layers.0.self_attn.o_proj.weight")),
            1e-6);
  EXPECT_GT(Difference(Get(plain, name), Get(source_, name)), 1e-3);
}

TEST(AssignTest, FindsTheBestOfAllAssignments) {
  std::mt19937 random(7);
  for (int64_t n = 1; n <= 6; ++n) {
    for (int trial = 0; trial < 20; ++trial) {
      std::vector<double> values;
      for (int64_t i = 0; i < n * n; ++i) {
        values.push_back(std::uniform_real_distribution<double>(-5.0, 5.0)(random));
      }
      const auto sum = [&](const std::vector<int64_t>& columns) {
        double total = 0.0;
        for (int64_t row = 0; row < n; ++row) {
          total += values[static_cast<size_t>(row * n + columns[static_cast<size_t>(row)])];
        }
        return total;
      };
      std::vector<int64_t> columns(static_cast<size_t>(n));
      std::iota(columns.begin(), columns.end(), 0);
      double best = -1e9;
      do {
        best = std::max(best, sum(columns));
      } while (std::next_permutation(columns.begin(), columns.end()));
      EXPECT_NEAR(sum(AssignHighest(values, n)), best, 1e-9);
    }
  }
}

}  // namespace
}  // namespace cherry::trainer
