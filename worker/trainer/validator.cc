#include "worker/trainer/validator.h"

#include <ATen/ATen.h>

#include <vector>

#include "common/status.h"
#include "worker/trainer/batches.h"

namespace cherry::trainer {

absl::StatusOr<double> Validate(const ValidationPlan& plan, Recipe* recipe, at::Device device,
                                Collective* collective) {
  double sums[2] = {0.0, 0.0};  // Loss and targets.
  int64_t batch_number = 0;
  for (int64_t begin = 0; begin < plan.windows; begin += plan.batch, ++batch_number) {
    if (batch_number % collective->world_size() != collective->rank()) {
      continue;
    }
    std::vector<int64_t> windows;
    for (int64_t window = begin; window < std::min(begin + plan.batch, plan.windows); ++window) {
      windows.push_back(window);
    }
    const LossSum loss = recipe->ValidationLoss(ReadBatch(*plan.data, windows, device));
    sums[0] += loss.sum.item<double>();
    sums[1] += static_cast<double>(loss.count.item<int64_t>());
  }
  RETURN_IF_ERROR(collective->AllReduceSum(absl::MakeSpan(sums)));
  return sums[0] / sums[1];
}

}  // namespace cherry::trainer
