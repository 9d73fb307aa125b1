// Epochs, leases, restarts, causes, retries, cancel, pause and resume.
#include "tests/unit/coordinator/simulation.h"

namespace cherry::coordinator {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class Attempts : public Simulation {
 protected:
  // A job of two ranks on w0, stepping.
  std::string Running(const std::string& name = "a") {
    AddWorker("w0", 2);
    const std::string uid = Submit(PretrainSpec(name, 2));
    RunTo(uid, 10);
    EXPECT_EQ(StateOf(uid), v1::Job::RUNNING);
    Take<SendToWorker>();
    return uid;
  }
};

TEST_F(Attempts, AJobSucceedsOnceEveryRankHasAndTheLastCheckpointIsCommitted) {
  const std::string uid = Running();
  Commit(uid, 300, 4.0);
  EXPECT_THAT(Sent("w0", v1::CoordinatorMessage::kCommitted), SizeIs(1));
  Exit(uid, 0, v1::CAUSE_SUCCEEDED);
  EXPECT_EQ(StateOf(uid), v1::Job::RUNNING);
  Exit(uid, 1, v1::CAUSE_SUCCEEDED);
  EXPECT_EQ(StateOf(uid), v1::Job::SUCCEEDED);
  EXPECT_EQ(Newest(uid).cause(), v1::CAUSE_SUCCEEDED);
}

TEST_F(Attempts, SuccessWithoutTheLastCheckpointIsTriedAgain) {
  const std::string uid = Running();
  ExitAll(uid, v1::CAUSE_SUCCEEDED);
  EXPECT_EQ(StateOf(uid), v1::Job::BACKOFF);
  EXPECT_EQ(Job(uid).failures(), 0);
}

TEST_F(Attempts, MessagesAreAcknowledged) {
  Running();
  v1::WorkerMessage message;
  message.set_sequence(77);
  message.mutable_note()->set_type("Warning");
  Say("w0", message);
  const auto acks = Sent("w0", v1::CoordinatorMessage::kAck);
  ASSERT_THAT(acks, SizeIs(1));
  EXPECT_EQ(acks[0].ack().sequence(), 77);
}

TEST_F(Attempts, AFailedRankStopsTheOthersAndTheFirstRealCauseCounts) {
  const std::string uid = Running();
  // Rank 0 notices first that its peer has gone; what happened to the peer is the cause.
  Exit(uid, 0, v1::CAUSE_PLATFORM, 67, "peer lost");
  const auto stops = Sent("w0", v1::CoordinatorMessage::kStop);
  ASSERT_THAT(stops, SizeIs(1));
  EXPECT_FALSE(stops[0].stop().checkpoint());
  EXPECT_EQ(stops[0].stop().reason(), v1::Attempt::LOST_RANK);
  EXPECT_EQ(StateOf(uid), v1::Job::RUNNING);  // Not before all are reaped.
  Exit(uid, 1, v1::CAUSE_OUT_OF_MEMORY, 65, "the allocator refused 8 GiB");
  EXPECT_EQ(StateOf(uid), v1::Job::BACKOFF);
  EXPECT_EQ(Newest(uid).cause(), v1::CAUSE_OUT_OF_MEMORY);
  EXPECT_EQ(Newest(uid).failure().rank(), 1);
  EXPECT_EQ(Job(uid).failures(), 1);
}

TEST_F(Attempts, ChargedCausesUseUpRetriesAndOthersDoNot) {
  AddWorker("w0", 1);
  for (const v1::Cause cause : {v1::CAUSE_USER, v1::CAUSE_OUT_OF_MEMORY, v1::CAUSE_HARDWARE, v1::CAUSE_HANG,
                                v1::CAUSE_PLATFORM, v1::CAUSE_PREEMPTED}) {
    v1::JobSpec spec = PretrainSpec(absl::StrCat("job-", cause), 1);
    spec.mutable_limits()->set_retries(1);
    const std::string uid = Submit(spec);
    const bool charged = cause != v1::CAUSE_PLATFORM && cause != v1::CAUSE_PREEMPTED;
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(StateOf(uid), v1::Job::STARTING) << v1::Cause_Name(cause);
      Exit(uid, 0, cause, 1, "broke");
      Advance(absl::Minutes(2));
      Beat("w0");
      Tick();
    }
    EXPECT_EQ(StateOf(uid), charged ? v1::Job::FAILED : v1::Job::STARTING) << v1::Cause_Name(cause);
    EXPECT_EQ(Job(uid).failure().cause(), charged ? cause : v1::CAUSE_UNSPECIFIED);
    if (!charged) {
      ASSERT_TRUE(TryCancel(uid, true).ok());
      ExitAll(uid, v1::CAUSE_STOPPED);
    }
  }
}

