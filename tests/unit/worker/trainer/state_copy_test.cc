#include "worker/trainer/state_copy.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/parallel/gang_of_threads.h"

namespace cherry::trainer {
namespace {

TEST(BroadcastWeightsTest, EveryRankHasRankZerosWeights) {
  RunRanks(2, [](std::unique_ptr<Collective> collective) {
    const std::vector<ParameterSpec> specs = {{"a", {7, 3}, true, 1.0}, {"b", {5}, false, 1.0}};
    Parameters ours(specs, at::kCPU, static_cast<uint64_t>(collective->rank() + 1));
    const Parameters of_rank_zero(specs, at::kCPU, 1);
    ASSERT_EQ(at::equal(ours.values(), of_rank_zero.values()), collective->rank() == 0);
    ASSERT_TRUE(BroadcastWeights(&ours, collective.get()).ok());
    EXPECT_TRUE(at::equal(ours.values(), of_rank_zero.values()));
  });
}

}  // namespace
}  // namespace cherry::trainer
