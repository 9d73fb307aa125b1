// Placement, order, reasons.
#include "tests/unit/coordinator/simulation.h"

namespace cherry::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class Scheduling : public Simulation {};

TEST_F(Scheduling, AJobIsPlacedAsSoonAsAWorkerHasEnoughSlots) {
  const std::string uid = Submit(PretrainSpec("a", 2));
  EXPECT_EQ(StateOf(uid), v1::Job::PENDING);
  AddWorker("w0", 2);
  EXPECT_EQ(StateOf(uid), v1::Job::STARTING);
  const auto starts = Sent("w0", v1::CoordinatorMessage::kStart);
  ASSERT_THAT(starts, SizeIs(1));
  EXPECT_EQ(starts[0].start().world_size(), 2);
  EXPECT_EQ(starts[0].start().ranks_size(), 2);
  EXPECT_EQ(starts[0].start().attempt().epoch(), 1);
  EXPECT_EQ(starts[0].start().checkpoint_directory(), "default/uid-1/epoch-1");
  EXPECT_EQ(starts[0].start().datasets(0).name(), "ko");
  EXPECT_EQ(starts[0].start().spec().resources().device(), v1::Resources::CPU);
}

TEST_F(Scheduling, AGangIsAllOrNothingAcrossWorkers) {
  AddWorker("w0", 2);
  const std::string uid = Submit(PretrainSpec("a", 4));
  EXPECT_EQ(StateOf(uid), v1::Job::PENDING);
  EXPECT_THAT(Take<SendToWorker>(), SizeIs(1));  // Registered, nothing else.
  AddWorker("w1", 2);
  EXPECT_EQ(StateOf(uid), v1::Job::STARTING);
  const auto sends = Take<SendToWorker>();
  int starts = 0;
  for (const SendToWorker& send : sends) {
    starts += send.message.has_start() ? 1 : 0;
  }
  EXPECT_EQ(starts, 2);
}

TEST_F(Scheduling, TheFewestHostsAreUsed) {
  AddWorker("big", 4);
  AddWorker("exact", 2);
  AddWorker("small", 1);
  const std::string uid = Submit(PretrainSpec("a", 2));
  const v1::Attempt attempt = Newest(uid);
  for (const v1::RankPlacement& rank : attempt.ranks()) {
    EXPECT_EQ(rank.worker(), "exact");
  }
}

TEST_F(Scheduling, PausingTheFirstInTheQueueLetsTheNextOneGo) {
  AddWorker("w0", 2);
  Submit(PretrainSpec("runs", 1));
  const std::string head = Submit(PretrainSpec("head", 2));
  const std::string next = Submit(PretrainSpec("next", 1));
  EXPECT_EQ(StateOf(next), v1::Job::PENDING);
  ASSERT_TRUE(TryPause(head).ok());
  EXPECT_EQ(StateOf(head), v1::Job::PAUSED);
  EXPECT_EQ(StateOf(next), v1::Job::STARTING);
}

TEST_F(Scheduling, PriorityComesBeforeArrival) {
  const std::string low = Submit(PretrainSpec("low", 2));
  v1::JobSpec spec = PretrainSpec("high", 2);
  spec.set_priority(5);
  const std::string high = Submit(spec);
  AddWorker("w0", 2);
  EXPECT_EQ(StateOf(high), v1::Job::STARTING);
  EXPECT_EQ(StateOf(low), v1::Job::PENDING);
}

TEST_F(Scheduling, AWaitingHeadIsNotStarvedBySmallerJobsBehindIt) {
  AddWorker("w0", 4);
  const std::string running = Submit(PretrainSpec("running", 2));
  const std::string head = Submit(PretrainSpec("head", 4));
  const std::string small = Submit(PretrainSpec("small", 1));
  EXPECT_EQ(StateOf(running), v1::Job::STARTING);
  EXPECT_EQ(StateOf(head), v1::Job::PENDING);
  EXPECT_EQ(StateOf(small), v1::Job::PENDING);
  const v1::Job waiting = Job(small);
  ASSERT_THAT(waiting.pending(), SizeIs(1));
  EXPECT_EQ(waiting.pending(0).tier(), v1::PendingReason::QUEUE);
  EXPECT_EQ(waiting.pending(0).blocking_jobs(0), "namespaces/default/jobs/head");
  RunTo(running, 300);
  Commit(running, 300);
  ExitAll(running, v1::CAUSE_SUCCEEDED);
  EXPECT_EQ(StateOf(head), v1::Job::STARTING);
  EXPECT_EQ(StateOf(small), v1::Job::PENDING);
}