TEST_F(Attempts, BackOffDoublesUpToItsCapAndStartsAgainAfterACheckpoint) {
  AddWorker("w0", 1);
  const std::string uid = Submit(PretrainSpec("a", 1));
  const auto wait_after_failure = [&] {
    Exit(uid, 0, v1::CAUSE_PLATFORM);
    const absl::Duration wait = FromProto(Job(uid).backoff_until()) - now_;
    now_ += wait;
    Beat("w0");
    Tick();
    return wait;
  };
  for (const int seconds : {1, 2, 4, 8, 16, 32, 60, 60}) {
    EXPECT_EQ(wait_after_failure(), absl::Seconds(seconds));
  }
  RunTo(uid, 50);
  Commit(uid, 50);
  EXPECT_EQ(wait_after_failure(), absl::Seconds(1));
}

TEST_F(Attempts, StaleEpochsHaveNoEffectAndAreTold) {
  const std::string uid = Running();
  const v1::AttemptRef old = Ref(uid);
  ExitAll(uid, v1::CAUSE_PLATFORM);
  Advance(absl::Seconds(1));
  Beat("w0");
  Tick();
  ASSERT_EQ(Job(uid).epoch(), 2);
  Take<SendToWorker>();
  Commit(uid, 50, std::nullopt, old.epoch());
  EXPECT_THAT(disk_.checkpoints, IsEmpty());
  const auto stale = Sent("w0", v1::CoordinatorMessage::kStale);
  ASSERT_THAT(stale, SizeIs(1));
  EXPECT_EQ(stale[0].stale().attempt().epoch(), 1);
}

TEST_F(Attempts, TransitionsAreMeasuredWithTheirReasonsInPlainWords) {
  const std::string uid = Running();
  Commit(uid, 300, 4.0);
  ExitAll(uid, v1::CAUSE_SUCCEEDED);
  std::vector<std::string> reasons;
  for (const Measure& measure : Take<Measure>()) {
    if (measure.kind == Measure::kTransition) {
      reasons.push_back(absl::StrCat(measure.to, " ", measure.label));
    }
  }
  EXPECT_THAT(reasons, ElementsAre("STARTING placed", "RUNNING first_step", "SUCCEEDED succeeded"));
}

TEST_F(Attempts, ALostWorkerIsForgottenAfterADayUnlessSomebodyCordonedIt) {
  AddWorker("w0", 1);
  AddWorker("w1", 1);
  ASSERT_TRUE(SetWorkerState("w1", v1::Worker::CORDONED).ok());
  core_->Disconnect(connection_of_["w0"], "w0");
  core_->Disconnect(connection_of_["w1"], "w1");
  AdvanceAndTick(absl::Seconds(10));
  EXPECT_EQ(core_->NextDeadline(), now_ + absl::Hours(24) - absl::Seconds(10));
  AdvanceAndTick(absl::Hours(24) - absl::Seconds(11));
  EXPECT_TRUE(core_->GetWorker("w0").ok());
  AdvanceAndTick(absl::Seconds(1));
  EXPECT_FALSE(core_->GetWorker("w0").ok());
  EXPECT_EQ(core_->GetWorker("w1")->state(), v1::Worker::LOST);
  EXPECT_THAT(disk_.workers, ElementsAre(Pair("w1", _)));
}

