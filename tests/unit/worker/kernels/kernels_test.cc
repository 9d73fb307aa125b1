// Each own kernel against the composition of ATen operators that it replaces, in double precision.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "worker/kernels/allocator.h"
#include "worker/kernels/attention.h"
#include "worker/kernels/cross_entropy.h"
#include "worker/kernels/rms_norm.h"
#include "worker/kernels/swiglu.h"

namespace cherry::trainer {
namespace {

using Operator = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

struct Result {
  at::Tensor value;
  std::vector<at::Tensor> gradients;
};

// Value, and gradients of a weighted sum of it, so that no gradient is trivially constant.
Result Evaluate(const Operator& op, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs) {
    leaves.push_back(input.detach().clone().requires_grad_());
  }
  const at::Tensor value = op(leaves);
  const at::Tensor weights = at::linspace(-1.0, 1.5, value.numel(), value.options().requires_grad(false));
  return {value.detach(), torch::autograd::grad({(value * weights.view_as(value)).sum()}, leaves)};
}

// Relative to the exact norm, or absolute where that is below 1 (a gradient may be exactly zero).
double Relative(const at::Tensor& ours, const at::Tensor& exact) {
  const at::Tensor difference = ours.to(at::kDouble) - exact.to(at::kDouble);
  return (difference.norm() / exact.to(at::kDouble).norm().clamp_min(1.0)).item<double>();
}

void ExpectSame(const Operator& ours, const Operator& plain, const std::vector<at::Tensor>& inputs,
                double bound = 2e-6) {
  std::vector<at::Tensor> doubles;
  for (const at::Tensor& input : inputs) {
    doubles.push_back(input.to(at::kDouble));
  }
  const Result result = Evaluate(ours, inputs), expected = Evaluate(plain, doubles);
  EXPECT_LT(Relative(result.value, expected.value), bound);
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_LT(Relative(result.gradients[i], expected.gradients[i]), bound) << "input " << i;
  }
}

void ExpectBitwise(const Result& a, const Result& b) {
  EXPECT_TRUE(at::equal(a.value, b.value));
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    EXPECT_TRUE(at::equal(a.gradients[i], b.gradients[i])) << "input " << i;
  }
}

at::Tensor Normal(at::IntArrayRef sizes, double scale = 1.0) {
  return at::randn(sizes, at::make_generator<at::CPUGeneratorImpl>(11 + sizes.back())) * scale;
}

// As in PlainRmsNorm, but in the precision of x.
at::Tensor ExactRmsNorm(const at::Tensor& x, const at::Tensor& weight) {
  return x * at::rsqrt(x.pow(2).mean(-1, true) + 1e-5) * weight;
}

TEST(RmsNorm, AgreesWithTheComposition) {
  for (const int64_t rows : {1, 63, 64, 200}) {
    ExpectSame([](const auto& in) { return RmsNorm(in[0], in[1], 1e-5); },
               [](const auto& in) { return ExactRmsNorm(in[0], in[1]); },
               {Normal({2, rows, 37}), Normal({37})});
  }
}

TEST(RmsNorm, PlainFormIsTheOwnKernelsOracle) {
  const at::Tensor x = Normal({5, 48}), weight = Normal({48});
  EXPECT_LT(Relative(RmsNorm(x, weight, 1e-5), PlainRmsNorm(x, weight, 1e-5)), 1e-6);
}

TEST(RmsNorm, TakesInputThatIsNotContiguous) {
  ExpectSame([](const auto& in) { return RmsNorm(in[0].transpose(0, 1), in[1], 1e-5); },
             [](const auto& in) { return ExactRmsNorm(in[0].transpose(0, 1), in[1]); },
             {Normal({16, 9}).t().contiguous(), Normal({9})});
}

TEST(SwiGlu, AgreesWithTheComposition) {
  ExpectSame([](const auto& in) { return SwiGlu(in[0], in[1]); },
             [](const auto& in) { return PlainSwiGlu(in[0], in[1]); },
             {Normal({77, 131}, 4.0), Normal({77, 131})});
}

TEST(SwiGlu, StaysFiniteForLargeGates) {
  const at::Tensor gate = at::tensor({-1e4F, -100.0F, 100.0F, 1e4F});
  const at::Tensor y = SwiGlu(gate, at::ones({4}));
  EXPECT_TRUE(at::allclose(y, at::tensor({0.0F, 0.0F, 100.0F, 1e4F}), 1e-6, 1e-30));
}

Operator Loss(const at::Tensor& targets, bool plain) {
  return [targets, plain](const auto& in) {
    return plain ? at::cross_entropy_loss(at::linear(in[0], in[1]), targets, {}, at::Reduction::Sum,
                                          kIgnoredTarget)
                 : HeadCrossEntropy(in[0], in[1], targets);
  };
}

TEST(HeadCrossEntropy, AgreesWithTheCompositionOverSeveralChunks) {
  for (const int64_t rows : {1, 512, 1300}) {
    const at::Tensor targets = at::arange(rows, at::kLong).remainder(301);
    ExpectSame(Loss(targets, false), Loss(targets, true), {Normal({rows, 24}), Normal({301, 24})});
  }
}

TEST(HeadCrossEntropy, CountsNoIgnoredTarget) {
  const at::Tensor targets = at::arange(700, at::kLong).remainder(50);
  targets.masked_fill_(targets.remainder(3).eq(0), kIgnoredTarget);
  ExpectSame(Loss(targets, false), Loss(targets, true), {Normal({700, 24}), Normal({50, 24})});
}

