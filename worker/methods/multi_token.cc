#include "worker/methods/multi_token.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "worker/kernels/cross_entropy.h"

namespace cherry::trainer {
namespace {

using v1::MultiTokenConfig;

// Rows of logits that exist at a time where only the largest is wanted.
constexpr int64_t kArgmaxRows = 1024;

at::Tensor Argmax(Transformer* model, const at::Tensor& states) {
  const at::Tensor rows = states.flatten(0, 1);
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < rows.size(0); begin += kArgmaxRows) {
    const int64_t count = std::min(kArgmaxRows, rows.size(0) - begin);
    parts.push_back(model->Logits(rows.narrow(0, begin, count)).argmax(-1));
  }
  return at::cat(parts).view({states.size(0), states.size(1)});
}

// The head's loss on `states` [b, n, dim], summed over those of `targets` [b, n] that count; they are counted
// in `count` on the device.
at::Tensor SumLoss(Transformer* model, const at::Tensor& states, const at::Tensor& targets,
                   int64_t supervised, at::Tensor* count) {
  const at::Tensor flat = targets.flatten();
  const at::Tensor counted = flat.ne(kIgnoredTarget);
  at::Tensor rows = states.flatten(0, 1);
  at::Tensor row_targets = flat;
  if (supervised < flat.size(0)) {
    const Rows chosen = GatherRows(counted, flat, supervised);
    rows = rows.index_select(0, chosen.index);
    row_targets = chosen.targets;
  }
  *count = counted.sum();
  return HeadCrossEntropy(rows, model->HeadWeight(), row_targets);
}

}  // namespace

std::vector<double> DepthWeights(const MultiTokenConfig& config, int64_t step, int64_t steps) {
  const int64_t depth = config.depth();
  const bool chain = config.form() == MultiTokenConfig::CHAIN;
  // Which of depth + 1 equal stages, and how far into it.
  const double place = static_cast<double>(step * (depth + 1)) / static_cast<double>(steps);
  const int64_t stage = std::min(depth, static_cast<int64_t>(place));
  int64_t active = depth;
  double last = 1.0;  // Of the deepest active one.
  if (config.curriculum() == MultiTokenConfig::FORWARD) {
    active = stage;
  } else if (!chain) {
    active = depth - stage;
    last = 1.0 - (place - static_cast<double>(stage));
  }
  std::vector<double> weights(static_cast<size_t>(depth), 0.0);
  for (int64_t k = 1; k <= active; ++k) {
    weights[static_cast<size_t>(k - 1)] = (chain ? config.weight() / static_cast<double>(active)
                                                 : std::pow(config.weight(), static_cast<double>(k))) *
                                          (k == active ? last : 1.0);
  }
  return weights;
}

at::Tensor FurtherTokensLoss(const MultiTokenConfig& config, const std::vector<double>& weights,
                             Transformer* model, const at::Tensor& hidden, const at::Tensor& tokens,
                             const at::Tensor& targets, int64_t supervised, const TargetCounts& step) {
  const int64_t length = tokens.size(1);
  at::Tensor states = hidden;
  at::Tensor sum;
  if (supervised == 0) {
    return sum;
  }
  for (size_t i = 0; i < weights.size() && weights[i] > 0.0; ++i) {
    const auto k = static_cast<int64_t>(i) + 1;
    states = states.narrow(1, 0, length - k);
    if (config.form() == MultiTokenConfig::CHAIN) {
      states = model->Chain(states, tokens.narrow(1, k, length - k));
    }
    at::Tensor count;
    at::Tensor loss = SumLoss(model, states, targets.narrow(1, k, length - k), supervised, &count);
    if (step.further.empty()) {
      loss = loss * (weights[i] * static_cast<double>(supervised)) / count.clamp_min(1);
    } else {
      loss = loss * (weights[i] * step.supervised / std::max(1.0, step.further[i]));
    }
    sum = sum.defined() ? sum + loss : loss;
  }
  return sum;
}

std::vector<double> FurtherTargets(const Batch& batch, int64_t depth) {
  std::vector<double> counts(static_cast<size_t>(depth), 0.0);
  const auto length = static_cast<size_t>(batch.length());
  for (size_t i = 0; i < batch.counted.size(); ++i) {
    // Target i of its sequence is that of depth k for the position k before.
    const size_t reached = std::min(i % length, counts.size());
    for (size_t k = 0; batch.counted[i] != 0 && k < reached; ++k) {
      counts[k] += 1.0;
    }
  }
  return counts;
}

Acceptance ChainAcceptance(Transformer* model, const at::Tensor& hidden, const at::Tensor& tokens,
                           int64_t depth) {
  const at::NoGradGuard no_gradient;
  const int64_t length = tokens.size(1);
  const at::Tensor own = Argmax(model, hidden);
  at::Tensor states = hidden;
  at::Tensor right = at::ones_like(own, at::kBool);
  Acceptance acceptance;
  for (int64_t k = 1; k <= depth; ++k) {
    const int64_t count = length - k;
    states = model->Chain(states.narrow(1, 0, count), tokens.narrow(1, k, count));
    right = right.narrow(1, 0, count).logical_and(Argmax(model, states).eq(own.narrow(1, k, count)));
    acceptance.accepted.push_back(right.sum().to(at::kDouble).item<double>());
    acceptance.positions.push_back(static_cast<double>(right.numel()));
  }
  return acceptance;
}

Acceptance LoopAcceptance(Transformer* model, const at::Tensor& hidden, const at::Tensor& tokens,
                          int64_t depth) {
  const at::NoGradGuard no_gradient;
  const at::Tensor own = Argmax(model, hidden);
  model->LimitRounds(1);
  const at::Tensor right = Argmax(model, model->Hidden(tokens)).eq(own);
  model->LimitRounds(std::numeric_limits<int64_t>::max());
  at::Tensor run = right;
  Acceptance acceptance;
  for (int64_t k = 1; k <= depth; ++k) {
    if (k > 1) {
      const int64_t count = run.size(1) - 1;
      run = run.narrow(1, 0, count).logical_and(right.narrow(1, k - 1, count));
    }
    acceptance.accepted.push_back(run.sum().to(at::kDouble).item<double>());
    acceptance.positions.push_back(static_cast<double>(run.numel()));
  }
  return acceptance;
}

std::vector<std::string> AcceptanceNames(const MultiTokenConfig& config) {
  std::vector<std::string> names;
  for (int64_t k = 1; config.form() == MultiTokenConfig::CHAIN && k <= config.depth(); ++k) {
    names.push_back(absl::StrCat("draft_acceptance/", k));
  }
  return names;
}

}  // namespace cherry::trainer
