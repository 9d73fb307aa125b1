#include "client/cli/supervisor.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "client/cli/local_state.h"
#include "common/file.h"
#include "common/status.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

// Runs Supervise in a child process; the daemons write lines into one pipe.
class SupervisorTest : public testing::Test {
 protected:
  SupervisorTest() {
    EXPECT_EQ(pipe(pipe_), 0);
    // So that this process sees and reaps whatever a killed supervisor would leave behind.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
  }
  ~SupervisorTest() override {
    if (supervisor_ > 0) {
      kill(supervisor_, SIGKILL);
      waitpid(supervisor_, nullptr, 0);
    }
    close(pipe_[0]);
    close(pipe_[1]);
  }

  // A daemon that says "NAME PID" and then runs `script`. `say X` in it writes the line "X".
  Daemon MakeDaemon(const std::string& name, const std::string& script) {
    const std::string fd = std::to_string(pipe_[1]);
    const std::string whole = "say() { echo \"$*\" >&" + fd + "; }\nsay " + name + " $$\n" + script;
    return {.name = name,
            .argv = {"/bin/sh", "-c", whole},
            .log = directory_ + "/" + name + ".log",
            .grace = absl::Seconds(20)};
  }

  void Start(std::vector<Daemon> daemons) {
    supervisor_ = fork();
    if (supervisor_ == 0) {
      close(pipe_[0]);
      SupervisorOptions options;
      options.daemons = std::move(daemons);
      options.first_pause = absl::Milliseconds(10);
      const absl::Status status = Supervise(options);
      _exit(status.ok() ? 0 : 1);
    }
    close(pipe_[1]);
    pipe_[1] = -1;
  }

  // The next line from any daemon; "" at the end of all, "timed out" after a minute.
  std::string NextLine() {
    std::string line;
    char byte = 0;
    while (true) {
      pollfd waited{pipe_[0], POLLIN, 0};
      if (poll(&waited, 1, 60'000) != 1) {
        return "timed out";
      }
      if (read(pipe_[0], &byte, 1) != 1 || byte == '\n') {
        return line;
      }
      line.push_back(byte);
    }
  }
  pid_t PidIn(const std::string& line) { return std::stoi(line.substr(line.find(' ') + 1)); }

  int WaitForExit() {
    int status = 0;
    waitpid(supervisor_, &status, 0);
    supervisor_ = 0;
    return status;
  }

  const TestDirectory own_;
  const std::string directory_ = own_.path();
  int pipe_[2] = {-1, -1};
  pid_t supervisor_ = 0;
};

TEST_F(SupervisorTest, StartsADaemonAgainThatWasKilled) {
  Start({MakeDaemon("a", "exec sleep 100")});
  const pid_t first = PidIn(NextLine());
  kill(first, SIGKILL);
  const pid_t second = PidIn(NextLine());
  EXPECT_NE(first, second);
  kill(supervisor_, SIGTERM);
  EXPECT_EQ(WaitForExit(), 0);
  EXPECT_EQ(kill(second, 0), -1);
}

TEST_F(SupervisorTest, StopsInReverseOrderAndLetsDaemonsFinish) {
  const std::string polite =
      "trap 'say end of $0; exit 0' TERM\nsay ready\nwhile :; do sleep 100 & wait $!; done\n";
  Daemon a = MakeDaemon("a", polite);
  Daemon b = MakeDaemon("b", polite);
  a.argv.push_back("a");
  b.argv.push_back("b");
  Start({a, b});
  for (int line = 0; line < 4; ++line) {
    NextLine();
  }
  kill(supervisor_, SIGTERM);
  EXPECT_EQ(NextLine(), "end of b");
  EXPECT_EQ(NextLine(), "end of a");
  EXPECT_EQ(WaitForExit(), 0);
}

TEST_F(SupervisorTest, KillsWhatDoesNotStop) {
  Daemon stubborn = MakeDaemon("a", "trap '' TERM\nsay ready\nwhile :; do sleep 100 & wait $!; done\n");
  stubborn.grace = absl::Milliseconds(100);
  Start({stubborn});
  const pid_t pid = PidIn(NextLine());
  EXPECT_EQ(NextLine(), "ready");
  kill(supervisor_, SIGTERM);
  EXPECT_EQ(WaitForExit(), 0);
  EXPECT_EQ(kill(pid, 0), -1);
}

TEST_F(SupervisorTest, LeavesNoProcessOfAKilledDaemonBehind) {
  // A grandchild in a session of its own, whose parent is killed.
  Start({MakeDaemon(
      "a", "setsid sh -c 'echo stray $$ >&" + std::to_string(pipe_[1]) + "; exec sleep 1000' &\nwait\n")});
  const pid_t daemon = PidIn(NextLine());
  const pid_t stray = PidIn(NextLine());
  kill(daemon, SIGKILL);
  NextLine();  // It is up again.
  kill(supervisor_, SIGTERM);
  EXPECT_EQ(WaitForExit(), 0);
  EXPECT_EQ(kill(stray, 0), -1);
}

TEST_F(SupervisorTest, DaemonsDieWithAKilledSupervisor) {
  Start({MakeDaemon("a", "exec sleep 1000"), MakeDaemon("b", "exec sleep 1000")});
  NextLine();
  NextLine();
  kill(supervisor_, SIGKILL);
  WaitForExit();
  // The pipe's end: no process holds it any more.
  EXPECT_EQ(NextLine(), "");
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

TEST(LocalState, OneSupervisorAHome) {
  const TestDirectory directory;
  const std::string& home = directory.path();
  EXPECT_FALSE(RunningSupervisor(home)->has_value());
  int ready[2];
  int done[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(done), 0);
  const pid_t holder = fork();
  char byte = 'x';
  if (holder == 0) {
    close(done[1]);
    const bool locked = LockHome(home).ok() && write(ready[1], &byte, 1) == 1;
    _exit(locked && read(done[0], &byte, 1) == 0 ? 0 : 1);
  }
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(RunningSupervisor(home)->value_or(0), holder);
  EXPECT_TRUE(absl::IsAlreadyExists(LockHome(home)));
  close(done[1]);
  int status = 0;
  waitpid(holder, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(RunningSupervisor(home)->has_value());
}

TEST(LocalState, IsReadBack) {
  const TestDirectory directory;
  const std::string& home = directory.path();
  LocalState state;
  state.port = 7170;
  state.slots = 3;
  state.coordinator = 12;
  ASSERT_TRUE(WriteLocalState(home, state).ok());
  const auto read = ReadLocalState(home);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->port, 7170);
  EXPECT_EQ(read->slots, 3);
  EXPECT_EQ(read->coordinator, 12);
  RemoveLocalState(home);
  EXPECT_FALSE(ReadLocalState(home).ok());
}

TEST(LocalState, NamesAPortThatIsTaken) {
  LocalState state;
  state.port = 65535;
  EXPECT_EQ(InfoOf(CheckPortsFree(state)).reason(), "OUT_OF_RANGE");
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  socklen_t size = sizeof(address);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  state.port = ntohs(address.sin_port);
  const absl::Status status = CheckPortsFree(state);
  EXPECT_EQ(InfoOf(status).reason(), "PORT_TAKEN");
  EXPECT_NE(status.message().find(std::to_string(state.port)), absl::string_view::npos);
  close(listener);
}

}  // namespace
}  // namespace cherry::client