TEST_F(Scheduling, AnUrgentNewcomerBecomesTheHead) {
  AddWorker("w0", 4);
  Submit(PretrainSpec("running", 4));
  Submit(PretrainSpec("head", 4));
  v1::JobSpec spec = PretrainSpec("urgent", 2);
  spec.set_priority(1);
  const std::string urgent = Submit(spec);
  const std::string late = Submit(PretrainSpec("late", 1));
  EXPECT_EQ(StateOf(urgent), v1::Job::PENDING);
  EXPECT_EQ(Job(urgent).pending(0).tier(), v1::PendingReason::CAPACITY);
  // Remedies are read after "would start with".
  EXPECT_EQ(Job(urgent).pending(0).remedy(), "the end of running jobs that hold them");
  EXPECT_EQ(Job(late).pending().rbegin()->remedy(), "its start, or a higher priority of this job");
  EXPECT_EQ(Job(late).pending().rbegin()->blocking_jobs(0), "namespaces/default/jobs/urgent");
  AddWorker("w1", 2);
  EXPECT_EQ(StateOf(urgent), v1::Job::STARTING);
  EXPECT_EQ(StateOf(late), v1::Job::PENDING);  // Behind `head`, which still waits.
}

TEST_F(Scheduling, AJobThatCanNeverFitDoesNotBlockOthers) {
  AddWorker("w0", 2);
  const std::string big = Submit(PretrainSpec("big", 16));
  const std::string small = Submit(PretrainSpec("small", 2));
  EXPECT_EQ(StateOf(big), v1::Job::PENDING);
  EXPECT_EQ(StateOf(small), v1::Job::STARTING);
}

TEST_F(Scheduling, ExplainsWhatIsMissingAndWhatWouldHelp) {
  AddWorker("w0", 2);
  const std::string big = Submit(PretrainSpec("big", 16));
  const auto explained = core_->ExplainJob(Job(big).name());
  ASSERT_TRUE(explained.ok());
  EXPECT_EQ(explained->summary(), "capacity: needs 16 slots at once; 2 exist, 2 are free");
  EXPECT_THAT(explained->would_start(),
              ::testing::ElementsAre("with 14 more slots", "with resources.ranks <= 2"));
  EXPECT_EQ(explained->queue_position(), 1);
}

TEST_F(Scheduling, ARangeTakesTheLargestCountThatFits) {
  AddWorker("w0", 3);
  v1::JobSpec spec = PretrainSpec("a", 1);
  spec.mutable_resources()->mutable_ranks()->set_max(8);
  const std::string uid = Submit(spec);
  EXPECT_EQ(Newest(uid).ranks_size(), 2);  // 3 does not divide 64.
}

TEST_F(Scheduling, DevicesAreNeverMixed) {
  v1::Register hello = Hello("w0", 2);
  hello.mutable_slots(1)->set_device(v1::Resources::CUDA);
  ASSERT_TRUE(Register(hello).ok());
  const std::string uid = Submit(PretrainSpec("a", 2));
  EXPECT_EQ(StateOf(uid), v1::Job::PENDING);
  const std::string one = Submit(PretrainSpec("one", 1));
  EXPECT_EQ(Newest(one).device(), v1::Resources::CUDA);
}

TEST_F(Scheduling, RanksPerHostAndLabelsAreKept) {
  v1::Register hello = Hello("w0", 4);
  (*hello.mutable_labels())["gpu"] = "H100";
  ASSERT_TRUE(Register(hello).ok());
  AddWorker("w1", 4);
  v1::JobSpec spec = PretrainSpec("a", 2);
  (*spec.mutable_resources()->mutable_node_selector())["gpu"] = "H100";
  const std::string labelled = Submit(spec);
  EXPECT_EQ(Newest(labelled).ranks(0).worker(), "w0");
  v1::JobSpec spread = PretrainSpec("b", 2);
  spread.mutable_resources()->set_ranks_per_host(1);
  const std::string uid = Submit(spread);
  ASSERT_EQ(Newest(uid).ranks_size(), 2);
  EXPECT_NE(Newest(uid).ranks(0).worker(), Newest(uid).ranks(1).worker());
}