TEST_F(Attempts, AnExpiredLeaseEndsItsRanksAndTheReturningWorkerIsToldSo) {
  const std::string uid = Running();
  const v1::AttemptRef old = Ref(uid);
  AdvanceAndTick(absl::Seconds(9));
  EXPECT_EQ(StateOf(uid), v1::Job::RUNNING);
  AdvanceAndTick(absl::Seconds(1));
  EXPECT_EQ(core_->GetWorker("w0")->state(), v1::Worker::LOST);
  EXPECT_EQ(StateOf(uid), v1::Job::BACKOFF);
  EXPECT_EQ(Newest(uid).cause(), v1::CAUSE_PLATFORM);
  AdvanceAndTick(absl::Seconds(2));
  EXPECT_EQ(StateOf(uid), v1::Job::PENDING);
  Take<SendToWorker>();
  // It was only unreachable and still runs the old attempt: told to end it, and given nothing before it has.
  v1::Register hello = Hello("w0", 2);
  *hello.add_attempts() = old;
  ASSERT_TRUE(Register(hello).ok());
  EXPECT_THAT(Sent("w0", v1::CoordinatorMessage::kStale), SizeIs(1));
  EXPECT_EQ(StateOf(uid), v1::Job::PENDING);
  Beat("w0");
  EXPECT_EQ(StateOf(uid), v1::Job::STARTING);
  EXPECT_EQ(Job(uid).epoch(), 2);
}

TEST_F(Attempts, HeartbeatsRenewTheLeaseAndNeverTouchTheLog) {
  Running();
  for (int i = 0; i < 10; ++i) {
    AdvanceAndTick(absl::Seconds(5));
    Beat("w0");
    EXPECT_TRUE(last_.changes.empty());
  }
  EXPECT_EQ(core_->GetWorker("w0")->state(), v1::Worker::READY);
}

TEST_F(Attempts, ARestartedCoordinatorGivesAFullLeaseAndReattaches) {
  const std::string uid = Running();
  Advance(absl::Seconds(9));
  Restart();
  AdvanceAndTick(absl::Seconds(9));
  EXPECT_EQ(StateOf(uid), v1::Job::RUNNING);
  v1::Register hello = Hello("w0", 2);
  *hello.add_attempts() = Ref(uid);
  Take<SendToWorker>();
  ASSERT_TRUE(Register(hello).ok());
  EXPECT_THAT(Sent("w0", v1::CoordinatorMessage::kStart), IsEmpty());
  EXPECT_EQ(Job(uid).epoch(), 1);
  Commit(uid, 300);
  ExitAll(uid, v1::CAUSE_SUCCEEDED);
  EXPECT_EQ(StateOf(uid), v1::Job::SUCCEEDED);
}

TEST_F(Attempts, AStartThatNeverArrivedIsSentAgainAfterARestart) {
  AddWorker("w0", 2);
  const std::string uid = Submit(PretrainSpec("a", 2));
  ASSERT_EQ(StateOf(uid), v1::Job::STARTING);
  Restart();
  Take<SendToWorker>();
  ASSERT_TRUE(Register(Hello("w0", 2)).ok());
  EXPECT_THAT(Sent("w0", v1::CoordinatorMessage::kStart), SizeIs(1));
}

TEST_F(Attempts, AStopIsSentAgainAfterARestart) {
  const std::string uid = Running();
  ASSERT_TRUE(TryPause(uid).ok());
  Restart();
  Take<SendToWorker>();
  v1::Register hello = Hello("w0", 2);
  *hello.add_attempts() = Ref(uid);
  ASSERT_TRUE(Register(hello).ok());
  const auto stops = Sent("w0", v1::CoordinatorMessage::kStop);
  ASSERT_THAT(stops, SizeIs(1));
  EXPECT_TRUE(stops[0].stop().checkpoint());
}

