#include "worker/optim/adamw.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace cherry::trainer {
namespace {

const std::vector<ParameterSpec> kSpecs = {
    {"a", {70, 33}, true, 0.5}, {"norm", {33}, false, 0.0}, {"b", {500, 90}, true, 0.1}};

void FillGradients(Parameters* parameters, int64_t step) {
  for (const NamedParameter& parameter : parameters->list()) {
    const at::Tensor& tensor = parameter.tensor;
    const at::Tensor wave = (at::arange(tensor.numel(), at::kFloat) * 0.37 + static_cast<double>(step)).sin();
    tensor.grad().copy_(wave.view_as(tensor) * 3.0);
  }
}

// The update of the paper in double, a parameter at a time.
struct Reference {
  at::Tensor value, mean, square;
  void Step(const at::Tensor& gradient, double lr, double decay, int64_t step) {
    value = value * (1.0 - lr * decay);
    mean = 0.9 * mean + 0.1 * gradient;
    square = 0.95 * square + 0.05 * gradient * gradient;
    const at::Tensor mean_hat = mean / (1.0 - std::pow(0.9, step));
    const at::Tensor square_hat = square / (1.0 - std::pow(0.95, step));
    value = value - lr * mean_hat / (square_hat.sqrt() + 1e-8);
  }
};

TEST(AdamW, FollowsThePaperWithClippingAndDecayOnMatrices) {
  Parameters parameters(kSpecs, at::kCPU, 1);
  AdamW optimizer(&parameters, {.max_grad_norm = 0.7});
  std::vector<Reference> references;
  for (const NamedParameter& parameter : parameters.list()) {
    const at::Tensor value = parameter.tensor.detach().to(at::kDouble);
    references.push_back({value, at::zeros_like(value), at::zeros_like(value)});
  }
  for (int64_t step = 1; step <= 12; ++step) {
    FillGradients(&parameters, step);
    const double exact_norm = (parameters.gradients().to(at::kDouble) * 0.01).norm().item<double>();
    const double clip = std::min(1.0, 0.7 / (exact_norm + 1e-6));
    for (size_t i = 0; i < references.size(); ++i) {
      const NamedParameter& parameter = parameters.list()[i];
      references[i].Step(parameter.tensor.grad().to(at::kDouble) * 0.01 * clip, 1e-2,
                         parameter.decay ? 0.1 : 0.0, step);
    }
    EXPECT_NEAR(optimizer.Step(1e-2, 0.01), exact_norm, 1e-5 * exact_norm);
    EXPECT_GT(exact_norm, 0.7);
  }
  for (size_t i = 0; i < references.size(); ++i) {
    EXPECT_TRUE(
        at::allclose(parameters.list()[i].tensor.detach().to(at::kDouble), references[i].value, 1e-5, 1e-6));
  }
}

TEST(AdamW, LeavesPaddingZero) {
  Parameters parameters(kSpecs, at::kCPU, 1);
  AdamW optimizer(&parameters, {});
  FillGradients(&parameters, 1);
  optimizer.Step(0.1, 1.0);
  const at::Tensor padding = parameters.values().narrow(0, 70 * 33, parameters.list()[1].offset - 70 * 33);
  EXPECT_EQ(padding.abs().sum().item<float>(), 0.0F);
}

TEST(AdamW, ChangesNothingWhenAGradientIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Parameters parameters(kSpecs, at::kCPU, 1);
    AdamW optimizer(&parameters, {});
    FillGradients(&parameters, 1);
    parameters.list()[2].tensor.grad()[7][7] = bad;
    const at::Tensor before = parameters.values().clone();
    EXPECT_FALSE(std::isfinite(optimizer.Step(0.1, 1.0)));
    EXPECT_TRUE(at::equal(parameters.values(), before));
    EXPECT_EQ(optimizer.step(), 0);
    EXPECT_EQ(optimizer.exp_avg().abs().sum().item<float>(), 0.0F);
  }
}

TEST(AdamW, GoesOnFromSavedMomentsToTheSameBytes) {
  Parameters whole(kSpecs, at::kCPU, 1), resumed(kSpecs, at::kCPU, 2);
  AdamW first(&whole, {});
  AdamW second(&resumed, {});
  const auto step = [](Parameters* parameters, AdamW* optimizer, int64_t number) {
    FillGradients(parameters, number);
    optimizer->Step(1e-3, 1.0);
  };
  step(&whole, &first, 1);
  step(&whole, &first, 2);
  resumed.values().copy_(whole.values());
  second.exp_avg().copy_(first.exp_avg());
  second.exp_avg_sq().copy_(first.exp_avg_sq());
  second.set_step(first.step());
  step(&whole, &first, 3);
  step(&resumed, &second, 3);
  EXPECT_TRUE(at::equal(whole.values(), resumed.values()));
}

TEST(AdamW, GivesTheSameBytesWithOneAndTwoThreads) {
  const auto run = [](int threads) {
    at::set_num_threads(threads);
    Parameters parameters(kSpecs, at::kCPU, 1);
    AdamW optimizer(&parameters, {.max_grad_norm = 0.1});
    for (int64_t step = 0; step < 3; ++step) {
      FillGradients(&parameters, step);
      optimizer.Step(1e-3, 0.5);
    }
    return parameters.values().clone();
  };
  EXPECT_TRUE(at::equal(run(1), run(2)));
}

}  // namespace
}  // namespace cherry::trainer
