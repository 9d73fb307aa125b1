#include "worker/agent/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cherry::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class MetricsTest : public ::testing::Test {
 protected:
  MetricsTest() {
    v1::Slot slot;
    slot.set_gpu_uuid("GPU-1");
    auto metrics = Metrics::Create({"127.0.0.1", 0}, {slot});
    EXPECT_TRUE(metrics.ok());
    metrics_ = *std::move(metrics);
    attempt_.set_job_name("ko-base");
    attempt_.set_namespace_("default");
    step_.set_step(7);
    step_.set_step_seconds(0.5);
    step_.mutable_progress()->set_tokens(1000);
    step_.mutable_progress()->set_loss(4.5);
    step_.mutable_phases()->set_forward(0.1);
  }

  std::unique_ptr<Metrics> metrics_;
  v1::StartAttempt attempt_;
  v1::StepReport step_;
  const AttemptKey key_ = {"uid", 1};
};

TEST_F(MetricsTest, AnAttemptThatGoesOnHasTheCheckpointThatItGoesOnFrom) {
  attempt_.add_resume()->mutable_create_time()->set_seconds(50);
  attempt_.add_resume()->mutable_create_time()->set_seconds(20);
  metrics_->OnStep({key_, 0}, attempt_, step_);
  const std::string name =
      "cherry_job_last_checkpoint_timestamp_seconds{job_name=\"ko-base\",job_namespace=\"default\"} ";
  EXPECT_THAT(metrics_->Page(), HasSubstr(name + "50"));
  metrics_->OnCommitted(key_, absl::FromUnixSeconds(100));
  EXPECT_THAT(metrics_->Page(), HasSubstr(name + "100"));
}

TEST_F(MetricsTest, ShowsTheJobOfRankZeroUntilItIsGone) {
  metrics_->OnSlot(0, "ko-base");
  metrics_->OnStep({key_, 0}, attempt_, step_);
  metrics_->OnCommitted(key_, absl::FromUnixSeconds(100));
  const std::string labels = "{job_name=\"ko-base\",job_namespace=\"default\"";
  EXPECT_THAT(metrics_->Page(),
              AllOf(HasSubstr("cherry_job_step" + labels + "} 7"),
                    HasSubstr("cherry_job_loss" + labels + ",split=\"train\"} 4.5"),
                    HasSubstr("cherry_job_tokens_total" + labels + "} 1000"),
                    HasSubstr("cherry_job_last_checkpoint_timestamp_seconds" + labels + "} 100"),
                    HasSubstr("job_name=\"ko-base\",slot=\"0\"} 1"), Not(HasSubstr("split=\"valid\""))));
  metrics_->OnAttemptGone(key_);
  metrics_->OnSlot(0, "");
  EXPECT_THAT(metrics_->Page(), AllOf(Not(HasSubstr("ko-base")),
                                      HasSubstr("cherry_rank_phase_seconds_count{phase=\"forward\"} 1")));
}

TEST_F(MetricsTest, AnAttemptThatEndsTakesNothingFromOneWithItsName) {
  for (const AttemptKey& newer : {AttemptKey{"uid", 2}, AttemptKey{"another", 1}}) {
    metrics_->OnStep({key_, 0}, attempt_, step_);
    metrics_->OnStep({newer, 0}, attempt_, step_);
    metrics_->OnAttemptGone(key_);
    metrics_->OnStep({newer, 0}, attempt_, step_);
    EXPECT_THAT(metrics_->Page(),
                HasSubstr("cherry_job_step{job_name=\"ko-base\",job_namespace=\"default\"} 7"));
    metrics_->OnAttemptGone(newer);
  }
}

TEST_F(MetricsTest, ShowsWhatAMethodMeasuresAndTakesItAway) {
  const auto add = [this](const char* name, double value) {
    v1::MetricSample* sample = step_.add_samples();
    sample->set_name(name);
    sample->set_value(value);
  };
  add("loss/valid/selected", 3.5);
  add("coupling/cosine", 0.25);
  add("wave", 1.5);
  add("recovery/merge", 0.75);
  metrics_->OnStep({key_, 0}, attempt_, step_);
  const std::string labels = "{job_name=\"ko-base\",job_namespace=\"default\"";
  EXPECT_THAT(metrics_->Page(),
              AllOf(HasSubstr("cherry_job_loss" + labels + ",split=\"valid_selected\"} 3.5"),
                    HasSubstr("cherry_job_gradient_coupling" + labels + ",measure=\"cosine\"} 0.25"),
                    HasSubstr("cherry_job_recovery" + labels + "} 0.75"),
                    HasSubstr("cherry_job_wave" + labels + "} 1.5")));
  metrics_->OnAttemptGone(key_);
  EXPECT_THAT(metrics_->Page(), Not(HasSubstr("ko-base")));
}

TEST_F(MetricsTest, OtherRanksOnlyShowTheirPhases) {
  metrics_->OnStep({key_, 1}, attempt_, step_);
  EXPECT_THAT(metrics_->Page(), AllOf(Not(HasSubstr("cherry_job_step{")),
                                      HasSubstr("cherry_rank_phase_seconds_count{phase=\"data\"} 1")));
}

}  // namespace
}  // namespace cherry::worker
