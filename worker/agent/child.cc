#include "worker/agent/child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace cherry::worker {
namespace {

constexpr int kSocketInChild = 3;
constexpr int kFirstOther = 4;
// Out of the way of 0 to 3, onto which the child duplicates its own.
constexpr int kSafeDescriptor = 10;
// A rank is a better victim for the kernel's out-of-memory killer than the worker that supervises it.
constexpr char kOomScore[] = "500";

// Descriptors that are closed on every way out, unless released.
class Descriptors {
 public:
  ~Descriptors() {
    for (const int fd : all_) {
      if (fd >= 0) {
        close(fd);
      }
    }
  }
  enum Slot { kOurSocket, kTheirSocket, kRead, kWrite, kNull, kFailureRead, kFailureWrite, kCount };
  int& operator[](Slot slot) { return all_[slot]; }
  int Release(Slot slot) { return std::exchange(all_[slot], -1); }
  void Close(Slot slot) {
    if (all_[slot] >= 0) {
      close(std::exchange(all_[slot], -1));
    }
  }
  // Moves them all above those that the child uses.
  absl::Status MoveUp() {
    for (int& fd : all_) {
      const int moved = fcntl(fd, F_DUPFD_CLOEXEC, kSafeDescriptor);
      if (moved < 0) {
        return ErrnoError(errno, "fcntl(F_DUPFD_CLOEXEC)");
      }
      close(fd);
      fd = moved;
    }
    return absl::OkStatus();
  }

 private:
  std::array<int, kCount> all_ = {-1, -1, -1, -1, -1, -1, -1};
};

absl::Status OpenAll(Descriptors* fds) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return ErrnoError(errno, "socketpair");
  }
  (*fds)[Descriptors::kOurSocket] = pair[0];
  (*fds)[Descriptors::kTheirSocket] = pair[1];
  if (pipe2(pair, O_CLOEXEC) != 0) {
    return ErrnoError(errno, "pipe");
  }
  (*fds)[Descriptors::kRead] = pair[0];
  (*fds)[Descriptors::kWrite] = pair[1];
  if (pipe2(pair, O_CLOEXEC) != 0) {
    return ErrnoError(errno, "pipe");
  }
  (*fds)[Descriptors::kFailureRead] = pair[0];
  (*fds)[Descriptors::kFailureWrite] = pair[1];
  (*fds)[Descriptors::kNull] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if ((*fds)[Descriptors::kNull] < 0) {
    return ErrnoError(errno, "/dev/null");
  }
  RETURN_IF_ERROR(fds->MoveUp());
  for (const auto slot : {Descriptors::kOurSocket, Descriptors::kRead}) {
    if (fcntl((*fds)[slot], F_SETFL, O_NONBLOCK) != 0) {
      return ErrnoError(errno, "fcntl(O_NONBLOCK)");
    }
  }
  return absl::OkStatus();
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& one : strings) {
    pointers.push_back(const_cast<char*>(one.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

// In the child, between fork and exec: nothing but system calls, as other threads may hold any lock.
[[noreturn]] void BecomeChild(Descriptors& fds, pid_t parent, const char* program, char* const* argv,
                              char* const* envp) {
  const int failure = fds[Descriptors::kFailureWrite];
  bool ready = setsid() >= 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
  ready = ready && dup2(fds[Descriptors::kNull], STDIN_FILENO) >= 0 &&
          dup2(fds[Descriptors::kWrite], STDOUT_FILENO) >= 0 &&
          dup2(fds[Descriptors::kWrite], STDERR_FILENO) >= 0 &&
          dup2(fds[Descriptors::kTheirSocket], kSocketInChild) >= 0 &&
          syscall(SYS_close_range, kFirstOther, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
  if (ready) {
    const int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) {
      (void)!write(score, kOomScore, sizeof(kOomScore) - 1);
      close(score);
    }
    struct sigaction standard = {};
    standard.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) {
      sigaction(signal, &standard, nullptr);  // Refused for the two that cannot be caught.
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execve(program, argv, envp);
  }
  const int error = errno;
  (void)!write(failure, &error, sizeof(error));
  _exit(127);
}

// Waits until the child has become the program; the error that kept it from that, else 0.
int ExecError(int fd) {
  int error = 0;
  ssize_t n = 0;
  do {
    n = read(fd, &error, sizeof(error));
  } while (n < 0 && errno == EINTR);
  return n == sizeof(error) ? error : 0;
}

}  // namespace

absl::StatusOr<Child> StartChild(const ChildSpec& spec) {
  Descriptors fds;
  RETURN_IF_ERROR(OpenAll(&fds));
  std::vector<std::string> words = {spec.program};
  words.insert(words.end(), spec.arguments.begin(), spec.arguments.end());
  const std::vector<char*> argv = Pointers(words);
  const std::vector<char*> envp = Pointers(spec.environment);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    return ErrnoError(errno, "fork");
  }
  if (pid == 0) {
    BecomeChild(fds, parent, spec.program.c_str(), argv.data(), envp.data());
  }
  fds.Close(Descriptors::kFailureWrite);
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  const int pidfd_error = errno;
  const int error = ExecError(fds[Descriptors::kFailureRead]);
  if (error != 0 || pidfd < 0) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    if (pidfd >= 0) {
      close(pidfd);
    }
    return error != 0 ? ErrnoError(error, spec.program) : ErrnoError(pidfd_error, "pidfd_open");
  }
  return Child{pid, pidfd, fds.Release(Descriptors::kOurSocket), fds.Release(Descriptors::kRead)};
}

}  // namespace cherry::worker
