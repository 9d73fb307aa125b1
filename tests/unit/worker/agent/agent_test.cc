// The whole agent with real processes (of a trainer without a model) against a gateway in this process.
#include "worker/agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "common/file.h"
#include "common/status.h"
#include "fake_gateway.h"
#include "tests/relay.h"
#include "tests/test_directory.h"
#include "worker/agent/proc.h"

namespace cherry::worker {
namespace {

using ::testing::HasSubstr;
using Messages = FakeGateway::Messages;

class AgentTest : public ::testing::Test {
 protected:
  AgentTest() : gateway_("t0ken") {
    for (const char* const root : {"/data", "/checkpoints"}) {
      std::filesystem::create_directories(home_ + root);
      EXPECT_TRUE(WriteFileAtomically(home_ + root + "/.cherry-root", root).ok());
    }
    EXPECT_TRUE(WriteFileAtomically(home_ + "/token", "t0ken\n", 0600).ok());
    options_.name = "w0";
    options_.home = home_;
    options_.data_root = home_ + "/data";
    options_.checkpoint_root = home_ + "/checkpoints";
    options_.trainer = FAKE_TRAINER;
    options_.coordinator = {"127.0.0.1", gateway_.port()};
    options_.metrics_address = {"127.0.0.1", 0};
    options_.address = "127.0.0.1";
    options_.slots = 2;
    options_.labels = {{"zone", "a"}};
  }
  ~AgentTest() override { Stop(); }

  void StartAgent() {
    auto agent = Agent::Create(options_);
    ASSERT_TRUE(agent.ok()) << agent.status();
    agent_ = *std::move(agent);
    loop_ = std::thread([this] { agent_->Run(); });
    ASSERT_TRUE(gateway_.Await([](const Messages& all) { return !all.empty(); }));
  }
  void Stop() {
    if (loop_.joinable()) {
      agent_->RequestShutdown(SIGTERM);
      loop_.join();
    }
    agent_.reset();
  }
  // The script is the job's name: see fake_trainer.cc.
  void StartJob(const std::string& uid, int64_t epoch, const std::string& script, int ranks = 1) {
    v1::CoordinatorMessage message;
    *message.mutable_start()->mutable_attempt() = RefOf({uid, epoch});
    message.mutable_start()->set_job_name(script);
    for (int i = 0; i < ranks; ++i) {
      message.mutable_start()->add_ranks()->set_rank(i);
      message.mutable_start()->mutable_ranks(i)->set_slot(i);
    }
    gateway_.Send(message);
  }
  static int CountExits(const Messages& all) {
    int exits = 0;
    for (const v1::WorkerMessage& message : all) {
      exits += message.has_rank_exited() ? 1 : 0;
    }
    return exits;
  }
  v1::RankExited AwaitExit(int count = 1) {
    EXPECT_TRUE(gateway_.Await([count](const Messages& all) { return CountExits(all) >= count; }));
    v1::RankExited last;
    for (const v1::WorkerMessage& message : gateway_.messages()) {
      if (message.has_rank_exited()) {
        last = message.rank_exited();
      }
    }
    return last;
  }
  bool AwaitNote(const std::string& type, std::string* text = nullptr) {
    return gateway_.Await([&](const Messages& all) {
      for (const v1::WorkerMessage& message : all) {
        if (message.note().type() == type) {
          if (text != nullptr) {
            *text = message.note().message();
          }
          return true;
        }
      }
      return false;
    });
  }

