// What the methods add to the head: losses of single rows, entropies, the distance to another model.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "worker/kernels/cross_entropy.h"
#include "worker/kernels/head_kl.h"
#include "worker/kernels/row_losses.h"

namespace cherry::trainer {
namespace {

at::Tensor Random(at::IntArrayRef shape, at::ScalarType type = at::kFloat) {
  return at::randn(shape, at::TensorOptions().dtype(type));
}

double Number(const at::Tensor& tensor) { return tensor.item<double>(); }

TEST(RowLossesTest, AddUpToTheLossOfTheHead) {
  at::manual_seed(1);
  const at::Tensor hidden = Random({37, 16}), weight = Random({50, 16});
  const at::Tensor targets =
      at::arange(37, at::kLong).remainder(50).index_fill(0, at::tensor({3L, 36L}, at::kLong), kIgnoredTarget);
  const at::Tensor losses = HeadRowLosses(hidden, weight, targets);
  EXPECT_NEAR(Number(losses.sum()), Number(PlainHeadCrossEntropy(hidden, weight, targets)), 1e-3);
  EXPECT_EQ(Number(losses[3]), 0.0);
  EXPECT_GT(Number(losses[4]), 0.0);
}

TEST(RowLossesTest, ChunksGiveWhatOnePassGives) {
  at::manual_seed(2);
  // A vocabulary so large that a chunk holds 31 rows.
  const at::Tensor hidden = Random({100, 4}), weight = Random({65536, 4});
  const at::Tensor targets = at::arange(100, at::kLong);
  const at::Tensor whole = at::_log_softmax(at::mm(hidden, weight.t()), 1, false);
  const at::Tensor expected = whole.gather(1, targets.unsqueeze(1)).squeeze(1).neg();
  EXPECT_LT(Number((HeadRowLosses(hidden, weight, targets) - expected).abs().max()), 1e-5);
  EXPECT_LT(Number((HeadRowEntropies(hidden, weight) + (whole.exp() * whole).sum(1)).abs().max()), 1e-4);
}

TEST(RowLossesTest, EntropyOfEqualLogitsIsTheLogarithmOfTheirNumber) {
  const at::Tensor entropies = HeadRowEntropies(at::zeros({2, 8}), Random({64, 8}));
  EXPECT_NEAR(Number(entropies[0]), std::log(64.0), 1e-5);
}

TEST(HeadKlTest, IsZeroWithoutGradientAtTheModelItself) {
  at::manual_seed(3);
  const at::Tensor hidden = Random({9, 8}).requires_grad_(), weight = Random({30, 8}).requires_grad_();
  const at::Tensor kl = HeadKl(hidden, weight, hidden.detach(), weight.detach());
  EXPECT_NEAR(Number(kl), 0.0, 1e-6);
  kl.backward();
  EXPECT_LT(Number(hidden.grad().abs().max()), 1e-6);
}

TEST(HeadKlTest, MatchesItsDefinition) {
  at::manual_seed(4);
  const at::Tensor hidden = Random({9, 8}), weight = Random({30, 8});
  const at::Tensor origin = Random({9, 6}), origin_weight = Random({30, 6});  // Of another width.
  const at::Tensor log_p = at::_log_softmax(at::mm(origin, origin_weight.t()), 1, false);
  const at::Tensor log_q = at::_log_softmax(at::mm(hidden, weight.t()), 1, false);
  EXPECT_NEAR(Number(HeadKl(hidden, weight, origin, origin_weight)),
              Number((log_p.exp() * (log_p - log_q)).sum()), 1e-4);
}

TEST(HeadKlTest, GradientsAreThoseOfFiniteDifferences) {
  at::manual_seed(5);
  const at::Tensor hidden = Random({5, 4}, at::kDouble).requires_grad_();
  const at::Tensor weight = Random({11, 4}, at::kDouble).requires_grad_();
  const at::Tensor origin = Random({5, 4}, at::kDouble), origin_weight = Random({11, 4}, at::kDouble);
  const auto kl = [&] { return HeadKl(hidden, weight, origin, origin_weight); };
  (kl() * 3.0).backward();
  const at::NoGradGuard no_gradient;
  constexpr double kStep = 1e-6;
  for (const at::Tensor& leaf : {hidden, weight}) {
    double* const values = leaf.data_ptr<double>();
    const double* const gradient = leaf.grad().data_ptr<double>();
    for (int64_t i = 0; i < leaf.numel(); ++i) {
      const double before = values[i];
      values[i] = before + kStep;
      const double above = Number(kl());
      values[i] = before - kStep;
      const double below = Number(kl());
      values[i] = before;
      EXPECT_NEAR(gradient[i], 3.0 * (above - below) / (2.0 * kStep), 1e-6) << i;
    }
  }
}

}  // namespace
}  // namespace cherry::trainer
