#include "worker/model/parameters.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace cherry::trainer {
namespace {

using ::testing::ElementsAre;

const std::vector<ParameterSpec> kSpecs = {
    {"a", {5, 7}, true, 0.02}, {"norm", {3}, false, 0.0}, {"b", {200, 300}, true, 0.5}};

TEST(Parameters, AreAlignedViewsOfOneBuffer) {
  const Parameters parameters(kSpecs, at::kCPU, 1);
  ASSERT_EQ(parameters.list().size(), 3u);
  EXPECT_EQ(parameters.values().numel(), 48 + 16 + 60000);
  EXPECT_EQ(parameters.list()[1].offset, 48);
  for (const NamedParameter& parameter : parameters.list()) {
    EXPECT_EQ(parameter.tensor.data_ptr<float>(), parameters.values().data_ptr<float>() + parameter.offset);
    EXPECT_EQ(parameter.tensor.grad().data_ptr<float>(),
              parameters.gradients().data_ptr<float>() + parameter.offset);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(parameter.tensor.data_ptr<float>()) % 64, 0u);
    EXPECT_TRUE(parameter.tensor.is_leaf() && parameter.tensor.requires_grad());
  }
}

TEST(Parameters, AreFoundByName) {
  const Parameters parameters(kSpecs, at::kCPU, 1);
  EXPECT_EQ(parameters.Find("b"), 2);
  EXPECT_EQ(parameters.Find("c"), -1);
}

TEST(Parameters, DependOnSeedAndNameButNotOnThreadsOrNeighbours) {
  at::set_num_threads(1);
  const Parameters one(kSpecs, at::kCPU, 9);
  at::set_num_threads(2);
  const Parameters two(kSpecs, at::kCPU, 9);
  EXPECT_TRUE(at::equal(one.values(), two.values()));
  const Parameters alone({kSpecs[2]}, at::kCPU, 9);
  EXPECT_TRUE(at::equal(alone.list()[0].tensor, one.list()[2].tensor));
  const Parameters other_seed(kSpecs, at::kCPU, 10);
  EXPECT_FALSE(at::equal(other_seed.list()[2].tensor, one.list()[2].tensor));
  const Parameters other_name({{"c", {200, 300}, true, 0.5}}, at::kCPU, 9);
  EXPECT_FALSE(at::equal(other_name.list()[0].tensor, one.list()[2].tensor));
}

TEST(Parameters, AreNormalWithTheDeviationAskedFor) {
  const Parameters parameters(kSpecs, at::kCPU, 3);
  const at::Tensor b = parameters.list()[2].tensor.detach().to(at::kDouble) / 0.5;
  const double root_count = std::sqrt(60000.0);
  // Five standard errors of the mean, the variance and the fourth moment of a normal sample.
  EXPECT_NEAR(b.mean().item<double>(), 0.0, 5.0 / root_count);
  EXPECT_NEAR(b.pow(2).mean().item<double>(), 1.0, 5.0 * std::sqrt(2.0) / root_count);
  EXPECT_NEAR(b.pow(4).mean().item<double>(), 3.0, 5.0 * std::sqrt(96.0) / root_count);
  // Neighbours come from one draw of Box and Muller: they must not be correlated.
  const at::Tensor pairs = b.view({-1, 2});
  EXPECT_NEAR((pairs.select(1, 0) * pairs.select(1, 1)).mean().item<double>(), 0.0, 5.0 / std::sqrt(30000.0));
  EXPECT_TRUE(at::equal(parameters.list()[1].tensor, at::ones({3})));
}

TEST(Parameters, GradientsAddUpInTheFlatBuffer) {
  Parameters parameters(kSpecs, at::kCPU, 1);
  for (int pass = 0; pass < 2; ++pass) {
    (parameters.list()[0].tensor.sum() + 2 * parameters.list()[1].tensor.sum()).backward();
  }
  EXPECT_EQ(parameters.gradients().sum().item<float>(), 2 * (35 + 2 * 3));
  parameters.ZeroGradients();
  EXPECT_EQ(parameters.list()[0].tensor.grad().abs().sum().item<float>(), 0.0F);
}

TEST(Parameters, HookTellsEachCompleteGradientOnce) {
  Parameters parameters(kSpecs, at::kCPU, 1);
  std::vector<size_t> ready;
  std::vector<float> sums;
  parameters.SetGradientHook([&](size_t index) {
    ready.push_back(index);
    sums.push_back(parameters.list()[index].tensor.grad().sum().item<float>());
  });
  // Used twice: complete only after both uses.
  const at::Tensor& norm = parameters.list()[1].tensor;
  (norm.sum() + (norm * 2).exp().log().sum()).backward();
  EXPECT_THAT(ready, ElementsAre(1u));
  EXPECT_NEAR(sums[0], 9.0F, 1e-5);
  parameters.SetGradientHook({});
  norm.sum().backward();
  EXPECT_THAT(ready, ElementsAre(1u));
}

}  // namespace
}  // namespace cherry::trainer
