// How a compression's loops begin: start: lowest is the best of the others, and as if it alone had been asked
// for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/unit/worker/trainer/parents.h"

namespace cherry::trainer {
namespace {

using v1::UnrollConfig;

constexpr int64_t kRank = 4;

std::unique_ptr<Recipe> Prepared(UnrollConfig::Start start, int64_t rank, Parents* parents) {
  v1::JobSpec spec;
  spec.mutable_train()->set_steps(1);
  spec.mutable_compress()->set_layers(1);
  spec.mutable_compress()->mutable_unroll()->set_start(start);
  ModelShape shape = kParent;
  shape.layers = 1;
  shape.schedule = "1x2";
  shape.lora_rank = rank;
  std::unique_ptr<Recipe> recipe = MakeCompressRecipe(spec, shape, at::kCPU);
  const absl::Status status = recipe->Prepare(parents);
  EXPECT_TRUE(status.ok()) << status;
  return recipe;
}

double LossOnCalibration(Recipe* recipe, Parents* parents) {
  double sum = 0.0;
  double targets = 0.0;
  for (int64_t i = 0; i < 32; ++i) {
    const Batch batch = *parents->InputModels::Calibration(i);
    sum += recipe->model().RowLosses(batch.tokens, batch.targets).sum().item<double>();
    targets += recipe->Count(batch).supervised;
  }
  return sum / targets;
}

TEST(CompressStartTest, LowestIsTheBestOfTheOthers) {
  std::set<UnrollConfig::Start> winners;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    Parents parents(/*broken=*/false, seed);
    std::map<double, UnrollConfig::Start> by_loss;
    for (const UnrollConfig::Start start : {UnrollConfig::IDENTITY, UnrollConfig::FLOW, UnrollConfig::LORA}) {
      by_loss[LossOnCalibration(Prepared(start, kRank, &parents).get(), &parents)] = start;
    }
    const UnrollConfig::Start best = by_loss.begin()->second;
    winners.insert(best);
    EXPECT_TRUE(at::equal(Prepared(UnrollConfig::LOWEST, kRank, &parents)->model().parameters().values(),
                          Prepared(best, kRank, &parents)->model().parameters().values()));
  }
  // Both that products are kept and that they are taken back.
  EXPECT_EQ(winners.count(UnrollConfig::LORA), 1u);
  EXPECT_GE(winners.size(), 2u);
}

TEST(CompressStartTest, WithoutARankThereIsNoStartWithProducts) {
  Parents parents(/*broken=*/false);
  const std::unique_ptr<Recipe> recipe = Prepared(UnrollConfig::LOWEST, /*rank=*/0, &parents);
  for (const NamedParameter& parameter : recipe->model().parameters().list()) {
    EXPECT_EQ(parameter.name.find("lora"), std::string::npos) << parameter.name;
  }
}

TEST(CompressStartTest, ItGivesSignsOfLifeForEveryBatchThatItMeasures) {
  Parents parents(/*broken=*/false);
  Prepared(UnrollConfig::LOWEST, kRank, &parents);
  EXPECT_GE(parents.signs_of_life(), 3 * 32);
}

}  // namespace
}  // namespace cherry::trainer
