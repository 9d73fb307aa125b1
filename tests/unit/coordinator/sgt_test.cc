// Selective jobs: what they inherit, which checkpoints they read, and for how long those are kept.
#include "tests/unit/coordinator/simulation.h"

namespace cherry::coordinator {
namespace {

class SgtJobs : public Simulation {
 protected:
  // A job that has succeeded, with checkpoints of steps 50 (the best) and 300.
  std::string Trained(const std::string& name, const std::string& worker) {
    AddWorker(worker, 1);
    v1::JobSpec spec = PretrainSpec(name, 1);
    spec.mutable_checkpoint()->set_keep_last(1);
    const std::string uid = Submit(spec);
    RunTo(uid, 1);
    Commit(uid, 50, 3.0);
    Commit(uid, 300, 4.0);
    ExitAll(uid, v1::CAUSE_SUCCEEDED);
    EXPECT_EQ(StateOf(uid), v1::Job::SUCCEEDED);
    return uid;
  }

  static v1::JobSpec Selective(const std::string& name, const std::string& from) {
    v1::JobSpec spec;
    spec.set_kind(v1::JobSpec::SGT);
    spec.set_name(name);
    spec.mutable_from()->set_job(from);
    spec.mutable_sgt()->set_selector(v1::SgtConfig::RANDOM);
    return spec;
  }

