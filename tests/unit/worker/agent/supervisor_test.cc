#include "worker/agent/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "fakes.h"

namespace cherry::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest() { Make(); }

  void Make(int most_threads = 64) {
    SupervisorConfig config;
    config.most_threads = most_threads;
    config.worker_name = "w0";
    config.data_root = "/data";
    config.checkpoint_root = "/checkpoints";
    config.address = "127.0.0.1";
    for (int i = 0; i < 2; ++i) {
      v1::Slot slot;
      slot.set_index(i);
      slot.set_device(v1::Resources::CPU);
      slot.add_cores(2 * i);
      slot.add_cores(2 * i + 1);
      config.slots.push_back(slot);
    }
    config.process_state = [this](int64_t pid) { return states_.count(pid) != 0 ? states_[pid] : 'S'; };
    supervisor_.emplace(config, &host_, &uplink_, &observer_);
  }

  v1::StartAttempt StartOf(const std::string& uid, int64_t epoch, int ranks = 2) {
    v1::StartAttempt start;
    *start.mutable_attempt() = RefOf({uid, epoch});
    start.set_job_name(uid + "-name");
    start.set_namespace_("default");
    start.set_world_size(ranks);
    start.mutable_rendezvous_timeout()->set_seconds(60);
    for (int i = 0; i < ranks; ++i) {
      v1::RankPlacement* const placement = start.add_ranks();
      placement->set_rank(i);
      placement->set_slot(i);
    }
    return start;
  }

  // Starts both ranks of job "a" and brings them to stepping.
  void RunA(int64_t epoch = 1) {
    supervisor_->OnStart(StartOf("a", epoch), now_);
    for (int i = 0; i < 2; ++i) {
      supervisor_->OnSpawned({{"a", epoch}, i}, 100 + i, now_);
      v1::FromTrainer ready;
      ready.mutable_ready();
      supervisor_->OnMessage({{"a", epoch}, i}, ready, now_);
      Phase({{"a", epoch}, i}, v1::PhaseReport::STEPPING);
    }
  }
  void Phase(const RankKey& key, v1::PhaseReport::Phase phase) {
    v1::FromTrainer message;
    message.mutable_phase()->set_phase(phase);
    supervisor_->OnMessage(key, message, now_);
  }
  void Step(const RankKey& key, int64_t step, double seconds) {
    v1::FromTrainer message;
    message.mutable_step()->set_step(step);
    message.mutable_step()->set_step_seconds(seconds);
    if (key.rank == 0) {
      message.mutable_step()->mutable_progress()->set_step(step);
      message.mutable_step()->add_samples()->set_step(step);
    }
    supervisor_->OnMessage(key, message, now_);
  }
  void Finish(const RankKey& key, v1::Cause cause, int code) {
    v1::FromTrainer message;
    message.mutable_finished()->set_cause(cause);
    supervisor_->OnMessage(key, message, now_);
    RankExit exit;
    exit.code = code;
    supervisor_->OnExited(key, exit, now_);
  }
  void Die(const RankKey& key, int signal) {
    RankExit exit;
    exit.signalled = true;
    exit.signal = signal;
    supervisor_->OnExited(key, exit, now_);
  }

  FakeRankHost host_;
  FakeUplink uplink_;
  FakeObserver observer_;
  std::map<int64_t, char> states_;
  std::optional<Supervisor> supervisor_;
  absl::Time now_ = absl::FromUnixSeconds(1000000);
  const RankKey a0_ = {{"a", 1}, 0};
  const RankKey a1_ = {{"a", 1}, 1};
};

