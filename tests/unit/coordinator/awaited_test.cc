// Jobs that wait for other jobs: why, until when, and what becomes of them.
#include "tests/unit/coordinator/simulation.h"

namespace cherry::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class AwaitedInputs : public Simulation {
 protected:
  AwaitedInputs() { AddWorker("w0", 4); }

  static v1::JobSpec Child(const std::string& name, const std::string& from,
                           const std::string& checkpoint = "") {
    v1::JobSpec spec = PretrainSpec(name, 1);
    spec.mutable_from()->set_job(from);
    spec.mutable_from()->set_checkpoint(checkpoint);
    return spec;
  }
  std::string Running(const v1::JobSpec& spec) {
    const std::string uid = Submit(spec);
    RunTo(uid, 1);
    return uid;
  }
  void Succeed(const std::string& uid, double valid_loss = 4.0) {
    if (StateOf(uid) == v1::Job::STARTING) {
      RunTo(uid, 1);
    }
    Commit(uid, 300, valid_loss);
    ExitAll(uid, v1::CAUSE_SUCCEEDED);
    EXPECT_EQ(StateOf(uid), v1::Job::SUCCEEDED);
  }
  void Fail(const std::string& uid) {
    Exit(uid, 0, v1::CAUSE_USER, 2, "the data are wrong");
    EXPECT_EQ(StateOf(uid), v1::Job::FAILED);
  }
  static v1::JobSpec Fragile(const std::string& name) {
    v1::JobSpec spec = PretrainSpec(name, 1);
    spec.mutable_limits()->set_retries(0);
    return spec;
  }
};

TEST_F(AwaitedInputs, AJobWaitsForALiveJobAndSaysHowFarThatIs) {
  const std::string parent = Running(PretrainSpec("ko-base", 1));
  const std::string child = Submit(Child("ko-more", "ko-base"));
  Progress(parent, 120);
  const v1::Job job = Job(child);
  EXPECT_EQ(job.state(), v1::Job::PENDING);
  EXPECT_EQ(job.reason(), "waits for ko-base (RUNNING, step 120/300)");
  ASSERT_THAT(job.pending(), SizeIs(1));
  EXPECT_EQ(job.pending(0).tier(), v1::PendingReason::INPUT);
  EXPECT_THAT(job.pending(0).blocking_jobs(), ElementsAre("namespaces/default/jobs/ko-base"));
  EXPECT_EQ(job.resolved().from().job_uid(), parent);
  const auto explained = core_->ExplainJob(job.name());
  EXPECT_EQ(explained->summary(), "input: waits for ko-base (RUNNING, step 120/300)");
  EXPECT_THAT(explained->would_start(), ElementsAre("with the success of ko-base"));
  EXPECT_EQ(explained->queue_position(), 0);
}

TEST_F(AwaitedInputs, ItStartsFromTheBestOnceThatHasSucceeded) {
  const std::string parent = Running(PretrainSpec("ko-base", 1));
  Commit(parent, 50, 5.0);
  Commit(parent, 100, 3.0);
  const std::string best = Submit(Child("best", "ko-base"));
  const std::string latest = Submit(Child("latest", "ko-base", "latest"));
  const std::string last = Submit(Child("last", "ko-base", "300"));
  EXPECT_EQ(StateOf(best), v1::Job::PENDING);
  Take<SendToWorker>();
  Advance(absl::Seconds(30));
  Succeed(parent, 4.0);
  EXPECT_EQ(StateOf(best), v1::Job::STARTING);
  EXPECT_EQ(disk_.jobs.at(best).pending_since().seconds(), absl::ToUnixSeconds(now_));
  std::map<std::string, int64_t> from;
  for (const auto& message : Sent("w0", v1::CoordinatorMessage::kStart)) {
    from[message.start().job_name()] = message.start().from().step();
  }
  EXPECT_EQ(from.at("best"), 100);
  EXPECT_EQ(from.at("latest"), 300);
  EXPECT_EQ(from.at("last"), 300);
  EXPECT_EQ(CountEvents("InputReady"), 3);
}

