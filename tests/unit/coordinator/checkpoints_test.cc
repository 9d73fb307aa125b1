// Commits, best, retention, corruption, orphans, and jobs that start from others.
#include "tests/unit/coordinator/simulation.h"

namespace cherry::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Checkpoints : public Simulation {
 protected:
  std::string Running(v1::JobSpec spec) {
    if (connection_of_.count("w0") == 0) {
      AddWorker("w0", 4);
    }
    const std::string uid = Submit(spec);
    RunTo(uid, 1);
    return uid;
  }
  v1::JobSpec Spec(const std::string& name = "a") { return PretrainSpec(name, 1); }

  std::vector<int64_t> Steps(const std::string& uid) {
    v1::ListCheckpointsRequest request;
    request.set_job(Job(uid).name());
    std::vector<int64_t> steps;
    const v1::ListCheckpointsResponse response = core_->ListCheckpoints(request).value();
    for (const v1::Checkpoint& checkpoint : response.checkpoints()) {
      steps.push_back(checkpoint.step());
    }
    return steps;
  }
  absl::StatusOr<v1::Checkpoint> Get(const std::string& uid, const std::string& which) {
    v1::GetCheckpointRequest request;
    request.set_job(Job(uid).name());
    request.set_checkpoint(which);
    return core_->GetCheckpoint(request);
  }
  absl::StatusOr<v1::Checkpoint> Report(const std::string& uid, int64_t step, bool corrupt) {
    v1::ReportCheckpointRequest request;
    request.set_job(Job(uid).name());
    request.set_step(step);
    request.set_corrupt(corrupt);
    request.set_detail("model.safetensors: wrong checksum");
    return Do([&](Decision* decision) {
      return core_->ReportCheckpoint(decision, NewMutation("ReportCheckpoint"), request);
    });
  }
};

TEST_F(Checkpoints, RetentionKeepsTheLastTheBestAndEveryNth) {
  v1::JobSpec spec = Spec();
  spec.mutable_checkpoint()->set_keep_last(2);
  spec.mutable_checkpoint()->set_keep_every(100);
  const std::string uid = Running(spec);
  const std::pair<int64_t, double> commits[] = {{50, 5.0},  {100, 4.5}, {150, 4.0},
                                                {200, 4.2}, {250, 4.3}, {275, 4.4}};
  for (const auto& [step, loss] : commits) {
    Commit(uid, step, loss);
  }
  EXPECT_THAT(Steps(uid), ElementsAre(100, 150, 200, 250, 275));
  EXPECT_EQ(Get(uid, "best")->step(), 150);
  EXPECT_EQ(Get(uid, "latest")->step(), 275);
  const auto removals = Take<RemoveCheckpoint>();
  ASSERT_THAT(removals, SizeIs(1));
  EXPECT_EQ(removals[0].path, "default/uid-1/epoch-1/step-50");
  // The tombstone stays until the directory is gone, also over a restart.
  EXPECT_EQ((disk_.checkpoints[{uid, 50, 1}].state()), v1::Checkpoint::DELETED);
  Restart();
  EXPECT_THAT(Take<RemoveCheckpoint>(), SizeIs(1));
  Do([&](Decision* decision) {
    core_->CheckpointRemoved(decision, removals[0].key);
    return 0;
  });
  EXPECT_EQ((disk_.checkpoints.count({uid, 50, 1})), 0u);
}

TEST_F(Checkpoints, ARepeatedCommitChangesNothing) {
  v1::JobSpec spec = Spec();
  spec.mutable_checkpoint()->set_keep_last(1);
  spec.mutable_checkpoint()->set_keep_best(false);
  const std::string uid = Running(spec);
  Commit(uid, 50);
  Commit(uid, 50);
  EXPECT_EQ(CountEvents("CheckpointCommitted"), 1);
  Commit(uid, 100);
  Do([&](Decision* decision) {
    core_->CheckpointRemoved(decision, {uid, 50, 1});
    return 0;
  });
  Commit(uid, 50);  // Sent again after it was removed: it must not come back to life.
  EXPECT_THAT(Steps(uid), ElementsAre(100));
  EXPECT_THAT(Sent("w0", v1::CoordinatorMessage::kCommitted), SizeIs(4));
}

TEST_F(Checkpoints, APathOutsideTheEpochsDirectoryIsRefused) {
  const std::string uid = Running(Spec());
  for (const std::string path : {"default/uid-1/epoch-2/step-50", "default/uid-1/epoch-1/../x", "/etc", "",
                                 "default/uid-1/epoch-1/", "default/uid-1/epoch-1/.."}) {
    v1::WorkerMessage message;
    *message.mutable_checkpoint()->mutable_attempt() = Ref(uid);
    message.mutable_checkpoint()->mutable_checkpoint()->set_step(50);
    message.mutable_checkpoint()->mutable_checkpoint()->set_path(path);
    Say("w0", message);
  }
  EXPECT_THAT(disk_.checkpoints, IsEmpty());
  EXPECT_EQ(CountEvents("CheckpointRefused"), 6);
}

