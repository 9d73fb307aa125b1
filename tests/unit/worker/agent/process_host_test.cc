#include "worker/agent/process_host.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "absl/strings/numbers.h"
#include "common/file.h"
#include "tests/test_directory.h"
#include "worker/agent/environment.h"
#include "worker/agent/proc.h"

namespace cherry::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kDeadline = std::chrono::seconds(60);

// Keeps what happens, and lets a test wait for it.
class Recorder final : public RankEvents {
 public:
  void OnSpawned(const RankKey&, int64_t pid) override {
    Change([&] { pid_ = pid; });
  }
  void OnMessage(const RankKey&, v1::FromTrainer message) override {
    Change([&] { messages_.push_back(std::move(message)); });
  }
  void OnProtocolError(const RankKey&, std::string what) override {
    Change([&] { protocol_error_ = std::move(what); });
  }
  void OnExited(const RankKey&, RankExit exit) override {
    Change([&] { exit_ = std::move(exit); });
  }

  RankExit AwaitExit() {
    std::unique_lock<std::mutex> lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kDeadline, [this] { return exit_.has_value(); }));
    return exit_.value_or(RankExit());
  }
  // The message of the first note of this type.
  std::string AwaitNote(const std::string& type) {
    std::string text;
    std::unique_lock<std::mutex> lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kDeadline, [&] {
      for (const v1::FromTrainer& message : messages_) {
        if (message.note().type() == type) {
          text = message.note().message();
          return true;
        }
      }
      return false;
    }));
    return text;
  }
  std::string AwaitProtocolError() {
    std::unique_lock<std::mutex> lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kDeadline, [this] { return !protocol_error_.empty(); }));
    return protocol_error_;
  }
  std::vector<v1::FromTrainer> messages() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return messages_;
  }
  int64_t pid() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return pid_;
  }

 private:
  template <typename F>
  void Change(F change) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      change();
    }
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t pid_ = 0;
  std::vector<v1::FromTrainer> messages_;
  std::string protocol_error_;
  std::optional<RankExit> exit_;
};

class ProcessHostTest : public ::testing::Test {
 protected:
  ProcessHostTest() : logs_(home_ + "/logs", [] {}), records_(home_ + "/ranks") { Make(FAKE_TRAINER); }

  void Make(const std::string& trainer) {
    ProcessHostConfig config;
    config.trainer = trainer;
    config.environment = {"PATH=/bin:/usr/bin", "SECRET=s3cret"};
    for (const char* const name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
      if (const char* const value = std::getenv(name)) {
        config.environment.push_back(std::string(name) + "=" + value);
      }
    }
    config.incarnation = "test";
    auto host = ProcessHost::Create(config, &logs_, &records_, &events_);
    ASSERT_TRUE(host.ok());
    host_ = *std::move(host);
  }
  void Run(const std::string& script) {
    v1::StartRank start;
    start.mutable_attempt()->set_job_name(script);
    start.set_threads(2);
    host_->Start(key_, start);
  }
  std::string Log() {
    const auto chunk = logs_.Next();
    return chunk.has_value() ? chunk->data() : "";
  }
  // Ended processes of other parents may be zombies for a while.
  bool Alive(pid_t pid) {
    const auto stat = StatOf(pid);
    return stat.has_value() && stat->state != 'Z';
  }

  const TestDirectory own_;
  const std::string home_ = own_.path();
  LogStore logs_;
  RankRecords records_;
  Recorder events_;
  std::unique_ptr<ProcessHost> host_;
  const RankKey key_ = {{"uid", 1}, 0};
};

TEST_F(ProcessHostTest, CarriesMessagesAndLogsUntilTheEnd) {
  Run("steps:3,print:hello from the rank,finish");
  const RankExit exit = events_.AwaitExit();
  EXPECT_FALSE(exit.signalled);
  EXPECT_EQ(exit.code, 0);
  const auto messages = events_.messages();
  ASSERT_EQ(messages.size(), 5u);
  EXPECT_TRUE(messages[0].has_ready());
  EXPECT_EQ(messages[3].step().step(), 3);
  EXPECT_TRUE(messages[4].has_finished());
  EXPECT_EQ(Log(), "hello from the rank\n");
  EXPECT_EQ(exit.log_bytes, 20);
}

TEST_F(ProcessHostTest, GivesACleanEnvironmentAndFourDescriptors) {
  Run("note,finish");
  EXPECT_THAT(events_.AwaitNote("environment"),
              AllOf(HasSubstr("OMP_NUM_THREADS=2"), HasSubstr("CHERRY_RANK=test/uid/epoch-1/rank-0"),
                    Not(HasSubstr("s3cret"))));
  EXPECT_EQ(events_.AwaitNote("descriptors"), "0 1 2 3 ");
  events_.AwaitExit();
}