TEST_F(AwaitedInputs, TheCheckpointIsChosenInTheDecisionThatEndsTheParent) {
  const std::string parent = Running(PretrainSpec("ko-base", 1));
  const std::string child = Submit(Child("ko-more", "ko-base"));
  Commit(parent, 300, 4.0);
  EXPECT_TRUE(disk_.jobs.at(child).source().name().empty());
  Exit(parent, 0, v1::CAUSE_SUCCEEDED);
  std::map<std::string, v1::JobRecord> written;
  for (const v1::JobRecord& record : last_.changes.put_jobs) {
    written[record.job().uid()] = record;
  }
  EXPECT_EQ(written.at(parent).job().state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(written.at(child).source().step(), 300);
  EXPECT_THAT(written.at(child).awaits(), SizeIs(0));
}

TEST_F(AwaitedInputs, AStepIsTakenWhereItExistsAndRefusedWhereItNeverWill) {
  v1::JobSpec spec = PretrainSpec("ko-base", 1);
  spec.mutable_checkpoint()->set_every_steps(100);
  const std::string parent = Running(spec);
  Commit(parent, 100, 5.0);
  const std::string now = Submit(Child("now", "ko-base", "100"));
  EXPECT_EQ(StateOf(now), v1::Job::STARTING);
  const std::string later = Submit(Child("later", "ko-base", "200"));
  EXPECT_EQ(StateOf(later), v1::Job::PENDING);
  for (const char* never : {"150", "400", "0", "-100"}) {
    const auto refused = TrySubmit(Child("never", "ko-base", never));
    EXPECT_EQ(InfoOf(refused.status()).reason(), "CHECKPOINT_NOT_FOUND") << never;
    EXPECT_EQ(InfoOf(refused.status()).field(), "from.checkpoint") << never;
  }
  EXPECT_EQ(InfoOf(TrySubmit(Child("never", "ko-base", "newest")).status()).reason(), "CHECKPOINT_INVALID");
  // Done, but still being written: it is on its way.
  Progress(parent, 210);
  EXPECT_EQ(StateOf(Submit(Child("soon", "ko-base", "200"))), v1::Job::PENDING);
  Commit(parent, 300, 4.0);
  EXPECT_EQ(InfoOf(TrySubmit(Child("gone", "ko-base", "200")).status()).reason(), "CHECKPOINT_NOT_FOUND");
}

TEST_F(AwaitedInputs, WhoWaitsIsCheckedAgainstTheParentAtOnce) {
  Running(PretrainSpec("ko-base", 1));
  v1::JobSpec other_shape = Child("child", "ko-base");
  other_shape.mutable_model()->set_preset("mini");
  EXPECT_EQ(InfoOf(TrySubmit(other_shape).status()).reason(), "MODEL_MISMATCH");
  v1::JobSpec no_further = Child("child", "ko-base");
  no_further.clear_from();
  no_further.mutable_continue_()->set_job("ko-base");
  EXPECT_EQ(InfoOf(TrySubmit(no_further).status()).field(), "train.steps");
  v1::JobSpec planned = Child("child", "ko-base");
  v1::SubmitJobRequest request;
  *request.mutable_spec() = planned;
  request.set_validate_only(true);
  const auto plan = Do([&](Decision* decision) {
    return core_->SubmitJob(decision, NewMutation("SubmitJob"), request, {"uid-x", "abcde"});
  });
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_THAT(plan->job().plan().would_wait(), SizeIs(1));
  EXPECT_THAT(plan->job().plan().would_wait(0).message(),
              HasSubstr("waits for ko-base (RUNNING, step 1/300)"));
}

TEST_F(AwaitedInputs, AFailedParentTakesItsChildrenAlongAndTheirs) {
  const std::string parent = Running(Fragile("ko-base"));
  const std::string child = Submit(Child("ko-sgt", "ko-base"));
  const std::string grandchild = Submit(Child("ko-6", "ko-sgt"));
  ASSERT_TRUE(TryPause(grandchild).ok());
  Fail(parent);
  EXPECT_EQ(StateOf(child), v1::Job::FAILED);
  EXPECT_EQ(Job(child).failure().cause(), v1::CAUSE_INPUT);
  EXPECT_THAT(Job(child).reason(), HasSubstr("it waited for ko-base, and ko-base is FAILED: "));
  EXPECT_THAT(Job(child).reason(), HasSubstr("the data are wrong"));
  EXPECT_EQ(StateOf(grandchild), v1::Job::FAILED);  // A paused one too.
  EXPECT_THAT(Job(grandchild).reason(), HasSubstr("it waited for ko-sgt, and ko-base is FAILED: "));
  EXPECT_THAT(Job(grandchild).failure().message(), HasSubstr("the data are wrong"));
}

TEST_F(AwaitedInputs, ACancelledParentCancelsItsChildren) {
  const std::string parent = Submit(PretrainSpec("ko-base", 16));
  const std::string child = Submit(Child("ko-sgt", "ko-base"));
  const std::string grandchild = Submit(Child("ko-6", "ko-sgt"));
  ASSERT_TRUE(TryCancel(parent).ok());
  EXPECT_EQ(StateOf(child), v1::Job::CANCELLED);
  EXPECT_EQ(StateOf(grandchild), v1::Job::CANCELLED);
  EXPECT_THAT(Job(grandchild).reason(), HasSubstr("it waited for ko-sgt, and ko-base is CANCELLED: "));
  EXPECT_THAT(Job(grandchild).reason(), HasSubstr("cancelled by kim"));
}

TEST_F(AwaitedInputs, OneThatCanBeCancelledAloneLeavesItsParentRunning) {
  const std::string parent = Running(PretrainSpec("ko-base", 1));
  const std::string child = Submit(Child("ko-sgt", "ko-base"));
  ASSERT_TRUE(TryCancel(child).ok());
  EXPECT_EQ(StateOf(parent), v1::Job::RUNNING);
  Succeed(parent);
  EXPECT_EQ(StateOf(child), v1::Job::CANCELLED);
}

TEST_F(AwaitedInputs, APausedJobHasItsInputsWhenItIsResumed) {
  const std::string parent = Running(PretrainSpec("ko-base", 1));
  const std::string child = Submit(Child("ko-sgt", "ko-base"));
  ASSERT_TRUE(TryPause(child).ok());
  Succeed(parent);
  EXPECT_EQ(StateOf(child), v1::Job::PAUSED);
  ASSERT_TRUE(TryResume(child).ok());
  EXPECT_EQ(StateOf(child), v1::Job::STARTING);
}

TEST_F(AwaitedInputs, ARestartLosesNothing) {
  const std::string parent = Running(Fragile("ko-base"));
  const std::string child = Submit(Child("ko-sgt", "ko-base"));
  const std::string grandchild = Submit(Child("ko-6", "ko-sgt"));
  Progress(parent, 10);
  Restart();
  AddWorker("w0", 4, "i2");  // Its processes are gone: the attempt ends, the job backs off.
  AdvanceAndTick(absl::Seconds(2));
  EXPECT_EQ(StateOf(parent), v1::Job::STARTING);
  EXPECT_THAT(Job(child).reason(), HasSubstr("waits for ko-base (STARTING"));
  Succeed(parent);
  EXPECT_EQ(StateOf(child), v1::Job::STARTING);
  Restart();
  AddWorker("w0", 4, "i3");
  AdvanceAndTick(absl::Seconds(2));
  Succeed(child);
  EXPECT_EQ(StateOf(grandchild), v1::Job::STARTING);
}

TEST_F(AwaitedInputs, WhatWillBeChosenIsKeptUntilNobodyWaits) {
  v1::JobSpec spec = PretrainSpec("ko-base", 1);
  spec.mutable_checkpoint()->set_keep_last(1);
  spec.mutable_checkpoint()->set_keep_best(false);
  spec.mutable_checkpoint()->set_every_steps(50);
  const std::string parent = Running(spec);
  const std::string best = Submit(Child("best", "ko-base"));
  const std::string step = Submit(Child("step", "ko-base", "100"));
  Commit(parent, 50, 3.0);
  Commit(parent, 100, 5.0);
  Restart();
  AddWorker("w0", 4);  // The same processes: the attempt goes on.
  Commit(parent, 150, 4.0);
  Commit(parent, 200, 4.0);
  const auto state = [&](int64_t at) { return disk_.checkpoints.at({parent, at, 1}).state(); };
  EXPECT_EQ(state(50), v1::Checkpoint::COMMITTED);
  EXPECT_EQ(state(100), v1::Checkpoint::COMMITTED);
  EXPECT_EQ(state(150), v1::Checkpoint::DELETED);
  ASSERT_TRUE(TryCancel(step).ok());
  EXPECT_EQ(state(100), v1::Checkpoint::DELETED);
  ASSERT_TRUE(TryCancel(best).ok());
  EXPECT_EQ(state(50), v1::Checkpoint::DELETED);
}

TEST_F(AwaitedInputs, AStepThatWasLostFailsWhoWaitsForIt) {
  v1::JobSpec spec = PretrainSpec("ko-base", 1);
  spec.mutable_checkpoint()->set_every_steps(100);
  const std::string parent = Running(spec);
  const std::string child = Submit(Child("ko-sgt", "ko-base", "200"));
  Succeed(parent);  // Without ever having committed step 200.
  EXPECT_EQ(StateOf(child), v1::Job::FAILED);
  EXPECT_THAT(Job(child).reason(), HasSubstr("keeps no checkpoint of step 200"));
}

TEST_F(AwaitedInputs, ASelectiveJobWaitsForAllThatItReads) {
  const std::string base = Running(PretrainSpec("ko-base", 1));
  const std::string reference = Running(PretrainSpec("ko-ref", 1));
  v1::JobSpec spec;
  spec.set_kind(v1::JobSpec::SGT);
  spec.set_name("ko-excess");
  spec.mutable_from()->set_job("ko-base");
  spec.mutable_sgt()->set_selector(v1::SgtConfig::EXCESS);
  spec.mutable_sgt()->mutable_reference()->set_job("ko-ref");
  const std::string child = Submit(spec);
  EXPECT_EQ(Job(child).resolved().data().train(), "ko/train");
  EXPECT_THAT(Job(child).pending(), SizeIs(2));
  v1::JobSpec more = spec;  // Measures from what the first one measures from, once that is known.
  more.set_name("ko-further");
  more.clear_from();
  more.mutable_continue_()->set_job("ko-excess");
  more.mutable_train()->set_steps(2000);
  const std::string further = Submit(more);
  Succeed(base);
  EXPECT_EQ(StateOf(child), v1::Job::PENDING);
  EXPECT_THAT(Job(child).pending(), SizeIs(1));
  Succeed(reference);
  EXPECT_EQ(StateOf(child), v1::Job::STARTING);
  std::map<std::string, std::string> inputs;
  for (const v1::JobInput& input : disk_.jobs.at(child).inputs()) {
    inputs[input.role()] = input.checkpoint().job_uid();
  }
  EXPECT_EQ(inputs["origin"], base);
  EXPECT_EQ(inputs["sgt.reference"], reference);
  for (const v1::JobInput& input : disk_.jobs.at(further).inputs()) {
    EXPECT_EQ(input.checkpoint().job_uid(), input.role() == "origin" ? base : reference);
  }
  EXPECT_THAT(disk_.jobs.at(further).awaits(), SizeIs(1));
}

}  // namespace
}  // namespace cherry::coordinator
