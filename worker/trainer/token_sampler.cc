#include "worker/trainer/token_sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "common/mix.h"

namespace cherry::trainer {

TokenSampler::TokenSampler(const v1::GenerateRequest& request)
    : temperature_(request.temperature()),
      top_k_(request.top_k()),
      top_p_(request.top_p()),
      state_(static_cast<uint64_t>(request.seed())) {}

double TokenSampler::Uniform() {
  // What the standard library draws is not the same everywhere.
  const uint64_t x = Mix64(state_);
  state_ += kMixStep;
  return static_cast<double>(x >> 11) * 0x1.0p-53;
}

int32_t TokenSampler::Next(absl::Span<const float> logits) {
  if (temperature_ <= 0.0) {
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  if (top_k_ > 0 && top_k_ < static_cast<int64_t>(order.size())) {
    order.resize(static_cast<size_t>(top_k_));
  }
  std::vector<double> weights;
  double total = 0.0;
  for (const int32_t token : order) {
    const double above = logits[static_cast<size_t>(token)] - logits[static_cast<size_t>(order[0])];
    weights.push_back(std::exp(above / temperature_));
    total += weights.back();
  }
  if (top_p_ > 0.0 && top_p_ < 1.0) {
    double kept = 0.0;
    size_t count = 0;
    while (count < weights.size() && kept < top_p_ * total) {
      kept += weights[count++];
    }
    weights.resize(count);
    total = kept;
  }
  double left = Uniform() * total;
  for (size_t i = 0; i < weights.size(); ++i) {
    left -= weights[i];
    if (left < 0.0) {
      return order[i];
    }
  }
  return order[weights.size() - 1];
}

}  // namespace cherry::trainer
