// Experts: routing, what they compute, balancing, and models made of them.
#include "worker/model/experts.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "worker/model/language_model.h"
#include "worker/model/transformer.h"

namespace cherry::trainer {
namespace {

constexpr int64_t kRows = 37, kDim = 16, kFfn = 24, kExperts = 4;

std::vector<FfnWeights> Experts() {
  at::manual_seed(3);
  std::vector<FfnWeights> experts;
  for (int64_t i = 0; i < kExperts; ++i) {
    experts.push_back({at::randn({kFfn, kDim}).requires_grad_(), at::randn({kFfn, kDim}).requires_grad_(),
                       at::randn({kDim, kFfn}).requires_grad_()});
  }
  return experts;
}

double Largest(const at::Tensor& tensor) { return tensor.abs().max().item<double>(); }

TEST(Choose, TakesTheLikeliestAndTheirWeightsSumToOne) {
  const at::Tensor logits = at::tensor({1.0F, 3.0F, 2.0F, 0.0F}).unsqueeze(0);
  const Choice two = Choose(logits, at::Tensor(), 2);
  EXPECT_EQ(two.experts[0][0].item<int64_t>(), 1);
  EXPECT_EQ(two.experts[0][1].item<int64_t>(), 2);
  EXPECT_NEAR(two.weights[0][0].item<double>(), 1.0 / (1.0 + std::exp(-1.0)), 1e-6);
  EXPECT_NEAR(two.weights.sum().item<double>(), 1.0, 1e-6);
  EXPECT_TRUE(at::equal(two.loads, at::tensor({0L, 1L, 1L, 0L}, at::kLong)));
}

TEST(Choose, ABiasSelectsButDoesNotWeigh) {
  const at::Tensor logits = at::tensor({1.0F, 3.0F, 2.0F, 0.0F}).unsqueeze(0);
  const Choice chosen = Choose(logits, at::tensor({0.0F, 0.0F, 0.0F, 1.0F}), 2);
  EXPECT_EQ(chosen.experts[0][0].item<int64_t>(), 3);
  EXPECT_EQ(chosen.experts[0][1].item<int64_t>(), 1);
  EXPECT_NEAR(chosen.weights[0][0].item<double>(), 1.0 / (1.0 + std::exp(3.0)), 1e-6);
}

TEST(Choose, ASingleExpertWeighsOneAndStillTeachesTheRouter) {
  const at::Tensor logits = at::tensor({1.0F, 3.0F, 2.0F}).unsqueeze(0).requires_grad_();
  const Choice chosen = Choose(logits, at::Tensor(), 1);
  EXPECT_EQ(chosen.weights.item<double>(), 1.0);
  chosen.weights.sum().backward();
  const at::Tensor p = at::softmax(logits.detach(), -1);
  const at::Tensor expected = at::tensor({0.0F, 1.0F, 0.0F}) - p[0];  // d log p_1
  EXPECT_LT(Largest(logits.grad()[0] - expected), 1e-6);
}

TEST(RunExperts, ComputesWhatEveryExpertOnEveryRowWould) {
  for (const int64_t k : {1, 2, 4}) {
    std::vector<at::Tensor> results, gradients;
    for (const bool plain : {false, true}) {
      const std::vector<FfnWeights> experts = Experts();
      const at::Tensor x = at::randn({kRows, kDim}).requires_grad_();
      const at::Tensor logits = at::randn({kRows, kExperts}).requires_grad_();
      // Expert 3 is chosen by nobody unless all are.
      const at::Tensor bias = at::tensor({0.0F, 0.0F, 0.0F, -2.0F});
      const Choice choice = Choose(logits, bias, k);
      const at::Tensor y = plain ? PlainExperts(x, choice, experts) : RunExperts(x, choice, experts);
      (y * at::arange(kRows * kDim).view({kRows, kDim}).sin()).sum().backward();
      results.push_back(y.detach());
      std::vector<at::Tensor> flat = {x.grad().flatten(), logits.grad().flatten()};
      for (const FfnWeights& expert : experts) {
        for (const at::Tensor& weight : {expert.gate, expert.up, expert.down}) {
          flat.push_back(weight.grad().defined() ? weight.grad().flatten() : at::zeros({weight.numel()}));
        }
      }
      gradients.push_back(at::cat(flat));
    }
    EXPECT_LT(Largest(results[0] - results[1]) / Largest(results[1]), 1e-6) << k;
    EXPECT_LT(Largest(gradients[0] - gradients[1]) / Largest(gradients[1]), 1e-6) << k;
  }
}

TEST(BalanceLoss, IsOneWhenEvenAndGrowsWithTheLoadOfAFew) {
  const Choice even = Choose(at::eye(4) * 3.0, at::Tensor(), 1);
  EXPECT_NEAR(BalanceLoss(even).item<double>(), 1.0, 1e-6);
  const Choice one = Choose(at::tensor({9.0F, 0.0F, 0.0F, 0.0F}).repeat({5, 1}), at::Tensor(), 1);
  EXPECT_NEAR(BalanceLoss(one).item<double>(), 4.0, 1e-2);
}

TEST(MoveBias, GoesUpForIdleExpertsAndDownForBusyOnes) {
  const at::Tensor bias = at::zeros({3});
  const double loads[] = {9.0, 3.0, 6.0};
  MoveBias(loads, 0.25, bias);
  EXPECT_TRUE(at::equal(bias, at::tensor({-0.25F, 0.25F, 0.0F})));
}

ModelShape Mixture(v1::FuseConfig::Routing routing) {
  return {.layers = 3,
          .dim = 32,
          .heads = 4,
          .kv_heads = 2,
          .ffn_dim = 48,
          .vocab = 64,
          .schedule = "1 + 1x2 + 1",
          .experts = 3,
          .top_k = 2,
          .routing = routing};
}

at::Tensor Tokens(int64_t batch, int64_t length) {
  return (at::arange(batch * length, at::kLong) * 31).remainder(61).view({batch, length});
}

class MixtureTest : public ::testing::TestWithParam<v1::FuseConfig::Routing> {};

TEST_P(MixtureTest, HasAsManyParametersAsItsPlan) {
  ModelShape shape = Mixture(GetParam());
  shape.token_chain = GetParam() == v1::FuseConfig::FFN;
  int64_t count = 0;
  for (const NamedParameter& parameter : MakeLanguageModel(shape, {}, 1)->parameters().list()) {
    count += parameter.tensor.numel();
  }
  EXPECT_EQ(count, CountParameters(shape));
}

TEST_P(MixtureTest, DecodingTokenByTokenGivesTheLogitsOfOnePass) {
  const std::unique_ptr<LanguageModel> model = MakeLanguageModel(Mixture(GetParam()), {}, 1);
  const at::Tensor ids = Tokens(1, 20);
  KvCache whole_cache, cache;
  const at::Tensor whole = model->Decode(ids, 20, &whole_cache);
  model->Decode(ids.narrow(1, 0, 9), 1, &cache);
  model->Decode(ids.narrow(1, 3, 6), 1, &cache);  // Taken back below.
  cache.length = 9;
  for (int64_t i = 9; i < 20; ++i) {
    EXPECT_LT(Largest(model->Decode(ids.narrow(1, i, 1), 1, &cache)[0] - whole[i]), 1e-4) << i;
  }
}

TEST_P(MixtureTest, LossesOfRowsAreThoseOfItsDecoding) {
  const std::unique_ptr<LanguageModel> model = MakeLanguageModel(Mixture(GetParam()), {}, 1);
  const at::Tensor ids = Tokens(1, 20);
  const at::Tensor targets = (ids + 5).remainder(61);
  KvCache cache;
  const at::Tensor expected =
      model->Decode(ids, 20, &cache).log_softmax(-1).gather(1, targets.view({20, 1})).flatten().neg();
  EXPECT_LT(Largest(model->RowLosses(ids, targets) - expected), 1e-5);
}

TEST_P(MixtureTest, GradientAgreesWithFiniteDifferences) {
  ModelShape shape = Mixture(GetParam());
  shape.init_std = 0.3;
  const std::unique_ptr<LanguageModel> model = MakeLanguageModel(shape, {}, 5);
  const at::Tensor tokens = Tokens(2, 20), targets = (tokens + 5).remainder(61);
  model->Loss(tokens, targets).sum.backward();
  const at::Tensor gradient = model->parameters().gradients().clone();
  // Along every parameter at once a token here and there would change its experts.
  const at::Tensor direction = gradient / gradient.norm();
  const auto loss_at = [&](double distance) {
    const at::NoGradGuard no_gradient;
    model->parameters().values().add_(direction, distance);
    const double loss = model->Loss(tokens, targets).sum.item<double>();
    model->parameters().values().add_(direction, -distance);
    return loss;
  };
  const double slope = (loss_at(2e-3) - loss_at(-2e-3)) / 4e-3;
  EXPECT_NEAR(slope / gradient.norm().item<double>(), 1.0, 2e-2);
}

std::set<std::string>* operators = nullptr;
std::unique_ptr<at::ObserverContext> Record(const at::RecordFunction& function) {
  operators->insert(function.name());
  return nullptr;
}

TEST_P(MixtureTest, AStepAsksTheDeviceForNoValueAndNoSize) {
  for (const auto balance : {v1::FuseConfig::LOSS_FREE, v1::FuseConfig::SWITCH}) {
    ModelShape shape = Mixture(GetParam());
    shape.balance = balance;
    const std::unique_ptr<LanguageModel> model = MakeLanguageModel(shape, {}, 1);
    std::set<std::string> seen;
    operators = &seen;
    const at::CallbackHandle handle = at::addGlobalCallback(at::RecordFunctionCallback(&Record));
    at::Tensor loss = model->Loss(Tokens(2, 20), Tokens(2, 20)).sum;
    if (model->balance_loss().defined()) {
      loss = loss + model->balance_loss();
    }
    loss.backward();
    at::removeCallback(handle);
    EXPECT_GT(seen.count("aten::topk"), 0u);
    for (const char* name : {"aten::_local_scalar_dense", "aten::item", "aten::nonzero"}) {
      EXPECT_EQ(seen.count(name), 0u) << name;
    }
  }
}

TEST_P(MixtureTest, TellsItsLoadsOnceAndSettlesThem) {
  ModelShape shape = Mixture(GetParam());
  shape.balance_rate = 0.5;
  const std::unique_ptr<LanguageModel> model = MakeLanguageModel(shape, {}, 1);
  model->Loss(Tokens(2, 20), Tokens(2, 20)).sum.backward();
  const Routing routing = model->TakeRouting();
  const bool ffn = GetParam() == v1::FuseConfig::FFN;
  const double routers = ffn ? 4.0 : 1.0;  // One for each visit.
  EXPECT_EQ(routing.loads.size(), static_cast<size_t>(3 * routers));
  double sum = 0.0;
  for (const double load : routing.loads) {
    sum += load;
  }
  EXPECT_EQ(sum, routers * 2 * 40);
  EXPECT_EQ(routing.tokens, routers * 40);
  EXPECT_EQ(model->TakeRouting().tokens, 0.0);
  model->Settle(routing);
  double moved = 0.0;
  for (const NamedParameter& parameter : model->parameters().list()) {
    if (parameter.name.find("load_bias") != std::string::npos) {
      moved += parameter.tensor.abs().sum().item<double>();
    }
  }
  EXPECT_GT(moved, 0.0);
}

INSTANTIATE_TEST_SUITE_P(Routings, MixtureTest,
                         ::testing::Values(v1::FuseConfig::FFN, v1::FuseConfig::TOKEN));

TEST(ChainTest, DecodingItGivesTheStatesOfOnePass) {
  ModelShape shape = Mixture(v1::FuseConfig::FFN);
  shape.token_chain = true;
  Transformer model(shape, {}, 1);
  const at::NoGradGuard no_gradient;
  const at::Tensor ids = Tokens(1, 12);
  const at::Tensor hidden = model.Hidden(ids);
  const at::Tensor whole = model.Chain(hidden.narrow(1, 0, 11), ids.narrow(1, 1, 11));
  KvCache cache;
  for (int64_t i = 0; i < 11; ++i) {
    const at::Tensor one = model.DecodeChain(hidden.narrow(1, i, 1), ids.narrow(1, i + 1, 1), &cache);
    EXPECT_LT(Largest(one.select(1, 0) - whole.select(1, i)), 1e-4) << i;
  }
}

}  // namespace
}  // namespace cherry::trainer