TEST_F(SupervisorTest, StartsEachRankWithItsSlotAndRoots) {
  supervisor_->OnStart(StartOf("a", 1), now_);
  ASSERT_EQ(host_.started.size(), 2u);
  EXPECT_EQ(host_.started[1].first, a1_);
  EXPECT_EQ(host_.started[1].second.rank(), 1);
  EXPECT_EQ(host_.started[1].second.threads(), 2);
  EXPECT_THAT(host_.started[1].second.cores(), ElementsAre(2, 3));
  EXPECT_EQ(host_.started[1].second.data_root(), "/data");
  EXPECT_EQ(host_.started[1].second.collective_address(), "127.0.0.1");
  EXPECT_EQ(observer_.slots[0], "a-name");
}

TEST_F(SupervisorTest, ARankGetsNoMoreThreadsThanItsContainerLetsRun) {
  Make(1);
  supervisor_->OnStart(StartOf("a", 1), now_);
  EXPECT_EQ(host_.started[0].second.threads(), 1);
  EXPECT_THAT(host_.started[0].second.cores(), ElementsAre(0, 1));
}

TEST_F(SupervisorTest, RepeatedStartHasNoEffectAlsoAfterTheEnd) {
  supervisor_->OnStart(StartOf("a", 1), now_);
  supervisor_->OnStart(StartOf("a", 1), now_);
  EXPECT_EQ(host_.started.size(), 2u);
  Finish(a0_, v1::CAUSE_SUCCEEDED, 0);
  Finish(a1_, v1::CAUSE_SUCCEEDED, 0);
  EXPECT_TRUE(supervisor_->Idle());
  supervisor_->OnStart(StartOf("a", 1), now_);
  EXPECT_EQ(host_.started.size(), 2u);
  EXPECT_EQ(observer_.gone, 1);
}

TEST_F(SupervisorTest, TellsHowLongTheLogOfARankIs) {
  RunA(1);
  RankExit exit;
  exit.log_bytes = 20;
  supervisor_->OnExited(a0_, exit, now_);
  ASSERT_EQ(uplink_.Exits().size(), 1u);
  EXPECT_EQ(uplink_.Exits()[0].log_bytes(), 20);
}

TEST_F(SupervisorTest, NewerEpochKillsTheOldAndWaitsForItsSlots) {
  RunA(1);
  supervisor_->OnStart(StartOf("a", 2), now_);
  EXPECT_THAT(host_.killed, ElementsAre(a0_, a1_));
  EXPECT_EQ(host_.started.size(), 2u);
  Die(a0_, SIGKILL);
  ASSERT_EQ(host_.started.size(), 3u);
  EXPECT_EQ(host_.started[2].first, (RankKey{{"a", 2}, 0}));
  Die(a1_, SIGKILL);
  EXPECT_EQ(host_.started.size(), 4u);
}

TEST_F(SupervisorTest, UnknownSlotIsReportedNotStarted) {
  v1::StartAttempt start = StartOf("a", 1, 1);
  start.mutable_ranks(0)->set_slot(7);
  supervisor_->OnStart(start, now_);
  EXPECT_THAT(host_.started, IsEmpty());
  ASSERT_EQ(uplink_.Exits().size(), 1u);
  EXPECT_EQ(uplink_.Exits()[0].cause(), v1::CAUSE_PLATFORM);
  EXPECT_TRUE(supervisor_->Idle());
}

TEST_F(SupervisorTest, FirstProgressGoesAtOnceThenAtIntervals) {
  RunA();
  const size_t before = uplink_.offers.size();
  Step(a0_, 1, 0.1);
  EXPECT_EQ(uplink_.offers.size(), before + 1);
  Step(a0_, 2, 0.1);
  Step(a0_, 3, 0.1);
  EXPECT_EQ(uplink_.offers.size(), before + 1);
  const absl::Time next = supervisor_->Tick(now_);
  EXPECT_EQ(next, now_ + absl::Milliseconds(250));
  now_ = next;
  supervisor_->Tick(now_);
  ASSERT_EQ(uplink_.offers.size(), before + 2);
  EXPECT_EQ(uplink_.offers.back().progress().progress().step(), 3);
  EXPECT_EQ(uplink_.offers.back().progress().samples_size(), 2);
}