TEST_F(ProcessHostTest, TellsExitCodesAndSignals) {
  Run("print:error: no such data,exit:64");
  const RankExit exit = events_.AwaitExit();
  EXPECT_EQ(exit.code, 64);
  EXPECT_EQ(exit.last_error, "error: no such data");
}

TEST_F(ProcessHostTest, TellsACrash) {
  Run("crash");
  const RankExit exit = events_.AwaitExit();
  // AddressSanitizer turns the signal into an exit.
  EXPECT_TRUE(exit.signalled ? exit.signal == SIGSEGV : exit.code != 0);
}

TEST_F(ProcessHostTest, KillTakesGrandchildrenWithIt) {
  Run("fork,hang");
  pid_t grandchild = 0;
  ASSERT_TRUE(absl::SimpleAtoi(events_.AwaitNote("grandchild"), &grandchild));
  EXPECT_TRUE(Alive(grandchild));
  host_->Kill(key_);
  const RankExit exit = events_.AwaitExit();
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_FALSE(exit.oom_evidence);
  EXPECT_FALSE(Alive(grandchild));
}

TEST_F(ProcessHostTest, GrandchildThatLeftTheGroupIsKilledBeforeTheExitIsTold) {
  Run("escape,exit:0");
  pid_t grandchild = 0;
  ASSERT_TRUE(absl::SimpleAtoi(events_.AwaitNote("grandchild"), &grandchild));
  events_.AwaitExit();
  EXPECT_FALSE(Alive(grandchild));
}

TEST_F(ProcessHostTest, SendsMessagesToTheRank) {
  Run("wait");
  v1::ToTrainer stop;
  stop.mutable_stop();
  host_->Send(key_, stop);
  EXPECT_EQ(events_.AwaitExit().code, 75);
}

TEST_F(ProcessHostTest, UnreadableMessageIsTold) {
  Run("garbage,hang");
  EXPECT_THAT(events_.AwaitProtocolError(), HasSubstr("frame"));
  host_->Kill(key_);
  events_.AwaitExit();
}

TEST_F(ProcessHostTest, ProgramThatIsNotThereIsAnEndWithItsReason) {
  Make("/nonexistent/cherry-trainer");
  Run("finish");
  EXPECT_THAT(events_.AwaitExit().start_error, HasSubstr("/nonexistent/cherry-trainer"));
}

TEST_F(ProcessHostTest, GoingAwayReapsEveryRank) {
  Run("fork,hang");
  pid_t grandchild = 0;
  ASSERT_TRUE(absl::SimpleAtoi(events_.AwaitNote("grandchild"), &grandchild));
  host_.reset();
  EXPECT_FALSE(Alive(grandchild));
  EXPECT_FALSE(Alive(static_cast<pid_t>(events_.pid())));
  const auto records = ListDirectory(home_ + "/ranks");
  ASSERT_TRUE(records.ok());
  EXPECT_TRUE(records->empty());
}

// Starts a process that sleeps, with the mark of a rank; the caller reaps it.
pid_t StartMarked(const std::string& mark) {
  const std::string entry = std::string(kRankVariable) + "=" + mark;
  int ready[2];
  EXPECT_EQ(pipe2(ready, O_CLOEXEC), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    char* const arguments[] = {const_cast<char*>("sleep"), const_cast<char*>("1000"), nullptr};
    char* const environment[] = {const_cast<char*>(entry.c_str()), nullptr};
    execve("/bin/sleep", arguments, environment);
    _exit(127);
  }
  close(ready[1]);
  char byte = 0;
  EXPECT_EQ(read(ready[0], &byte, 1), 0);  // Closed by exec.
  close(ready[0]);
  return pid;
}

TEST_F(ProcessHostTest, SuccessorKillsWhatIsLeftAndNothingElse) {
  const pid_t left = StartMarked("old/uid/epoch-1/rank-0");
  const pid_t relative = StartMarked("old/uid/epoch-1/rank-0");
  const pid_t stranger = StartMarked("other/uid/epoch-1/rank-0");
  ASSERT_TRUE(records_.Add(left, "old/uid/epoch-1/rank-0").ok());
  // A record whose pid has gone to another process.
  ASSERT_TRUE(WriteFileAtomically(home_ + "/ranks/" + std::to_string(stranger),
                                  std::to_string(stranger) + " 1 " + BootId() + " gone")
                  .ok());
  const auto killed = records_.KillLeftOvers(absl::Seconds(30));
  ASSERT_TRUE(killed.ok());
  EXPECT_EQ(*killed, 2);
  EXPECT_FALSE(Alive(left));
  EXPECT_FALSE(Alive(relative));
  EXPECT_TRUE(Alive(stranger));
  EXPECT_TRUE(ListDirectory(home_ + "/ranks")->empty());
  kill(stranger, SIGKILL);
  for (const pid_t pid : {left, relative, stranger}) {
    waitpid(pid, nullptr, 0);
  }
}

}  // namespace
}  // namespace cherry::worker
