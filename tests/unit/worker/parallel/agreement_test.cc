#include "worker/parallel/agreement.h"

#include <gtest/gtest.h>

#include "common/status.h"
#include "tests/unit/worker/parallel/gang_of_threads.h"

namespace cherry::trainer {
namespace {

TEST(AgreementTest, AllRanksGetTheErrorOfOne) {
  RunRanks(3, [](std::unique_ptr<Collective> collective) {
    EXPECT_TRUE(AgreeOn(absl::OkStatus(), collective.get()).ok());
    const absl::Status local = collective->rank() == 1
                                   ? InvalidField("DATASET_CHANGED", "data.train", "it changed", "restore it")
                                   : absl::OkStatus();
    const absl::Status agreed = AgreeOn(local, collective.get());
    EXPECT_TRUE(absl::IsInvalidArgument(agreed)) << agreed;
    EXPECT_EQ(agreed.message(), "it changed");
    EXPECT_EQ(InfoOf(agreed).reason(), "DATASET_CHANGED");
    EXPECT_EQ(InfoOf(agreed).field(), "data.train");
    EXPECT_EQ(InfoOf(agreed).remedy(), "restore it");
  });
}

TEST(AgreementTest, TheLowestRanksErrorWins) {
  RunRanks(2, [](std::unique_ptr<Collective> collective) {
    const absl::Status agreed =
        AgreeOn(absl::InternalError(collective->rank() == 0 ? "zero" : "one"), collective.get());
    EXPECT_EQ(agreed.message(), "zero");
  });
}

TEST(AgreementTest, OneRankAgreesWithItself) {
  const std::unique_ptr<Collective> single = MakeSingleRank();
  EXPECT_TRUE(AgreeOn(absl::OkStatus(), single.get()).ok());
  EXPECT_EQ(AgreeOn(absl::InternalError("own"), single.get()).message(), "own");
  EXPECT_EQ(BroadcastString("text", single.get()).value(), "text");
}

}  // namespace
}  // namespace cherry::trainer