TEST_F(Attempts, ANewIncarnationEndsTheOldAttemptsAtOnce) {
  const std::string uid = Running();
  AddWorker("w0", 2, "i2");
  EXPECT_EQ(StateOf(uid), v1::Job::BACKOFF);
  EXPECT_EQ(Newest(uid).cause(), v1::CAUSE_PLATFORM);
  EXPECT_THAT(Newest(uid).failure().message(), HasSubstr("restarted"));
  AdvanceAndTick(absl::Seconds(1));
  EXPECT_EQ(StateOf(uid), v1::Job::STARTING);
}

TEST_F(Attempts, AWorkerThatShutsDownCostsNothing) {
  const std::string uid = Running();
  ExitAll(uid, v1::CAUSE_STOPPED);
  EXPECT_EQ(StateOf(uid), v1::Job::BACKOFF);
  EXPECT_EQ(Newest(uid).cause(), v1::CAUSE_PREEMPTED);
  EXPECT_EQ(Job(uid).failures(), 0);
}

TEST_F(Attempts, CancelSavesFirstUnlessNow) {
  const std::string uid = Running();
  ASSERT_TRUE(TryCancel(uid).ok());
  auto stops = Sent("w0", v1::CoordinatorMessage::kStop);
  ASSERT_THAT(stops, SizeIs(1));
  EXPECT_TRUE(stops[0].stop().checkpoint());
  EXPECT_EQ(StateOf(uid), v1::Job::RUNNING);
  Commit(uid, 20);  // Also counts while stopping.
  EXPECT_THAT(disk_.checkpoints, SizeIs(1));
  ASSERT_TRUE(TryCancel(uid, true).ok());
  stops = Sent("w0", v1::CoordinatorMessage::kStop);
  ASSERT_THAT(stops, SizeIs(1));
  EXPECT_FALSE(stops[0].stop().checkpoint());
  ExitAll(uid, v1::CAUSE_STOPPED);
  EXPECT_EQ(StateOf(uid), v1::Job::CANCELLED);
  EXPECT_TRUE(TryCancel(uid).ok());
}

TEST_F(Attempts, CancelOfAWaitingJobIsImmediate) {
  const std::string uid = Submit(PretrainSpec("a", 2));
  ASSERT_TRUE(TryCancel(uid).ok());
  EXPECT_EQ(StateOf(uid), v1::Job::CANCELLED);
}

TEST_F(Attempts, PauseFreesTheSlotsAndResumeGoesOn) {
  const std::string uid = Running();
  ASSERT_TRUE(TryPause(uid).ok());
  Commit(uid, 20);
  ExitAll(uid, v1::CAUSE_STOPPED);
  EXPECT_EQ(StateOf(uid), v1::Job::PAUSED);
  const std::string other = Submit(PretrainSpec("other", 2));
  EXPECT_EQ(StateOf(other), v1::Job::STARTING);
  ASSERT_TRUE(TryCancel(other, true).ok());
  ExitAll(other, v1::CAUSE_STOPPED);
  Take<SendToWorker>();
  ASSERT_TRUE(TryResume(uid).ok());
  EXPECT_EQ(StateOf(uid), v1::Job::STARTING);
  const auto starts = Sent("w0", v1::CoordinatorMessage::kStart);
  ASSERT_THAT(starts, SizeIs(1));
  ASSERT_THAT(starts[0].start().resume(), SizeIs(1));
  EXPECT_EQ(starts[0].start().resume(0).step(), 20);
}

TEST_F(Attempts, ResumeWhileStillStoppingQueuesTheJobAgain) {
  const std::string uid = Running();
  ASSERT_TRUE(TryPause(uid).ok());
  ASSERT_TRUE(TryResume(uid).ok());
  ExitAll(uid, v1::CAUSE_STOPPED);
  EXPECT_EQ(StateOf(uid), v1::Job::STARTING);
  EXPECT_EQ(Job(uid).epoch(), 2);
}

