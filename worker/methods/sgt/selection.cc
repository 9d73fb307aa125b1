#include "worker/methods/sgt/selection.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "common/mix.h"
#include "common/token_labels.h"

namespace cherry::trainer {
namespace {

struct LabelSpan {
  size_t begin = 0;
  size_t end = 0;
  Category category = Category::kNone;
};

std::vector<LabelSpan> FindSpans(absl::Span<const uint8_t> labels, absl::Span<const uint8_t> counted) {
  std::vector<LabelSpan> spans;
  for (size_t i = 0; i < labels.size(); ++i) {
    const Category category = counted[i] != 0 ? CategoryOf(labels[i]) : Category::kNone;
    if (category == Category::kNone) {
      continue;
    }
    const bool goes_on = !spans.empty() && spans.back().end == i && spans.back().category == category &&
                         (labels[i] & kSpanStart) == 0;
    if (goes_on) {
      spans.back().end = i + 1;
    } else {
      spans.push_back({i, i + 1, category});
    }
  }
  return spans;
}

}  // namespace

GroupBudget BudgetOf(int64_t targets, double budget, double random_share) {
  GroupBudget result;
  if (targets == 0) {
    return result;
  }
  const int64_t all = std::max<int64_t>(1, std::llround(budget * static_cast<double>(targets)));
  result.drawn = std::llround(random_share * static_cast<double>(all));
  result.scored = all - result.drawn;
  return result;
}

uint64_t DrawKey(uint64_t seed, int64_t sample, int64_t position) {
  return Mix64(Mix64(Mix64(seed) ^ static_cast<uint64_t>(sample)) ^ static_cast<uint64_t>(position));
}

int64_t Draw(absl::Span<const uint64_t> keys, absl::Span<const uint8_t> counted, int64_t count,
             absl::Span<uint8_t> mask) {
  std::vector<std::pair<uint64_t, size_t>> candidates;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (counted[i] != 0 && mask[i] == 0) {
      candidates.emplace_back(keys[i], i);
    }
  }
  const int64_t drawn = std::min(count, static_cast<int64_t>(candidates.size()));
  std::nth_element(candidates.begin(), candidates.begin() + drawn, candidates.end());
  for (int64_t i = 0; i < drawn; ++i) {
    mask[candidates[static_cast<size_t>(i)].second] = 1;
  }
  return drawn;
}

int64_t SelectSpans(absl::Span<const uint8_t> labels, absl::Span<const uint8_t> counted, int categories,
                    int64_t most, absl::Span<uint8_t> mask) {
  const std::vector<LabelSpan> spans = FindSpans(labels, counted);
  int64_t marked = 0;
  for (const Category category : {Category::kCorrect, Category::kReason, Category::kFact}) {
    if ((categories & (1 << static_cast<int>(category))) == 0) {
      continue;
    }
    for (const LabelSpan& span : spans) {
      const auto length = static_cast<int64_t>(span.end - span.begin);
      if (span.category == category && marked + length <= most) {
        std::fill(mask.begin() + span.begin, mask.begin() + span.end, uint8_t{1});
        marked += length;
      }
    }
  }
  return marked;
}

}  // namespace cherry::trainer
