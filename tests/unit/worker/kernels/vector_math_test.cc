#include "worker/kernels/vector_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace cherry::trainer {
namespace {

// In units in the last place of the exact value.
double ErrorOf(float x) {
  const double exact = std::exp(static_cast<double>(x));
  const float rounded = static_cast<float>(exact);
  const double unit = static_cast<double>(std::nextafter(rounded, std::numeric_limits<float>::max())) -
                      static_cast<double>(rounded);
  return std::abs(static_cast<double>(FastExp(x)) - exact) / unit;
}

TEST(FastExp, StaysWithinTwoUnitsOfTheExactValue) {
  double worst = 0.0;
  for (float x = -87.0F; x <= 88.0F; x += 0.00037F) {
    worst = std::max(worst, ErrorOf(x));
  }
  EXPECT_LT(worst, 2.0);
}

TEST(FastExp, OfZeroIsOne) { EXPECT_EQ(FastExp(0.0F), 1.0F); }

TEST(FastExp, StaysFiniteOutsideItsRange) {
  EXPECT_LT(FastExp(-1000.0F), 2e-38F);
  EXPECT_GE(FastExp(-1000.0F), 0.0F);
  EXPECT_TRUE(std::isfinite(FastExp(1000.0F)));
}

TEST(FastExp, PassesOnWhatIsNotANumber) { EXPECT_TRUE(std::isnan(FastExp(std::nanf("")))); }

TEST(Sigmoid, IsSymmetricAndBounded) {
  for (float x = -30.0F; x <= 30.0F; x += 0.1F) {
    EXPECT_NEAR(Sigmoid(x) + Sigmoid(-x), 1.0F, 3e-7F);
    EXPECT_NEAR(Sigmoid(x), 1.0 / (1.0 + std::exp(-static_cast<double>(x))), 3e-7);
  }
}

}  // namespace
}  // namespace cherry::trainer
