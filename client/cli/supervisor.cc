#include "client/cli/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/log.h"
#include "common/status.h"

namespace cherry::client {
namespace {

// After fork: only calls that are safe there. Never returns.
[[noreturn]] void ExecDaemon(char* const* argv, int log, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) {
    _exit(127);  // The supervisor died in between.
  }
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execv(argv[0], argv);
  dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
  _exit(127);
}

std::string HowItEnded(int status) {
  if (WIFSIGNALED(status)) {
    return absl::StrCat("died of signal ", WTERMSIG(status));
  }
  return absl::StrCat("exited with ", WEXITSTATUS(status));
}

class Supervisor {
 public:
  explicit Supervisor(const SupervisorOptions& options)
      : options_(options), children_(options.daemons.size()) {}
  ~Supervisor() {
    if (signals_ >= 0) {
      close(signals_);
    }
  }

  absl::Status Run() {
    RETURN_IF_ERROR(CatchSignals());
    for (size_t i = 0; i < children_.size(); ++i) {
      children_[i].pause = options_.first_pause;
      children_[i].start_at = absl::Now();
    }
    while (!stopping_) {
      RETURN_IF_ERROR(StartDue());
      WaitForSignal(NextStart());
    }
    for (size_t i = children_.size(); i-- > 0;) {
      StopOne(i);
    }
    KillStrays();
    return absl::OkStatus();
  }

 private:
  struct Child {
    pid_t pid = 0;
    absl::Time start_at = absl::InfiniteFuture();  // When it is to be started; none while it runs.
    absl::Time started;
    absl::Duration pause;
  };

  absl::Status CatchSignals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, nullptr) != 0) {
      return ErrnoError(errno, "cannot block signals");
    }
    signals_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals_ < 0) {
      return ErrnoError(errno, "cannot receive signals");
    }
    // What a killed worker leaves behind becomes a child of this process and is reaped here.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return absl::OkStatus();
  }

  absl::Status StartDue() {
    for (size_t i = 0; i < children_.size(); ++i) {
      if (children_[i].pid == 0 && children_[i].start_at <= absl::Now()) {
        RETURN_IF_ERROR(Start(i));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Start(size_t i) {
    const Daemon& daemon = options_.daemons[i];
    const int log = open(daemon.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) {
      return ErrnoError(errno, daemon.log);
    }
    std::vector<char*> argv;
    for (const std::string& argument : daemon.argv) {
      argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
      ExecDaemon(argv.data(), log, parent);
    }
    close(log);
    if (pid < 0) {
      return ErrnoError(errno, "fork");
    }
    children_[i].pid = pid;
    children_[i].started = absl::Now();
    children_[i].start_at = absl::InfiniteFuture();
    LogInfo(absl::StrCat(daemon.name, " started, pid ", pid));
    Changed();
    return absl::OkStatus();
  }

  absl::Time NextStart() const {
    absl::Time next = absl::InfiniteFuture();
    for (const Child& child : children_) {
      next = std::min(next, child.start_at);
    }
    return next;
  }

  // Returns after a signal or at `until`.
  void WaitForSignal(absl::Time until) {
    int timeout = -1;
    if (until != absl::InfiniteFuture()) {
      // Rounded up, so that it is due when poll returns.
      timeout = static_cast<int>(
          std::max<int64_t>(0, absl::ToInt64Milliseconds(until - absl::Now() + absl::Milliseconds(1))));
    }
    pollfd waited{signals_, POLLIN, 0};
    poll(&waited, 1, timeout);
    signalfd_siginfo info;
    while (read(signals_, &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo != SIGCHLD) {
        impatient_ = stopping_;
        stopping_ = true;
      }
    }
    Reap();
  }

  void Reap() {
    int status = 0;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
      for (size_t i = 0; i < children_.size(); ++i) {
        if (children_[i].pid == pid) {
          Ended(i, status);
        }
      }
    }
  }

  void Ended(size_t i, int status) {
    Child& child = children_[i];
    child.pid = 0;
    if (stopping_) {
      LogInfo(absl::StrCat(options_.daemons[i].name, " ", HowItEnded(status)));
    } else {
      if (absl::Now() - child.started >= options_.healthy) {
        child.pause = options_.first_pause;
      }
      child.start_at = absl::Now() + child.pause;
      LogWarning(absl::StrCat(options_.daemons[i].name, " ", HowItEnded(status), "; starting it again in ",
                              absl::FormatDuration(child.pause)));
      child.pause = std::min(2 * child.pause, options_.longest_pause);
    }
    Changed();
  }

  void StopOne(size_t i) {
    if (children_[i].pid == 0) {
      return;
    }
    kill(children_[i].pid, SIGTERM);
    const absl::Time deadline = absl::Now() + options_.daemons[i].grace;
    while (children_[i].pid != 0 && !impatient_ && absl::Now() < deadline) {
      WaitForSignal(deadline);
    }
    if (children_[i].pid != 0) {
      LogWarning(absl::StrCat(options_.daemons[i].name, " does not stop: killed"));
      kill(children_[i].pid, SIGKILL);
    }
    while (children_[i].pid != 0) {
      WaitForSignal(absl::InfiniteFuture());
    }
  }

  // Whatever the daemons have left behind has this process as its parent by now.
  void KillStrays() {
    const std::string path = absl::StrCat("/proc/self/task/", getpid(), "/children");
    int status = 0;
    for (int round = 0; round < 100; ++round) {
      FILE* const file = fopen(path.c_str(), "re");
      if (file == nullptr) {
        break;
      }
      int stray = 0;
      while (fscanf(file, "%d", &stray) == 1) {
        LogWarning(absl::StrCat("killing process ", stray, ", which was left behind"));
        kill(stray, SIGKILL);
      }
      fclose(file);
      if (waitpid(-1, &status, 0) < 0) {
        break;
      }
    }
  }

  void Changed() {
    if (options_.on_change) {
      std::vector<pid_t> pids;
      for (const Child& child : children_) {
        pids.push_back(child.pid);
      }
      options_.on_change(pids);
    }
  }

  const SupervisorOptions& options_;
  std::vector<Child> children_;
  int signals_ = -1;
  bool stopping_ = false;
  bool impatient_ = false;
};

}  // namespace

absl::Status Supervise(const SupervisorOptions& options) { return Supervisor(options).Run(); }

}  // namespace cherry::client