TEST_F(SupervisorTest, ProgressLeavesBeforeTheExit) {
  RunA();
  Step(a0_, 1, 0.1);
  Step(a0_, 2, 0.1);
  Finish(a0_, v1::CAUSE_SUCCEEDED, 0);
  EXPECT_EQ(uplink_.offers.back().progress().progress().step(), 2);
  EXPECT_EQ(uplink_.Exits()[0].last_step(), 2);
}

TEST_F(SupervisorTest, SilenceBeyondTenMediansIsAHangNamingPhaseAndStep) {
  RunA();
  for (int step = 1; step <= 5; ++step) {
    Step(a0_, step, 6.0);
    Step(a1_, step, 6.0);
  }
  EXPECT_EQ(supervisor_->Tick(now_ + absl::Seconds(1)), now_ + absl::Seconds(60));
  supervisor_->Tick(now_ + absl::Seconds(59));
  EXPECT_THAT(host_.killed, IsEmpty());
  now_ += absl::Seconds(61);
  supervisor_->Tick(now_);
  EXPECT_THAT(host_.killed, ElementsAre(a0_, a1_));
  Die(a0_, SIGKILL);
  const v1::RankExited exit = uplink_.Exits()[0];
  EXPECT_EQ(exit.cause(), v1::CAUSE_HANG);
  EXPECT_THAT(exit.failure().message(), HasSubstr("STEPPING after step 5"));
  EXPECT_THAT(exit.failure().message(), HasSubstr("1m1s"));
  EXPECT_EQ(exit.failure().worker(), "w0");
}

TEST_F(SupervisorTest, FirstStepHasTenMinutes) {
  RunA();
  EXPECT_EQ(supervisor_->Tick(now_), now_ + absl::Minutes(10));
}

TEST_F(SupervisorTest, StoppedProcessIsTheCulpritAndTheOtherOnlyWaited) {
  RunA();
  Step(a0_, 1, 0.1);
  Step(a1_, 1, 0.1);
  states_[101] = 'T';
  now_ += absl::Seconds(31);
  supervisor_->Tick(now_);
  Die(a0_, SIGKILL);
  Die(a1_, SIGKILL);
  const auto exits = uplink_.Exits();
  EXPECT_EQ(exits[0].cause(), v1::CAUSE_PLATFORM);
  EXPECT_THAT(exits[0].failure().message(), HasSubstr("waited for rank 1"));
  EXPECT_EQ(exits[1].cause(), v1::CAUSE_HANG);
}

TEST_F(SupervisorTest, LongSaveOfOneRankDoesNotCondemnThoseThatWait) {
  RunA();
  Step(a0_, 1, 0.1);
  Step(a1_, 1, 0.1);
  Phase(a0_, v1::PhaseReport::CHECKPOINTING);
  now_ += absl::Minutes(10);
  supervisor_->Tick(now_);
  EXPECT_THAT(host_.killed, IsEmpty());
}

TEST_F(SupervisorTest, StopWithCheckpointAsksThenKillsAfterTheGrace) {
  RunA();
  v1::StopAttempt stop;
  *stop.mutable_attempt() = RefOf({"a", 1});
  stop.set_checkpoint(true);
  stop.mutable_grace()->set_seconds(20);
  supervisor_->OnStop(stop, now_);
  supervisor_->OnStop(stop, now_);
  ASSERT_EQ(host_.sent.size(), 2u);
  EXPECT_TRUE(host_.sent[0].second.stop().checkpoint());
  EXPECT_EQ(supervisor_->Tick(now_), now_ + absl::Seconds(20));
  Finish(a0_, v1::CAUSE_STOPPED, 75);
  now_ += absl::Seconds(20);
  supervisor_->Tick(now_);
  EXPECT_THAT(host_.killed, ElementsAre(a1_));
  Die(a1_, SIGKILL);
  for (const v1::RankExited& exit : uplink_.Exits()) {
    EXPECT_EQ(exit.cause(), v1::CAUSE_STOPPED);
  }
}

