#include "worker/trainer/validator.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace cherry::trainer {

ValidationPlan PlanValidation(const v1::JobSpec& spec, const SplitMixture* valid) {
  ValidationPlan plan;
  plan.data = valid;
  plan.counted = CountedOf(spec.data());
  const int64_t batch = spec.train().micro_batch_size();
  const int64_t most = spec.validation().max_sequences();
  const auto parts = static_cast<int64_t>(valid->parts());
  const int64_t share = most > 0 ? (most + parts - 1) / parts : valid->size();
  for (size_t part = 0; part < valid->parts(); ++part) {
    const int64_t first = valid->first_window(part);
    const int64_t end = std::min(first + share, valid->first_window(part + 1));
    for (int64_t begin = first; begin < end; begin += batch) {
      std::vector<int64_t>& windows = plan.batches.emplace_back(std::min(batch, end - begin));
      std::iota(windows.begin(), windows.end(), begin);
    }
    plan.windows += end - first;
  }
  return plan;
}

absl::StatusOr<std::vector<GroupSum>> Validate(const ValidationPlan& plan, Recipe* recipe, at::Device device,
                                               Collective* collective) {
  std::vector<GroupSum> groups(recipe->validation_groups().size());
  for (size_t i = static_cast<size_t>(collective->rank()); i < plan.batches.size();
       i += static_cast<size_t>(collective->world_size())) {
    const std::vector<int64_t>& windows = plan.batches[i];
    ASSIGN_OR_RETURN(const Batch batch, ReadBatch(*plan.data, windows, windows, plan.counted, device));
    recipe->AddValidation(batch, absl::MakeSpan(groups));
  }
  std::vector<double> sums;
  for (const GroupSum& group : groups) {
    sums.insert(sums.end(), {group.loss, group.targets});
  }
  RETURN_IF_ERROR(collective->AllReduceSum(absl::MakeSpan(sums)));
  for (size_t i = 0; i < groups.size(); ++i) {
    groups[i] = {sums[2 * i], sums[2 * i + 1]};
  }
  if (groups.front().targets == 0.0) {
    return InvalidField(
        "NO_TARGETS", "data.valid",
        absl::StrCat("data.valid: none of its first ", plan.windows, " sequences has a target that counts"),
        "raise validation.max_sequences, or hold out more text");
  }
  return groups;
}

}  // namespace cherry::trainer