  std::map<std::string, v1::Checkpoint> InputsOf(const std::string& uid) {
    std::map<std::string, v1::Checkpoint> inputs;
    for (const auto& send : Take<SendToWorker>()) {
      if (send.message.has_start() && send.message.start().attempt().job_uid() == uid) {
        for (const v1::JobInput& input : send.message.start().inputs()) {
          inputs[input.role()] = input.checkpoint();
        }
      }
    }
    return inputs;
  }
};

TEST_F(SgtJobs, InheritTheParentsDataAndModelAndMeasureFromItsBest) {
  const std::string base = Trained("ko-base", "w0");
  const std::string uid = Submit(Selective("ko-sgt", "ko-base"));
  const v1::JobSpec resolved = Job(uid).resolved();
  EXPECT_EQ(resolved.data().train(), "ko/train");
  EXPECT_EQ(resolved.data().valid(), "ko/valid");
  EXPECT_EQ(resolved.model().layers(), 4);
  EXPECT_EQ(resolved.from().job_uid(), base);
  const auto inputs = InputsOf(uid);
  ASSERT_EQ(inputs.count("origin"), 1u);
  EXPECT_EQ(inputs.at("origin").step(), 50);
}

TEST_F(SgtJobs, TheReferenceIsLookedUpAtSubmitAndSentWithTheAttempt) {
  Trained("ko-base", "w0");
  Trained("ko-ref", "w1");
  v1::JobSpec spec = Selective("ko-excess", "ko-base");
  spec.mutable_sgt()->set_selector(v1::SgtConfig::EXCESS);
  EXPECT_EQ(InfoOf(TrySubmit(spec).status()).field(), "sgt.reference");
  spec.mutable_sgt()->mutable_reference()->set_job("nobody");
  EXPECT_EQ(InfoOf(TrySubmit(spec).status()).field(), "sgt.reference.job");
  spec.mutable_sgt()->mutable_reference()->set_job("ko-ref");
  spec.mutable_sgt()->mutable_reference()->set_checkpoint("latest");
  const std::string uid = Submit(spec);
  EXPECT_EQ(InputsOf(uid).at("sgt.reference").step(), 300);
}

TEST_F(SgtJobs, GoingOnKeepsTheWeightsThatTheFirstRunMeasuredFrom) {
  Trained("ko-base", "w0");
  const std::string first = Submit(Selective("ko-sgt", "ko-base"));
  RunTo(first, 1);
  Commit(first, 300, 2.5);
  ExitAll(first, v1::CAUSE_SUCCEEDED);
  v1::JobSpec more = Selective("ko-more", "ko-base");
  more.clear_from();
  more.mutable_continue_()->set_job("ko-sgt");
  more.mutable_train()->set_steps(2000);
  const std::string uid = Submit(more);
  EXPECT_EQ(InputsOf(uid).at("origin").job_uid(), Job(first).resolved().from().job_uid());
}

TEST_F(SgtJobs, ARunWhoseOriginIsGoneCannotGoOn) {
  AddWorker("w0", 2);
  v1::JobSpec spec = PretrainSpec("ko-base", 1);
  spec.mutable_checkpoint()->set_keep_last(1);
  spec.mutable_checkpoint()->set_keep_best(false);
  const std::string base = Submit(spec);
  RunTo(base, 1);
  Commit(base, 50, 3.0);
  v1::JobSpec selective = Selective("ko-sgt", "ko-base");
  selective.mutable_from()->set_checkpoint("50");
  const std::string first = Submit(selective);
  RunTo(first, 1);
  Commit(first, 300, 2.5);
  Commit(base, 100, 2.0);
  v1::JobSpec more = Selective("ko-more", "ko-base");
  more.clear_from();
  more.mutable_continue_()->set_job("ko-sgt");
  more.mutable_continue_()->set_checkpoint("300");
  more.mutable_train()->set_steps(2000);
  EXPECT_TRUE(TrySubmit(more).ok());
  more.set_name("ko-later");
  // Once nobody lives who measures from it, it is let go.
  for (const char* name : {"ko-more", "ko-sgt"}) {
    const auto job = core_->GetJob(absl::StrCat("namespaces/default/jobs/", name));
    ASSERT_TRUE(job.ok());
    if (job->uid() == first) {
      ExitAll(first, v1::CAUSE_SUCCEEDED);
    } else {
      ASSERT_TRUE(TryCancel(job->uid()).ok());
    }
  }
  Commit(base, 150, 1.5);
  ASSERT_EQ((disk_.checkpoints.at({base, 50, 1}).state()), v1::Checkpoint::DELETED);
  const auto refused = TrySubmit(more);
  EXPECT_EQ(InfoOf(refused.status()).reason(), "CHECKPOINT_NOT_FOUND") << refused.status();
  EXPECT_THAT(std::string(refused.status().message()), ::testing::HasSubstr("are gone"));
}

TEST_F(SgtJobs, WhatAJobReadsIsKeptWhileItLives) {
  AddWorker("w0", 1);
  v1::JobSpec spec = PretrainSpec("ko-ref", 1);
  spec.mutable_checkpoint()->set_keep_last(1);
  spec.mutable_checkpoint()->set_keep_best(false);
  const std::string reference = Submit(spec);
  RunTo(reference, 1);
  Commit(reference, 50, 3.0);
  v1::JobSpec reader = Selective("ko-excess", "ko-ref");
  reader.mutable_sgt()->set_selector(v1::SgtConfig::EXCESS);
  reader.mutable_sgt()->mutable_reference()->set_job("ko-ref");
  // What a live job has by now counts only where it is named.
  reader.mutable_from()->set_checkpoint("50");
  reader.mutable_sgt()->mutable_reference()->set_checkpoint("50");
  const std::string uid = Submit(reader);
  Commit(reference, 100, 2.0);
  const auto state = [&] { return disk_.checkpoints.at({reference, 50, 1}).state(); };
  EXPECT_EQ(state(), v1::Checkpoint::COMMITTED);
  Restart();
  Commit(reference, 150, 1.0);
  EXPECT_EQ(state(), v1::Checkpoint::COMMITTED);
  ASSERT_TRUE(TryCancel(uid).ok());
  EXPECT_EQ(state(), v1::Checkpoint::DELETED);
}

TEST_F(SgtJobs, ResponsesOfDataWithoutAnyAreRefused) {
  Trained("ko-base", "w0");
  v1::JobSpec spec = Selective("ko-sgt", "ko-base");
  spec.mutable_data()->set_targets(v1::DataConfig::RESPONSES);
  EXPECT_EQ(InfoOf(TrySubmit(spec).status()).reason(), "NO_RESPONSES");
}

}  // namespace
}  // namespace cherry::coordinator