TEST_F(Checkpoints, ACorruptOneIsNeverUsedAgainAndTheOneBeforeIs) {
  const std::string uid = Running(Spec());
  Commit(uid, 50, 5.0);
  Commit(uid, 100, 4.0);
  Exit(uid, 0, v1::CAUSE_PLATFORM);
  AdvanceAndTick(absl::Seconds(1));
  ASSERT_EQ(StateOf(uid), v1::Job::STARTING);
  EXPECT_EQ(Newest(uid).start_step(), 100);
  v1::WorkerMessage note;
  *note.mutable_note()->mutable_attempt() = Ref(uid);
  note.mutable_note()->set_type("CheckpointCorrupt");
  note.mutable_note()->set_message("model.safetensors: wrong checksum");
  note.mutable_note()->set_step(100);
  Say("w0", note);
  EXPECT_EQ((disk_.checkpoints[{uid, 100, 1}].state()), v1::Checkpoint::CORRUPT);
  EXPECT_EQ(Newest(uid).start_step(), 50);
  EXPECT_EQ(Get(uid, "best")->step(), 50);
  EXPECT_EQ(InfoOf(Get(uid, "100").status()).reason(), "CHECKPOINT_CORRUPT");
  // The same step again, from the new epoch, is another checkpoint.
  RunTo(uid, 100);
  Commit(uid, 100, 4.0);
  EXPECT_EQ(Get(uid, "100")->epoch(), 2);
}

TEST_F(Checkpoints, AReportByAUserMarksItToo) {
  const std::string uid = Running(Spec());
  Commit(uid, 50);
  EXPECT_TRUE(Report(uid, 50, false).ok());
  EXPECT_EQ(Report(uid, 50, true)->state(), v1::Checkpoint::CORRUPT);
  EXPECT_EQ(InfoOf(Report(uid, 70, true).status()).reason(), "CHECKPOINT_NOT_FOUND");
}

TEST_F(Checkpoints, WhatAnEndedAttemptNeverCommittedIsCollected) {
  const std::string uid = Running(Spec());
  Commit(uid, 50);
  Exit(uid, 0, v1::CAUSE_PLATFORM);
  const auto collects = Take<CollectEpoch>();
  ASSERT_THAT(collects, SizeIs(1));
  EXPECT_EQ(collects[0].path, "default/uid-1/epoch-1");
  EXPECT_THAT(collects[0].keep, ElementsAre("step-50"));
  Restart();  // Until it is done it is begun again.
  EXPECT_THAT(Take<CollectEpoch>(), SizeIs(1));
  Do([&](Decision* decision) {
    core_->EpochCollected(decision, uid, 1);
    return 0;
  });
  Restart();
  EXPECT_THAT(Take<CollectEpoch>(), IsEmpty());
}

TEST_F(Checkpoints, AJobStartsFromAnothersCheckpointWhichIsKeptForIt) {
  v1::JobSpec spec = Spec("parent");
  spec.mutable_checkpoint()->set_keep_last(1);
  spec.mutable_checkpoint()->set_keep_best(false);
  const std::string parent = Running(spec);
  Commit(parent, 50);
  v1::JobSpec child_spec = PretrainSpec("child", 16);  // Has to wait.
  child_spec.mutable_from()->set_job("parent");
  child_spec.mutable_from()->set_checkpoint("50");
  const std::string child = Submit(child_spec);
  EXPECT_EQ(Job(child).resolved().from().job_uid(), parent);
  Commit(parent, 100);
  Commit(parent, 150);
  EXPECT_THAT(Steps(parent), ElementsAre(50, 150));
  ASSERT_TRUE(TryCancel(child).ok());
  EXPECT_THAT(Steps(parent), ElementsAre(150));
}

TEST_F(Checkpoints, FromAndContinueReachTheWorkerDifferently) {
  const std::string parent = Running(Spec("parent"));
  Commit(parent, 300, 4.0);
  Exit(parent, 0, v1::CAUSE_SUCCEEDED);
  Take<SendToWorker>();
  v1::JobSpec from = Spec("from");
  from.mutable_from()->set_job("parent");
  Submit(from);
  auto starts = Sent("w0", v1::CoordinatorMessage::kStart);
  ASSERT_THAT(starts, SizeIs(1));
  EXPECT_EQ(starts[0].start().from().step(), 300);
  EXPECT_THAT(starts[0].start().resume(), IsEmpty());
  v1::JobSpec more = Spec("more");
  more.mutable_continue_()->set_job("parent");
  EXPECT_EQ(InfoOf(TrySubmit(more).status()).field(), "train.steps");
  more.mutable_train()->set_steps(400);
  const std::string uid = Submit(more);
  starts = Sent("w0", v1::CoordinatorMessage::kStart);
  ASSERT_THAT(starts, SizeIs(1));
  EXPECT_FALSE(starts[0].start().has_from());
  EXPECT_EQ(starts[0].start().resume(0).step(), 300);
  EXPECT_EQ(Newest(uid).start_step(), 300);
}

TEST_F(Checkpoints, ASourceThatEndedWithoutACheckpointIsRefused) {
  const std::string parent = Running(Spec("parent"));
  ASSERT_TRUE(TryCancel(parent, true).ok());
  ExitAll(parent, v1::CAUSE_STOPPED);
  v1::JobSpec child = Spec("child");
  child.mutable_from()->set_job("parent");
  EXPECT_EQ(InfoOf(TrySubmit(child).status()).reason(), "CHECKPOINT_NOT_FOUND");
  child.mutable_from()->set_job("nobody");
  EXPECT_EQ(InfoOf(TrySubmit(child).status()).reason(), "JOB_NOT_FOUND");
}

TEST_F(Checkpoints, ASourceFoundCorruptHoldsTheJobWithThatReason) {
  const std::string parent = Running(Spec("parent"));
  Commit(parent, 50);
  v1::JobSpec spec = PretrainSpec("child", 16);
  spec.mutable_from()->set_job("parent");
  spec.mutable_from()->set_checkpoint("50");
  const std::string child = Submit(spec);
  ASSERT_TRUE(Report(parent, 50, true).ok());
  AddWorker("w1", 16);
  EXPECT_EQ(StateOf(child), v1::Job::PENDING);
  EXPECT_EQ(Job(child).pending(0).tier(), v1::PendingReason::INPUT);
}

}  // namespace
}  // namespace cherry::coordinator
