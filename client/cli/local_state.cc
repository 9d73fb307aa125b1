#include "client/cli/local_state.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "common/file.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr char kLockFile[] = "/local.lock";
constexpr char kStateFile[] = "/local.state";
constexpr int kPorts = 3;

}  // namespace

std::string LocalState::Address(int offset) const { return absl::StrCat("127.0.0.1:", port + offset); }

absl::Status LockHome(const std::string& home) {
  // Never closed: the lock goes with the process, and not to its children.
  const int lock = open((home + kLockFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) {
    return ErrnoError(errno, home + kLockFile);
  }
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  if (fcntl(lock, F_OFD_SETLK, &whole) != 0) {
    close(lock);
    return absl::AlreadyExistsError(absl::StrCat("a supervisor runs already with home ", home));
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(lock, 0) != 0 ||
      pwrite(lock, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return ErrnoError(errno, home + kLockFile);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<pid_t>> RunningSupervisor(const std::string& home) {
  const int lock = open((home + kLockFile).c_str(), O_RDONLY | O_CLOEXEC);
  if (lock < 0) {
    if (errno == ENOENT) {
      return std::nullopt;
    }
    return ErrnoError(errno, home + kLockFile);
  }
  // Only asks: to take the lock, if only for a moment, could keep a supervisor from starting.
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  const bool asked = fcntl(lock, F_OFD_GETLK, &whole) == 0;
  close(lock);
  if (asked && whole.l_type == F_UNLCK) {
    return std::nullopt;
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(home + kLockFile, 64));
  int pid = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &pid) || pid <= 0) {
    return absl::UnavailableError(absl::StrCat(home, kLockFile, ": the supervisor is only just starting"));
  }
  return pid;
}

absl::Status WriteLocalState(const std::string& home, const LocalState& state) {
  const nlohmann::json json = {{"port", state.port},
                               {"slots", state.slots},
                               {"supervisor", getpid()},
                               {"coordinator", state.coordinator},
                               {"worker", state.worker}};
  RETURN_IF_ERROR(WriteFileAtomically(home + kLocalAddressFile, state.Address() + "\n", 0600));
  return WriteFileAtomically(home + kStateFile, json.dump(2) + "\n", 0600);
}

absl::StatusOr<LocalState> ReadLocalState(const std::string& home) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(home + kStateFile, 4096));
  const auto json = nlohmann::json::parse(text, nullptr, false);
  LocalState state;
  const auto number = [&json](const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_number_integer() ? json[key].get<int>() : 0;
  };
  state.port = number("port");
  state.slots = number("slots");
  state.coordinator = number("coordinator");
  state.worker = number("worker");
  if (state.port <= 0) {
    return absl::DataLossError(absl::StrCat(home, kStateFile, ": is not what `cherry local` writes"));
  }
  return state;
}

void RemoveLocalState(const std::string& home) {
  unlink((home + kLocalAddressFile).c_str());
  unlink((home + kStateFile).c_str());
}

absl::Status CheckPortsFree(const LocalState& state) {
  if (state.port < 1 || state.port + kPorts - 1 > 65535) {
    return InvalidField("OUT_OF_RANGE", "--port", absl::StrCat("--port: ", state.port, " is not in 1..65533"),
                        "three ports in a row are used");
  }
  for (int offset = 0; offset < kPorts; ++offset) {
    const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) {
      return ErrnoError(errno, "socket");
    }
    const int on = 1;
    setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(state.port + offset));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int bound = bind(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    const int error = errno;
    close(probe);
    if (bound != 0) {
      return InvalidField(error == EADDRINUSE ? "PORT_TAKEN" : "PORT_UNUSABLE", "--port",
                          absl::StrCat("--port: port ", state.port + offset,
                                       error == EADDRINUSE ? " is taken" : " cannot be used"),
                          absl::StrCat("stop what listens there, or choose another, e.g. --port ",
                                       state.port < 60000 ? state.port + 100 : 7070));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int> StartInBackground(const std::vector<std::string>& argv, const std::string& log) {
  int alive[2];
  if (pipe2(alive, O_CLOEXEC) != 0) {
    return ErrnoError(errno, "pipe");
  }
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (out < 0 || null < 0) {
    close(alive[0]);
    close(alive[1]);
    return ErrnoError(errno, log);
  }
  std::vector<char*> arguments;
  arguments.reserve(argv.size() + 1);
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    // Forked twice, so that the process is no session leader and belongs to init.
    setsid();
    if (fork() != 0) {
      _exit(0);
    }
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    // Stays open as long as the process lives: its end is what the caller sees.
    dup2(alive[1], 3);
    fcntl(3, F_SETFD, 0);
    syscall(SYS_close_range, 4, ~0U, 0);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(alive[1]);
  close(out);
  close(null);
  if (child < 0) {
    close(alive[0]);
    return ErrnoError(errno, "fork");
  }
  int status = 0;
  waitpid(child, &status, 0);
  return alive[0];
}

absl::Status StopProcess(pid_t pid, absl::Duration timeout) {
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (process < 0) {
    return errno == ESRCH ? absl::OkStatus() : ErrnoError(errno, "pidfd_open");
  }
  if (syscall(SYS_pidfd_send_signal, process, SIGTERM, nullptr, 0) != 0 && errno != ESRCH) {
    const int error = errno;
    close(process);
    return ErrnoError(error, absl::StrCat("cannot stop process ", pid));
  }
  pollfd waited{process, POLLIN, 0};
  const int ended = poll(&waited, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout)));
  close(process);
  if (ended == 1) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kDeadlineExceeded, "STOP_TIMED_OUT", "--timeout",
               absl::StrCat("process ", pid, " still runs after ", absl::FormatDuration(timeout)),
               "its jobs may be saving checkpoints: try again, or give a longer --timeout");
}

}  // namespace cherry::client