TEST_F(SupervisorTest, StopWithoutCheckpointKillsAtOnce) {
  RunA();
  v1::StopAttempt stop;
  *stop.mutable_attempt() = RefOf({"a", 1});
  supervisor_->OnStop(stop, now_);
  EXPECT_THAT(host_.killed, ElementsAre(a0_, a1_));
}

TEST_F(SupervisorTest, StaleEpochIsKilledAtOnce) {
  RunA();
  supervisor_->OnStale(RefOf({"a", 7}), now_);
  EXPECT_THAT(host_.killed, IsEmpty());
  supervisor_->OnStale(RefOf({"a", 1}), now_);
  EXPECT_THAT(host_.killed, ElementsAre(a0_, a1_));
}

TEST_F(SupervisorTest, TrainsOnWithoutCoordinatorUpToTheCap) {
  RunA();
  supervisor_->OnDisconnected(now_);
  for (int minute = 1; minute < 60; ++minute) {
    now_ += absl::Minutes(1);
    Step(a0_, minute, 10);
    Step(a1_, minute, 10);
    supervisor_->Tick(now_);
  }
  EXPECT_THAT(host_.killed, IsEmpty());
  now_ += absl::Minutes(1);
  supervisor_->Tick(now_);
  EXPECT_THAT(host_.killed, ElementsAre(a0_, a1_));
  Die(a0_, SIGKILL);
  EXPECT_EQ(uplink_.Exits()[0].cause(), v1::CAUSE_PLATFORM);
  EXPECT_THAT(uplink_.Exits()[0].failure().message(), HasSubstr("--offline-cap"));
}

TEST_F(SupervisorTest, ReconnectInTimeLiftsTheCap) {
  RunA();
  supervisor_->OnDisconnected(now_);
  supervisor_->OnConnected(now_ + absl::Minutes(59));
  for (int minute = 1; minute <= 120; ++minute) {
    Step(a0_, minute, 30);
    Step(a1_, minute, 30);
    now_ += absl::Minutes(1);
    supervisor_->Tick(now_);
  }
  EXPECT_THAT(host_.killed, IsEmpty());
}

TEST_F(SupervisorTest, WaitingForTheLastCommitIsNoHangWhileTheCoordinatorIsAway) {
  RunA();
  Phase(a0_, v1::PhaseReport::FINISHING);
  Phase(a1_, v1::PhaseReport::FINISHING);
  supervisor_->OnDisconnected(now_);
  now_ += absl::Minutes(59);
  supervisor_->Tick(now_);
  supervisor_->OnConnected(now_);
  now_ += absl::Minutes(59);
  supervisor_->Tick(now_);
  EXPECT_THAT(host_.killed, IsEmpty());
  now_ += absl::Minutes(2);
  supervisor_->Tick(now_);
  EXPECT_THAT(host_.killed, ElementsAre(a0_, a1_));
}

TEST_F(SupervisorTest, RendezvousIsRelayedAndRepeatedAfterAReconnect) {
  RunA();
  v1::FromTrainer put;
  put.mutable_rendezvous_put()->set_key("k");
  put.mutable_rendezvous_put()->set_value("v");
  supervisor_->OnMessage(a0_, put, now_);
  v1::FromTrainer get;
  get.mutable_rendezvous_get()->set_key("k");
  supervisor_->OnMessage(a1_, get, now_);
  ASSERT_EQ(uplink_.offers.size(), 2u);
  EXPECT_EQ(uplink_.offers[0].rendezvous_put().attempt().epoch(), 1);
  EXPECT_EQ(uplink_.offers[1].rendezvous_get().rank(), 1);
  supervisor_->OnConnected(now_);
  EXPECT_EQ(uplink_.offers.size(), 4u);
  v1::RendezvousValue value;
  *value.mutable_attempt() = RefOf({"a", 1});
  value.set_rank(1);
  value.set_key("k");
  value.set_value("v");
  supervisor_->OnRendezvousValue(value);
  supervisor_->OnRendezvousValue(value);
  ASSERT_EQ(host_.sent.size(), 1u);
  EXPECT_EQ(host_.sent[0].second.rendezvous().value(), "v");
  supervisor_->OnConnected(now_);
  EXPECT_EQ(uplink_.offers.size(), 5u);
}