  const TestDirectory own_;
  const std::string home_ = own_.path();
  FakeGateway gateway_;
  Options options_;
  std::unique_ptr<Agent> agent_;
  std::thread loop_;
};

TEST_F(AgentTest, RegistersFirstWithWhatItIs) {
  StartAgent();
  const v1::Register first = gateway_.messages()[0].register_();
  EXPECT_EQ(first.name(), "w0");
  EXPECT_FALSE(first.incarnation().empty());
  EXPECT_EQ(first.slots_size(), 2);
  EXPECT_EQ(first.labels().at("zone"), "a");
  EXPECT_EQ(first.roots(0).id(), "/data");
  EXPECT_EQ(first.api_major(), 1);
  EXPECT_TRUE(gateway_.Await([](const Messages& all) { return all.back().has_heartbeat(); }));
}

TEST_F(AgentTest, ComesBackWithinItsLeaseFromAnAddressWhoseHostIsGone) {
  Relay network(gateway_.port());
  network.SetSilent(true);
  options_.coordinator.port = network.port();
  auto agent = Agent::Create(options_);
  ASSERT_TRUE(agent.ok()) << agent.status();
  agent_ = *std::move(agent);
  loop_ = std::thread([this] { agent_->Run(); });
  ASSERT_TRUE(network.AwaitConnections(1));
  network.SetSilent(false);
  const absl::Time back = absl::Now();
  ASSERT_TRUE(gateway_.Await([](const Messages& all) { return !all.empty(); }));
  EXPECT_LT(absl::Now() - back, absl::Seconds(10));
}

TEST_F(AgentTest, RunsAJobToItsEnd) {
  StartAgent();
  StartJob("uid", 1, "print:hello,steps:5,save:5,finish");
  ASSERT_TRUE(gateway_.Await([](const Messages& all) {
    for (const v1::WorkerMessage& message : all) {
      if (message.checkpoint().checkpoint().step() == 5) {
        return true;
      }
    }
    return false;
  }));
  v1::CoordinatorMessage committed;
  *committed.mutable_committed()->mutable_attempt() = RefOf({"uid", 1});
  committed.mutable_committed()->set_step(5);
  gateway_.Send(committed);
  const v1::RankExited exit = AwaitExit();
  EXPECT_EQ(exit.cause(), v1::CAUSE_SUCCEEDED);
  EXPECT_EQ(exit.last_step(), 5);
  EXPECT_TRUE(gateway_.Await([](const Messages& all) {
    for (const v1::WorkerMessage& message : all) {
      if (message.log().data() == "hello\n") {
        return true;
      }
    }
    return false;
  }));
}

TEST_F(AgentTest, TrainsOnWhileTheCoordinatorIsAwayAndReportsAfterwards) {
  StartAgent();
  gateway_.SetAcknowledge(false);
  StartJob("uid", 1, "note,wait");
  ASSERT_TRUE(AwaitNote("descriptors"));
  gateway_.Close();
  gateway_.SetAcknowledge(true);
  const size_t before = gateway_.messages().size();
  gateway_.Open();
  ASSERT_TRUE(gateway_.Await(
      [before](const Messages& all) { return all.size() > before + 3 && all.back().has_heartbeat(); }));
  const Messages all = gateway_.messages();
  const v1::Register& again = all[before].register_();
  EXPECT_EQ(again.incarnation(), all[0].register_().incarnation());
  ASSERT_EQ(again.attempts_size(), 1);
  EXPECT_EQ(again.attempts(0).job_uid(), "uid");
  // What had no Ack comes again, in order.
  EXPECT_TRUE(all[before + 1].has_rank_started());
  EXPECT_EQ(all[before + 1].sequence(), 1);
  EXPECT_EQ(all[before + 2].note().type(), "environment");
  v1::CoordinatorMessage stop;
  *stop.mutable_stop()->mutable_attempt() = RefOf({"uid", 1});
  stop.mutable_stop()->set_checkpoint(true);
  gateway_.Send(stop);
  EXPECT_EQ(AwaitExit().cause(), v1::CAUSE_STOPPED);
}

TEST_F(AgentTest, StaleEpochKillsAtOnce) {
  StartAgent();
  StartJob("uid", 1, "note,hang", 2);
  ASSERT_TRUE(AwaitNote("descriptors"));
  v1::CoordinatorMessage stale;
  *stale.mutable_stale()->mutable_attempt() = RefOf({"uid", 1});
  gateway_.Send(stale);
  EXPECT_EQ(AwaitExit(2).cause(), v1::CAUSE_STOPPED);
}

TEST_F(AgentTest, RendezvousGoesThroughTheCoordinator) {
  StartAgent();
  StartJob("uid", 1, "get:key,finish");
  ASSERT_TRUE(gateway_.Await([](const Messages& all) { return all.back().has_rendezvous_get(); }));
  v1::CoordinatorMessage value;
  *value.mutable_rendezvous_value()->mutable_attempt() = RefOf({"uid", 1});
  value.mutable_rendezvous_value()->set_key("key");
  value.mutable_rendezvous_value()->set_value("address");
  gateway_.Send(value);
  std::string text;
  ASSERT_TRUE(AwaitNote("rendezvous", &text));
  EXPECT_EQ(text, "address");
  AwaitExit();
}

TEST_F(AgentTest, ShutdownStopsReapsAndReportsEveryRank) {
  StartAgent();
  StartJob("uid", 1, "fork,note,wait", 2);
  std::string grandchild;
  ASSERT_TRUE(AwaitNote("grandchild", &grandchild));
  Stop();
  EXPECT_EQ(AwaitExit(2).cause(), v1::CAUSE_PREEMPTED);
  pid_t pid = 0;
  ASSERT_TRUE(absl::SimpleAtoi(grandchild, &pid));
  const auto stat = StatOf(pid);
  EXPECT_TRUE(!stat.has_value() || stat->state == 'Z');
}

TEST_F(AgentTest, ShutdownKillsTheDeafAfterTheGrace) {
  options_.grace = absl::Milliseconds(200);
  StartAgent();
  StartJob("uid", 1, "note,hang");
  ASSERT_TRUE(AwaitNote("descriptors"));
  Stop();
  EXPECT_THAT(AwaitExit().failure().message(), HasSubstr("--grace"));
}

TEST_F(AgentTest, RepeatedSigtermDoesNotShortenTheGrace) {
  options_.grace = absl::Milliseconds(200);
  StartAgent();
  StartJob("uid", 1, "note,hang");
  ASSERT_TRUE(AwaitNote("descriptors"));
  agent_->RequestShutdown(SIGTERM);
  Stop();
  EXPECT_THAT(AwaitExit().failure().message(), HasSubstr("--grace"));
}

TEST_F(AgentTest, SigintAfterTheFirstSignalKillsAtOnce) {
  options_.grace = absl::Minutes(5);
  StartAgent();
  StartJob("uid", 1, "note,hang");
  ASSERT_TRUE(AwaitNote("descriptors"));
  agent_->RequestShutdown(SIGTERM);
  agent_->RequestShutdown(SIGINT);
  loop_.join();
  EXPECT_THAT(AwaitExit().failure().message(), HasSubstr("told twice"));
}

TEST_F(AgentTest, OfflineCapEndsTheRanks) {
  options_.offline_cap = absl::Milliseconds(200);
  StartAgent();
  StartJob("uid", 1, "note,hang");
  ASSERT_TRUE(AwaitNote("descriptors"));
  gateway_.Close();
  // The killed rank's record goes when it is reaped.
  const std::string records = home_ + "/worker-w0/ranks";
  ASSERT_TRUE(WaitForEnd(static_cast<pid_t>(std::stol(ListDirectory(records)->front())), absl::Seconds(60)));
  gateway_.Open();
  EXPECT_THAT(AwaitExit().failure().message(), HasSubstr("--offline-cap"));
}

TEST_F(AgentTest, SecondWorkerOfTheSameNameIsRefused) {
  StartAgent();
  const auto second = Agent::Create(options_);
  EXPECT_EQ(InfoOf(second.status()).reason(), "WORKER_RUNNING");
}

TEST_F(AgentTest, TakenMetricsPortIsNamed) {
  StartAgent();
  Options options = options_;
  options.name = "w1";
  const std::string page = gateway_.messages()[0].register_().metrics_address();
  options.metrics_address = *ParseEndpoint(page, "");
  const auto second = Agent::Create(options);
  EXPECT_EQ(InfoOf(second.status()).field(), "--metrics-address");
}

TEST_F(AgentTest, CoordinatorElsewhereNeedsTls) {
  options_.coordinator.host = "10.0.0.1";
  EXPECT_EQ(InfoOf(Agent::Create(options_).status()).reason(), "TLS_REQUIRED");
  options_.tls_ca = home_ + "/ca.pem";
  EXPECT_EQ(InfoOf(Agent::Create(options_).status()).reason(), "TLS_INCOMPLETE");
}

}  // namespace
}  // namespace cherry::worker
