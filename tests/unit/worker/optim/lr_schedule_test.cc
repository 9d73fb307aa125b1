#include "worker/optim/lr_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace cherry::trainer {
namespace {

LrSchedule Of(v1::LrScheduler::Type type) {
  return {.type = type, .peak = 1.0, .minimum = 0.2, .warmup_steps = 10, .steps = 110};
}

TEST(LrSchedule, RisesLinearlyToThePeak) {
  for (const auto type : {v1::LrScheduler::COSINE, v1::LrScheduler::WSD, v1::LrScheduler::CONSTANT}) {
    EXPECT_DOUBLE_EQ(Of(type).At(0), 0.1);
    EXPECT_DOUBLE_EQ(Of(type).At(4), 0.5);
    EXPECT_DOUBLE_EQ(Of(type).At(9), 1.0);
  }
}

TEST(LrSchedule, CosineFallsToTheMinimumAtTheLastStep) {
  const LrSchedule schedule = Of(v1::LrScheduler::COSINE);
  EXPECT_NEAR(schedule.At(59), 0.6, 1e-12);  // Half way.
  EXPECT_NEAR(schedule.At(34), 0.2 + 0.8 * 0.5 * (1 + std::cos(std::numbers::pi / 4)), 1e-12);
  EXPECT_NEAR(schedule.At(109), 0.2, 1e-12);
  EXPECT_NEAR(schedule.At(500), 0.2, 1e-12);
}

TEST(LrSchedule, WsdStaysStableAndFallsLinearlyOverTheLastTenth) {
  const LrSchedule schedule = Of(v1::LrScheduler::WSD);
  EXPECT_DOUBLE_EQ(schedule.At(50), 1.0);
  EXPECT_DOUBLE_EQ(schedule.At(98), 1.0);
  EXPECT_LT(schedule.At(99), 1.0);
  EXPECT_NEAR(schedule.At(100), 1.0 - 0.8 * 2 / 11, 1e-12);
  EXPECT_NEAR(schedule.At(109), 0.2, 1e-12);
}

TEST(LrSchedule, ConstantStaysAtThePeak) { EXPECT_DOUBLE_EQ(Of(v1::LrScheduler::CONSTANT).At(109), 1.0); }

TEST(LrSchedule, BeginsAtThePeakWithoutWarmUp) {
  LrSchedule schedule = Of(v1::LrScheduler::CONSTANT);
  schedule.warmup_steps = 0;
  EXPECT_DOUBLE_EQ(schedule.At(0), 1.0);
}

TEST(LrSchedule, OnlyWarmsUpWhenTheRunIsShorter) {
  LrSchedule schedule = Of(v1::LrScheduler::WSD);
  schedule.steps = 5;
  EXPECT_DOUBLE_EQ(schedule.At(4), 0.5);
}

TEST(LrSchedule, TakesTheSpecAndItsDocumentedDefaults) {
  v1::TrainConfig train;
  const LrSchedule defaults = LrSchedule::FromSpec(train);
  EXPECT_EQ(defaults.type, v1::LrScheduler::COSINE);
  EXPECT_DOUBLE_EQ(defaults.peak, 1e-3);
  EXPECT_DOUBLE_EQ(defaults.minimum, 1e-4);
  EXPECT_EQ(defaults.warmup_steps, 100);
  train.set_steps(50000);
  EXPECT_EQ(LrSchedule::FromSpec(train).warmup_steps, 1000);
  train.mutable_optimizer()->set_learning_rate(0.5);
  train.mutable_lr_scheduler()->set_warmup_steps(7);
  train.mutable_lr_scheduler()->set_min_lr(0.0);
  train.mutable_lr_scheduler()->set_type(v1::LrScheduler::WSD);
  const LrSchedule given = LrSchedule::FromSpec(train);
  EXPECT_DOUBLE_EQ(given.At(6), 0.5);
  EXPECT_DOUBLE_EQ(given.At(49999), 0.0);
}

}  // namespace
}  // namespace cherry::trainer
