// Whole runs of compression: recovery, growth over stops, ranks.
#include "tests/unit/worker/trainer/method_run.h"

namespace cherry::trainer {
namespace {

using CompressRunTest = MethodRunTest;

TEST_F(CompressRunTest, MakesGoodWhatMergingCost) {
  const AttemptResult result = Run(workspace_.CompressSpec(30), 2);
  EXPECT_LT(result.Metric("loss/valid", 30), result.Metric("loss/valid/merged", 30));
  EXPECT_GT(result.Metric("recovery/merge", 30), result.Metric("recovery/merge", 10));
  const double merged = result.Metric("loss/valid/merged", 30);
  EXPECT_NEAR(result.Metric("recovery/merge", 30),
              (merged - result.Metric("loss/valid", 30)) / (merged - result.Metric("loss/valid/teacher", 30)),
              1e-9);
  EXPECT_NEAR(result.Metric("loss/valid/teacher", 30), start_.valid_loss(), 1e-6);
}

TEST_F(CompressRunTest, StoppedAnywhereItEndsWithTheSameBytes) {
  const v1::JobSpec spec = workspace_.CompressSpec(18);
  const AttemptResult whole = Run(spec, 2);
  int64_t epoch = 3;
  // Before, at and after the growth of step 6, and between the two.
  for (const int64_t stop : {5, 6, 7, 12}) {
    SCOPED_TRACE(stop);
    ExpectSameShards(whole, RunStoppedAt(spec, epoch, stop));
    epoch += 2;
  }
}

TEST_F(CompressRunTest, LoopsThatStartWithTheDeepLayersProductsAlsoEndWithTheSameBytes) {
  const v1::JobSpec spec = workspace_.CompressSpec(18, v1::UnrollConfig::LORA);
  ExpectSameShards(Run(spec, 2), RunStoppedAt(spec, 3, 7));
}

TEST_F(CompressRunTest, TwoRanksTrainAsOneDoes) {
  int64_t epoch = 2;
  for (const v1::UnrollConfig::Start start : {v1::UnrollConfig::LOWEST, v1::UnrollConfig::LORA}) {
    SCOPED_TRACE(v1::UnrollConfig::Start_Name(start));
    const v1::JobSpec spec = workspace_.CompressSpec(18, start);
    const AttemptResult one = Run(spec, epoch, 1);
    const AttemptResult two = Run(spec, epoch + 1, 2);
    ExpectSameLosses(one, two, 18);
    epoch += 2;
  }
}

}  // namespace
}  // namespace cherry::trainer