TEST_F(Attempts, WrongVerbsAreRefusedWithTheirReason) {
  const std::string uid = Running();
  EXPECT_EQ(InfoOf(TryResume(uid).status()).reason(), "JOB_NOT_PAUSED");
  ASSERT_TRUE(TryCancel(uid).ok());
  EXPECT_EQ(InfoOf(TryPause(uid).status()).reason(), "JOB_BEING_CANCELLED");
  Commit(uid, 300);
  ExitAll(uid, v1::CAUSE_SUCCEEDED);
  EXPECT_EQ(StateOf(uid), v1::Job::SUCCEEDED);  // It was done before it could be stopped.
  EXPECT_EQ(InfoOf(TryCancel(uid).status()).reason(), "JOB_ENDED");
}

TEST_F(Attempts, OnlyTheOwnerOrAnOperatorMayChangeAJob) {
  const std::string uid = Running();
  v1::CancelJobRequest request;
  request.set_name(Job(uid).name());
  Mutation mutation = NewMutation("CancelJob");
  mutation.caller = {"lee", false};
  const auto refused = Do([&](Decision* decision) { return core_->CancelJob(decision, mutation, request); });
  EXPECT_EQ(InfoOf(refused.status()).reason(), "NOT_OWNER");
  EXPECT_EQ(StateOf(uid), v1::Job::RUNNING);
  mutation.caller = {"kim", false};
  EXPECT_TRUE(Do([&](Decision* decision) { return core_->CancelJob(decision, mutation, request); }).ok());
}

TEST_F(Attempts, TheTimeLimitStopsAndFailsTheJob) {
  AddWorker("w0", 1);
  v1::JobSpec spec = PretrainSpec("a", 1);
  spec.mutable_limits()->mutable_time()->set_seconds(60);
  const std::string uid = Submit(spec);
  RunTo(uid, 1);
  for (int i = 0; i < 12; ++i) {
    Advance(absl::Seconds(5));
    Beat("w0");
    Tick();
  }
  EXPECT_EQ(Newest(uid).stop_reason(), v1::Attempt::TIME_LIMIT);
  ExitAll(uid, v1::CAUSE_STOPPED);
  EXPECT_EQ(StateOf(uid), v1::Job::FAILED);
  EXPECT_THAT(Job(uid).failure().message(), HasSubstr("limits.time"));
}

TEST_F(Attempts, RendezvousIsAnsweredWhenTheKeyIsSet) {
  const std::string uid = Running();
  v1::WorkerMessage get;
  *get.mutable_rendezvous_get()->mutable_attempt() = Ref(uid);
  get.mutable_rendezvous_get()->set_rank(1);
  get.mutable_rendezvous_get()->set_key("store/0");
  Say("w0", get);
  EXPECT_THAT(Sent("w0", v1::CoordinatorMessage::kRendezvousValue), IsEmpty());
  v1::WorkerMessage put;
  *put.mutable_rendezvous_put()->mutable_attempt() = Ref(uid);
  put.mutable_rendezvous_put()->set_key("store/0");
  put.mutable_rendezvous_put()->set_value("address");
  Say("w0", put);
  const auto values = Sent("w0", v1::CoordinatorMessage::kRendezvousValue);
  ASSERT_THAT(values, SizeIs(1));
  EXPECT_EQ(values[0].rendezvous_value().value(), "address");
  EXPECT_EQ(values[0].rendezvous_value().rank(), 1);
}

TEST_F(Attempts, SlotSecondsAreChargedToCauses) {
  AddWorker("w0", 1);
  const std::string uid = Submit(PretrainSpec("a", 1));
  Started(uid);
  Advance(absl::Seconds(4));
  Progress(uid, 1);
  Advance(absl::Seconds(5));
  Progress(uid, 50);
  Commit(uid, 50);
  Advance(absl::Seconds(3));
  Progress(uid, 60);
  Advance(absl::Seconds(2));
  Exit(uid, 0, v1::CAUSE_PLATFORM);
  const v1::Charges charges = Job(uid).charges();
  EXPECT_DOUBLE_EQ(charges.restart(), 4);
  EXPECT_DOUBLE_EQ(charges.productive(), 5);
  EXPECT_DOUBLE_EQ(charges.lost_work(), 3);
  EXPECT_DOUBLE_EQ(charges.idle_allocated(), 2);
}

}  // namespace
}  // namespace cherry::coordinator