TEST_F(Scheduling, AWorkerWithAnotherRootGetsNothingAndTheReasonSaysSo) {
  v1::Register hello = Hello("w0", 2);
  hello.mutable_roots(1)->set_id("other");
  ASSERT_TRUE(Register(hello).ok());
  const std::string uid = Submit(PretrainSpec("a", 2));
  EXPECT_EQ(StateOf(uid), v1::Job::PENDING);
  EXPECT_THAT(Job(uid).reason(), HasSubstr("w0 mounts another checkpoints root"));
}

TEST_F(Scheduling, ACordonedWorkerTakesNothingNew) {
  AddWorker("w0", 2);
  ASSERT_TRUE(SetWorkerState("w0", v1::Worker::CORDONED).ok());
  const std::string uid = Submit(PretrainSpec("a", 2));
  EXPECT_EQ(StateOf(uid), v1::Job::PENDING);
  Restart();  // Kept over a restart.
  AddWorker("w0", 2);
  EXPECT_EQ(StateOf(uid), v1::Job::PENDING);
  ASSERT_TRUE(SetWorkerState("w0", v1::Worker::READY).ok());
  EXPECT_EQ(StateOf(uid), v1::Job::STARTING);
}

TEST_F(Scheduling, DrainingSavesAndMovesTheJob) {
  AddWorker("w0", 2);
  const std::string uid = Submit(PretrainSpec("a", 2));
  RunTo(uid, 10);
  ASSERT_TRUE(SetWorkerState("w0", v1::Worker::DRAINING).ok());
  const auto stops = Sent("w0", v1::CoordinatorMessage::kStop);
  ASSERT_THAT(stops, SizeIs(1));
  EXPECT_TRUE(stops[0].stop().checkpoint());
  ExitAll(uid, v1::CAUSE_STOPPED);
  EXPECT_EQ(StateOf(uid), v1::Job::BACKOFF);
  EXPECT_EQ(Newest(uid).cause(), v1::CAUSE_PREEMPTED);
  EXPECT_EQ(Job(uid).failures(), 0);
  AddWorker("w1", 2);
  AdvanceAndTick(absl::Seconds(2));
  EXPECT_EQ(Newest(uid).ranks(0).worker(), "w1");
}

TEST_F(Scheduling, AHostThatFailsRepeatedlyIsAvoidedWhenThereIsAnother) {
  AddWorker("w0", 1);
  v1::JobSpec spec = PretrainSpec("a", 1);
  spec.mutable_limits()->set_retries(10);
  const std::string uid = Submit(spec);
  for (int i = 0; i < 3; ++i) {
    RunTo(uid, 1);
    Exit(uid, 0, v1::CAUSE_HARDWARE, 66, "bad memory");
    Advance(absl::Minutes(2));
    Beat("w0");
    Tick();
  }
  EXPECT_EQ(core_->GetWorker("w0")->recent_failures(), 3);
  EXPECT_EQ(Newest(uid).ranks(0).worker(), "w0");  // There is no other.
  Exit(uid, 0, v1::CAUSE_HARDWARE, 66, "bad memory");
  AddWorker("w1", 1);
  Advance(absl::Minutes(2));
  Beat("w0");
  Beat("w1");
  Tick();
  EXPECT_EQ(Newest(uid).ranks(0).worker(), "w1");
}

TEST_F(Scheduling, AHostsFailuresAreForgottenInTimeAndOneCrashIsOne) {
  AddWorker("w0", 2);
  const std::string uid = Submit(PretrainSpec("a", 2));
  RunTo(uid, 1);
  AdvanceAndTick(absl::Minutes(1));  // The lease of both ranks ends at once.
  EXPECT_EQ(StateOf(uid), v1::Job::BACKOFF);
  EXPECT_EQ(core_->GetWorker("w0")->recent_failures(), 1);
  AdvanceAndTick(absl::Hours(1));
  EXPECT_EQ(core_->GetWorker("w0")->recent_failures(), 0);
}

}  // namespace
}  // namespace cherry::coordinator