TEST(HeadCrossEntropy, IsZeroWithoutTargets) {
  const at::Tensor targets = at::full({4}, kIgnoredTarget, at::kLong);
  const Result result = Evaluate(Loss(targets, false), {Normal({4, 8}), Normal({16, 8})});
  EXPECT_EQ(result.value.item<float>(), 0.0F);
  EXPECT_EQ(result.gradients[0].abs().sum().item<float>(), 0.0F);
}

TEST(HeadCrossEntropy, IsTheLogarithmOfTheVocabularyForEqualLogits) {
  const at::Tensor loss =
      HeadCrossEntropy(at::zeros({3, 8}), Normal({40, 8}), at::tensor({1, 2, 3}, at::kLong));
  EXPECT_NEAR(loss.item<float>(), 3.0 * std::log(40.0), 1e-5);
}

TEST(HeadCrossEntropy, IsNotANumberWhenALogitIsNot) {
  const at::Tensor hidden = Normal({20, 8});
  hidden[3][2] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor targets = at::zeros({20}, at::kLong);
  EXPECT_TRUE(std::isnan(HeadCrossEntropy(hidden, Normal({40, 8}), targets).item<float>()));
}

TEST(HeadCrossEntropy, RefusesATargetOutsideTheVocabulary) {
  for (const int64_t target : {40, -1}) {
    EXPECT_THROW(HeadCrossEntropy(Normal({1, 8}), Normal({40, 8}), at::full({1}, target, at::kLong)),
                 c10::Error);
  }
}

// SDPA over rotated heads, in the precision of the inputs.
at::Tensor ExactAttention(const std::vector<at::Tensor>& in, const Rope& rope) {
  return PlainRopeAttention(in[0], in[1], in[2], {rope.cos.to(in[0].dtype()), rope.sin.to(in[0].dtype())});
}

std::vector<at::Tensor> AttentionInputs(int64_t length, int64_t heads, int64_t kv_heads, int64_t head_dim) {
  return {Normal({3, length, heads, head_dim}), Normal({3, length, kv_heads, head_dim}) * 1.1,
          Normal({3, length, kv_heads, head_dim}) * 0.9};
}

TEST(RopeAttention, AgreesWithTheComposition) {
  for (const int64_t length : {1, 63, 64, 65, 200}) {
    const Rope rope = MakeRope(length, RopeFrequencies(16, 10000.0), at::kCPU);
    ExpectSame([&](const auto& in) { return RopeAttention(in[0], in[1], in[2], rope); },
               [&](const auto& in) { return ExactAttention(in, rope); }, AttentionInputs(length, 4, 4, 16));
  }
}

TEST(RopeAttention, SharesKeysAmongAGroupOfQueries) {
  for (const int64_t kv_heads : {1, 2, 3}) {
    const Rope rope = MakeRope(100, RopeFrequencies(12, 500.0), at::kCPU);
    ExpectSame([&](const auto& in) { return RopeAttention(in[0], in[1], in[2], rope); },
               [&](const auto& in) { return ExactAttention(in, rope); },
               AttentionInputs(100, 6, kv_heads, 12));
  }
}

TEST(RopeAttention, SeesNoLaterPosition) {
  const Rope rope = MakeRope(80, RopeFrequencies(8, 10000.0), at::kCPU);
  std::vector<at::Tensor> in = AttentionInputs(80, 2, 2, 8);
  const at::Tensor before = RopeAttention(in[0], in[1], in[2], rope);
  in[1].narrow(1, 50, 30).fill_(7.0);
  in[2].narrow(1, 50, 30).fill_(-7.0);
  const at::Tensor after = RopeAttention(in[0], in[1], in[2], rope);
  EXPECT_TRUE(at::equal(before.narrow(1, 0, 50), after.narrow(1, 0, 50)));
  EXPECT_FALSE(at::equal(before, after));
}

TEST(RopeAttention, DependsOnRelativePositionsOnly) {
  // One query and one key, both moved by the same distance, meet at the same angle.
  const Rope rope = MakeRope(64, RopeFrequencies(16, 10000.0), at::kCPU);
  const at::Tensor q = Normal({1, 1, 1, 16}), k = Normal({1, 1, 1, 16}) * 2.0;
  const auto at_position = [&](int64_t p) {
    return Rope{rope.cos.narrow(0, p, 1), rope.sin.narrow(0, p, 1)};
  };
  const auto score = [&](int64_t p, int64_t s) {
    return (ApplyRope(q, at_position(p)) * ApplyRope(k, at_position(s))).sum().item<float>();
  };
  EXPECT_NEAR(score(9, 4), score(40, 35), 1e-4);
}

TEST(Kernels, GiveTheSameBytesWithOneAndTwoThreads) {
  const Rope rope = MakeRope(130, RopeFrequencies(16, 10000.0), at::kCPU);
  const auto run = [&](int threads) {
    at::set_num_threads(threads);
    return std::vector<Result>{
        Evaluate([](const auto& in) { return RmsNorm(in[0], in[1], 1e-5); },
                 {Normal({300, 48}), Normal({48})}),
        Evaluate([](const auto& in) { return SwiGlu(in[0], in[1]); }, {Normal({300, 48}), Normal({300, 48})}),
        Evaluate([&](const auto& in) { return RopeAttention(in[0], in[1], in[2], rope); },
                 AttentionInputs(130, 4, 2, 16))};
  };
  const std::vector<Result> one = run(1), two = run(2);
  for (size_t i = 0; i < one.size(); ++i) {
    ExpectBitwise(one[i], two[i]);
  }
}

TEST(ConfigureAllocator, IsAccepted) { EXPECT_TRUE(ConfigureAllocator()); }

}  // namespace
}  // namespace cherry::trainer
