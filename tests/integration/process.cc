#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "common/file.h"

extern char** environ;

namespace cherry::integration {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& one : strings) {
    pointers.push_back(const_cast<char*>(one.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

// The test's own, without what `changes` sets.
std::vector<std::string> Environment(const std::vector<std::string>& changes) {
  std::vector<std::string> all = changes;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('=') + 1);
    bool changed = false;
    for (const std::string& change : changes) {
      changed = changed || change.compare(0, name.size(), name) == 0;
    }
    if (!changed) {
      all.push_back(text);
    }
  }
  return all;
}

}  // namespace

void Process::Start(const std::vector<std::string>& command, const std::vector<std::string>& environment,
                    const std::string& log) {
  const std::vector<char*> argv = Pointers(command);
  const std::vector<std::string> all = Environment(environment);
  const std::vector<char*> envp = Pointers(all);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int null = open("/dev/null", O_RDONLY);
    if (getppid() != parent || dup2(null, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
      _exit(127);
    }
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  pidfd_ = pid_ < 0 ? -1 : static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (pidfd_ < 0) {
    std::perror(command[0].c_str());
    std::abort();
  }
}

bool Process::Wait(absl::Duration timeout, int* status) {
  *status = 0;
  if (!running()) {
    return true;
  }
  pollfd poller = {pidfd_, POLLIN, 0};
  if (poll(&poller, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) <= 0) {
    return false;
  }
  waitpid(pid_, status, 0);
  close(std::exchange(pidfd_, -1));
  pid_ = 0;
  return true;
}

void Process::Signal(int signal) {
  if (running()) {
    kill(pid_, signal);
  }
}

void Process::Kill() {
  int status = 0;
  Signal(SIGKILL);
  Wait(absl::Minutes(1), &status);
}

CommandResult RunCommand(const std::vector<std::string>& command, const std::vector<std::string>& environment,
                         absl::Duration timeout) {
  char path[] = "/tmp/cherry-command-XXXXXX";
  const int fd = mkstemp(path);
  close(fd);
  CommandResult result;
  Process process;
  process.Start(command, environment, path);
  int status = 0;
  if (process.Wait(timeout, &status)) {
    result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  result.output = ReadFile(path).value_or("");
  std::filesystem::remove(path);
  return result;
}

}  // namespace cherry::integration
