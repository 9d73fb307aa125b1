#include "worker/methods/sgt/selector.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/types/span.h"
#include "common/spec_kinds.h"
#include "common/token_labels.h"
#include "worker/kernels/cross_entropy.h"
#include "worker/methods/sgt/selection.h"

namespace cherry::trainer {
namespace {

// Makes the draws of the coupling's random split independent of the selector's own.
constexpr uint64_t kSplitSalt = 0x73706c6974;

at::Tensor ToDevice(const std::vector<uint8_t>& host, const at::Tensor& like) {
  const at::Tensor tensor =
      at::empty({static_cast<int64_t>(host.size())}, at::TensorOptions().dtype(at::kByte));
  std::copy(host.begin(), host.end(), tensor.mutable_data_ptr<uint8_t>());
  return tensor.to(like.device()).to(at::kBool);
}

at::Tensor ToDevice(const std::vector<int64_t>& host, const at::Tensor& like) {
  const at::Tensor tensor =
      at::empty({static_cast<int64_t>(host.size())}, at::TensorOptions().dtype(at::kLong));
  std::copy(host.begin(), host.end(), tensor.mutable_data_ptr<int64_t>());
  return tensor.to(like.device());
}

// Of each row of `scores` [groups, n] the counts[group] highest where `candidates` is true, of equal ones the
// first.
at::Tensor Highest(const at::Tensor& scores, const at::Tensor& candidates, const at::Tensor& counts) {
  const at::Tensor masked =
      scores.masked_fill(candidates.logical_not(), -std::numeric_limits<float>::infinity());
  const at::Tensor order = std::get<1>(at::sort(masked, /*stable=*/true, /*dim=*/1, /*descending=*/true));
  const at::Tensor places = at::arange(scores.size(1), order.options()).expand_as(order);
  const at::Tensor rank = at::empty_like(order).scatter_(1, order, places);
  return rank.lt(counts.unsqueeze(1)).logical_and(candidates);
}

}  // namespace

// What data alone says about a micro-batch.
struct Selector::Plan {
  int64_t groups = 0;
  int64_t length = 0;               // Of a group.
  std::vector<uint8_t> mask;        // What is chosen without scores.
  std::vector<uint8_t> candidates;  // What scores choose from.
  std::vector<int64_t> scored;      // For each group, how many of them.
  std::vector<int64_t> drawn;       // And how many more at random.
  TargetCounts counts;
};

void TargetCounts::Add(const TargetCounts& more) {
  supervised += more.supervised;
  others += more.others;
  further.resize(std::max(further.size(), more.further.size()));
  for (size_t k = 0; k < more.further.size(); ++k) {
    further[k] += more.further[k];
  }
}

Selector::Selector(const v1::SgtConfig& sgt, uint64_t seed) : sgt_(sgt), seed_(seed) {
  for (const int category : sgt.categories()) {
    // The two enums number the categories alike.
    categories_ |= 1 << category;
  }
}

bool Selector::scores_rows() const { return ScoresAllRows(sgt_.selector()); }

int64_t Selector::GroupLength(const Batch& batch) const {
  return sgt_.scope() == v1::SgtConfig::MICRO_BATCH ? batch.sequences() * batch.length() : batch.length();
}

int64_t Selector::Capacity(const Batch& batch) const {
  const int64_t length = GroupLength(batch);
  const int64_t groups = batch.sequences() * batch.length() / length;
  if (sgt_.selector() == v1::SgtConfig::SUPER) {
    return groups;
  }
  const GroupBudget budget = BudgetOf(length, sgt_.budget(), sgt_.random_share());
  return groups * (budget.scored + budget.drawn);
}

std::vector<uint64_t> Selector::Keys(const Batch& batch, uint64_t seed) const {
  std::vector<uint64_t> keys;
  keys.reserve(batch.counted.size());
  for (const int64_t sample : batch.samples) {
    for (int64_t position = 0; position < batch.length(); ++position) {
      keys.push_back(DrawKey(seed, sample, position));
    }
  }
  return keys;
}

Selector::Plan Selector::MakePlan(const Batch& batch) const {
  Plan plan;
  plan.length = GroupLength(batch);
  plan.groups = static_cast<int64_t>(batch.counted.size()) / plan.length;
  plan.mask.assign(batch.counted.size(), 0);
  plan.candidates = batch.counted;
  const std::vector<uint64_t> keys = scores_rows() ? std::vector<uint64_t>() : Keys(batch, seed_);
  const auto part = [&plan](const auto& all, int64_t group) {
    return absl::MakeConstSpan(all).subspan(static_cast<size_t>(group * plan.length),
                                            static_cast<size_t>(plan.length));
  };
  for (int64_t group = 0; group < plan.groups; ++group) {
    const auto counted = part(batch.counted, group);
    const auto mask = absl::MakeSpan(plan.mask).subspan(static_cast<size_t>(group * plan.length),
                                                        static_cast<size_t>(plan.length));
    const int64_t targets = std::accumulate(counted.begin(), counted.end(), int64_t{0});
    GroupBudget budget = BudgetOf(targets, sgt_.budget(), sgt_.random_share());
    int64_t supervised = budget.scored + budget.drawn;
    switch (sgt_.selector()) {
      case v1::SgtConfig::ALL:
        std::copy(counted.begin(), counted.end(), mask.begin());
        supervised = targets;
        break;
      case v1::SgtConfig::RANDOM:
        supervised = Draw(part(keys, group), counted, supervised, mask);
        break;
      case v1::SgtConfig::RULE:
        supervised = SelectSpans(part(batch.labels, group), counted, categories_, budget.scored, mask);
        supervised += Draw(part(keys, group), counted, budget.drawn, mask);
        break;
      case v1::SgtConfig::SUPER: {
        const int64_t among =
            SelectSpans(part(batch.labels, group), counted, categories_, budget.scored + budget.drawn, mask);
        budget = {std::min<int64_t>(1, among), 0};
        supervised = budget.scored;
        break;
      }
      default:
        break;
    }
    plan.scored.push_back(budget.scored);
    plan.drawn.push_back(budget.drawn);
    plan.counts.supervised += static_cast<double>(supervised);
    plan.counts.others += static_cast<double>(targets - supervised);
  }
  if (sgt_.selector() == v1::SgtConfig::SUPER) {
    std::swap(plan.mask, plan.candidates);
  }
  return plan;
}

TargetCounts Selector::Count(const Batch& batch) const { return MakePlan(batch).counts; }

at::Tensor Selector::Select(const Batch& batch, const at::Tensor& scores) const {
  const Plan plan = MakePlan(batch);
  if (!scores_rows()) {
    return ToDevice(plan.mask, batch.targets);
  }
  const at::Tensor candidates = ToDevice(plan.candidates, batch.targets).view({plan.groups, plan.length});
  const at::Tensor by_score =
      Highest(scores.view({plan.groups, plan.length}), candidates, ToDevice(plan.scored, batch.targets));
  if (std::all_of(plan.drawn.begin(), plan.drawn.end(), [](int64_t count) { return count == 0; })) {
    return by_score.flatten();
  }
  // 24 bits of the keys are exact in fp32; a tie falls to the first.
  std::vector<int64_t> places;
  for (const uint64_t key : Keys(batch, seed_)) {
    places.push_back(static_cast<int64_t>(key >> 40));
  }
  const at::Tensor lots =
      ToDevice(places, batch.targets).to(at::kFloat).neg().view({plan.groups, plan.length});
  const at::Tensor drawn =
      Highest(lots, candidates.logical_and(by_score.logical_not()), ToDevice(plan.drawn, batch.targets));
  return by_score.logical_or(drawn).flatten();
}

at::Tensor Selector::SelectRandom(const Batch& batch) const {
  // As many in all as the selector takes.
  const TargetCounts counts = Count(batch);
  const std::vector<uint64_t> keys = Keys(batch, seed_ ^ kSplitSalt);
  std::vector<uint8_t> mask(batch.counted.size(), 0);
  Draw(keys, batch.counted, static_cast<int64_t>(counts.supervised), absl::MakeSpan(mask));
  return ToDevice(mask, batch.targets);
}

Rows Selector::Gather(const Batch& batch, const at::Tensor& mask) const {
  return GatherRows(mask, batch.targets.flatten(), Capacity(batch));
}

Rows GatherRows(const at::Tensor& mask, const at::Tensor& targets, int64_t count) {
  // A stable sort keeps the order of the rows: those of the mask first.
  const at::Tensor order =
      std::get<1>(at::sort(mask.to(at::kByte), /*stable=*/true, /*dim=*/0, /*descending=*/true));
  Rows rows;
  rows.index = order.narrow(0, 0, count);
  rows.targets = at::where(mask.index_select(0, rows.index), targets.index_select(0, rows.index),
                           at::scalar_tensor(kIgnoredTarget, targets.options()));
  return rows;
}

}  // namespace cherry::trainer