TEST_F(SupervisorTest, CheckpointsAreReportedWithTheAttemptAndCommitsGoToRankZero) {
  RunA();
  v1::FromTrainer saved;
  saved.mutable_checkpoint()->mutable_checkpoint()->set_step(50);
  saved.mutable_checkpoint()->set_final(true);
  supervisor_->OnMessage(a0_, saved, now_);
  const v1::CheckpointReport& report = uplink_.reports.back().checkpoint();
  EXPECT_EQ(report.attempt().job_uid(), "a");
  EXPECT_TRUE(report.final());
  v1::CheckpointCommitted committed;
  *committed.mutable_attempt() = RefOf({"a", 1});
  committed.set_step(50);
  supervisor_->OnCommitted(committed, now_);
  ASSERT_EQ(host_.sent.size(), 1u);
  EXPECT_EQ(host_.sent[0].first, a0_);
  EXPECT_EQ(host_.sent[0].second.committed().step(), 50);
  EXPECT_EQ(observer_.committed, 1);
}

TEST_F(SupervisorTest, ShutdownAsksForACheckpointAndTellsThatTheJobWasPreempted) {
  RunA();
  supervisor_->Shutdown(now_);
  EXPECT_EQ(host_.sent.size(), 2u);
  Finish(a0_, v1::CAUSE_STOPPED, 75);
  EXPECT_EQ(uplink_.Exits()[0].cause(), v1::CAUSE_PREEMPTED);
  now_ += absl::Seconds(25);
  supervisor_->Tick(now_);
  EXPECT_THAT(host_.killed, ElementsAre(a1_));
  Die(a1_, SIGKILL);
  EXPECT_EQ(uplink_.Exits()[1].cause(), v1::CAUSE_PREEMPTED);
  EXPECT_TRUE(supervisor_->Idle());
}

TEST_F(SupervisorTest, SecondShutdownKillsAndNothingNewStarts) {
  RunA();
  supervisor_->Shutdown(now_);
  supervisor_->Shutdown(now_);
  EXPECT_THAT(host_.killed, ElementsAre(a0_, a1_));
  supervisor_->OnStart(StartOf("b", 1), now_);
  EXPECT_EQ(host_.started.size(), 2u);
  EXPECT_EQ(uplink_.Exits().back().cause(), v1::CAUSE_PREEMPTED);
}

TEST_F(SupervisorTest, UnreadableMessageIsAPlatformFailure) {
  RunA();
  supervisor_->OnProtocolError(a0_, "a frame too long", now_);
  Die(a0_, SIGKILL);
  EXPECT_EQ(uplink_.Exits()[0].cause(), v1::CAUSE_PLATFORM);
  EXPECT_THAT(uplink_.Exits()[0].failure().message(), HasSubstr("a frame too long"));
}

TEST_F(SupervisorTest, RankThatFinishedButDoesNotExitIsKilledAndKeepsItsVerdict) {
  RunA();
  v1::FromTrainer message;
  message.mutable_finished()->set_cause(v1::CAUSE_SUCCEEDED);
  supervisor_->OnMessage(a0_, message, now_);
  now_ += absl::Minutes(1);
  supervisor_->Tick(now_);
  EXPECT_THAT(host_.killed, ElementsAre(a0_));
  Die(a0_, SIGKILL);
  EXPECT_EQ(uplink_.Exits()[0].cause(), v1::CAUSE_SUCCEEDED);
}

}  // namespace
}  // namespace cherry::worker
