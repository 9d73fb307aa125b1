#include "worker/trainer/validator.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace cherry::trainer {

ValidationPlan PlanValidation(const v1::JobSpec& spec, const TokenWindows* valid) {
  ValidationPlan plan;
  plan.data = valid;
  plan.batch = spec.train().micro_batch_size();
  const int64_t most = spec.validation().max_sequences();
  plan.windows = most > 0 ? std::min(most, valid->size()) : valid->size();
  plan.counted = CountedOf(spec.data());
  return plan;
}

absl::StatusOr<std::vector<GroupSum>> Validate(const ValidationPlan& plan, Recipe* recipe, at::Device device,
                                               Collective* collective) {
  std::vector<GroupSum> groups(recipe->validation_groups().size());
  int64_t batch_number = 0;
  for (int64_t begin = 0; begin < plan.windows; begin += plan.batch, ++batch_number) {
    if (batch_number % collective->world_size() != collective->rank()) {
      continue;
    }
    std::vector<int64_t> windows(static_cast<size_t>(std::min(plan.batch, plan.windows - begin)));
    std::iota(windows.begin(), windows.end(), begin);
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
