#include "worker/trainer/token_sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace cherry::trainer {
namespace {

const std::vector<float> kLogits = {0.0f, 3.0f, 2.0f, 1.0f, 3.0f};

v1::GenerateRequest Request(double temperature, int top_k, double top_p) {
  v1::GenerateRequest request;
  request.set_temperature(temperature);
  request.set_top_k(top_k);
  request.set_top_p(top_p);
  request.set_seed(1);
  return request;
}

std::set<int32_t> Seen(const v1::GenerateRequest& request) {
  TokenSampler sampler(request);
  std::set<int32_t> seen;
  for (int i = 0; i < 2000; ++i) {
    seen.insert(sampler.Next(kLogits));
  }
  return seen;
}

TEST(TokenSamplerTest, TemperatureZeroTakesTheFirstOfTheLikeliest) {
  EXPECT_EQ(Seen(Request(0.0, 0, 0.0)), (std::set<int32_t>{1}));
}

TEST(TokenSamplerTest, TopKKeepsTheLikeliest) {
  EXPECT_EQ(Seen(Request(1.0, 3, 0.0)), (std::set<int32_t>{1, 2, 4}));
}

TEST(TokenSamplerTest, TopPKeepsTheFewestThatReachIt) {
  // Their shares are 0.40, 0.40, 0.15, 0.05, 0.02.
  EXPECT_EQ(Seen(Request(1.0, 0, 0.7)), (std::set<int32_t>{1, 4}));
  EXPECT_EQ(Seen(Request(1.0, 0, 0.9)), (std::set<int32_t>{1, 2, 4}));
}

TEST(TokenSamplerTest, FrequenciesFollowTheSoftmax) {
  TokenSampler sampler(Request(2.0, 0, 0.0));
  std::vector<double> share(kLogits.size(), 0.0);
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    share[static_cast<size_t>(sampler.Next(kLogits))] += 1.0 / kDraws;
  }
  double total = 0.0;
  for (const float logit : kLogits) {
    total += std::exp(logit / 2.0);
  }
  for (size_t i = 0; i < kLogits.size(); ++i) {
    EXPECT_NEAR(share[i], std::exp(kLogits[i] / 2.0) / total, 0.01) << i;
  }
}

}  // namespace
}  // namespace cherry::trainer
