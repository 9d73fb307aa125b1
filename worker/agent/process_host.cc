#include "worker/agent/process_host.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/frame.h"
#include "common/log.h"
#include "common/status.h"
#include "worker/agent/child.h"
#include "worker/agent/environment.h"
#include "worker/agent/proc.h"

namespace cherry::worker {
namespace {

// Read at one go from one rank, so that a talkative one does not keep the others waiting.
constexpr size_t kReadBytes = 256 << 10;

void CloseIfOpen(int* fd) {
  if (*fd >= 0) {
    close(std::exchange(*fd, -1));
  }
}

}  // namespace

struct ProcessHost::Process {
  RankKey key;
  Child child;
  std::string mark;
  std::shared_ptr<RankLog> log;
  FrameParser parser;
  std::string out;  // Not yet taken by the socket.
  bool killed = false;
  bool leader_reaped = false;
  RankExit exit;
  std::vector<int> remaining;  // pidfds of processes of the rank that were alive at the last look.

  ~Process() {
    CloseIfOpen(&child.pidfd);
    CloseIfOpen(&child.socket);
    CloseIfOpen(&child.output);
    CloseRemaining();
  }
  void CloseRemaining() {
    for (int& fd : remaining) {
      CloseIfOpen(&fd);
    }
    remaining.clear();
  }
};

absl::StatusOr<std::unique_ptr<ProcessHost>> ProcessHost::Create(ProcessHostConfig config, LogStore* logs,
                                                                 RankRecords* records, RankEvents* events) {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    return ErrnoError(errno, "prctl(PR_SET_CHILD_SUBREAPER)");
  }
  const int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0) {
    return ErrnoError(errno, "eventfd");
  }
  std::unique_ptr<ProcessHost> host(new ProcessHost(std::move(config), logs, records, events, wake_fd));
  host->thread_ = std::thread([raw = host.get()] { raw->Loop(); });
  return host;
}

ProcessHost::ProcessHost(ProcessHostConfig config, LogStore* logs, RankRecords* records, RankEvents* events,
                         int wake_fd)
    : config_(std::move(config)), logs_(logs), records_(records), events_(events), wake_fd_(wake_fd) {}

ProcessHost::~ProcessHost() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
  close(wake_fd_);
}

void ProcessHost::Wake() {
  const uint64_t one = 1;
  (void)!write(wake_fd_, &one, sizeof(one));  // Full means that it is awake already.
}

void ProcessHost::Post(std::function<void()> command) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    commands_.push_back(std::move(command));
  }
  Wake();
}

void ProcessHost::Start(const RankKey& key, const v1::StartRank& start) {
  Post([this, key, start] { DoStart(key, start); });
}

void ProcessHost::Send(const RankKey& key, const v1::ToTrainer& message) {
  Post([this, key, message] { DoSend(key, message); });
}

void ProcessHost::Kill(const RankKey& key) {
  Post([this, key] { DoKill(key); });
}

bool ProcessHost::RunCommands() {
  std::vector<std::function<void()>> commands;
  bool stopping = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    commands.swap(commands_);
    stopping = stopping_;
  }
  for (const auto& command : commands) {
    command();
  }
  return !stopping;
}

void ProcessHost::Loop() {
  while (true) {
    if (!RunCommands()) {
      if (processes_.empty()) {
        return;
      }
      for (const auto& [key, process] : processes_) {
        DoKill(key);
      }
    }
    for (auto next = processes_.begin(); next != processes_.end();) {
      Process* const process = next->second.get();
      ++next;  // Step may erase this one.
      Step(process);
    }
    WaitForSomething();
  }
}

void ProcessHost::WaitForSomething() {
  std::vector<pollfd> fds = {{wake_fd_, POLLIN, 0}};
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_ && processes_.empty()) {
      return;
    }
  }
  for (const auto& [key, process] : processes_) {
    // A negative descriptor is ignored by poll.
    fds.push_back({process->leader_reaped ? -1 : process->child.pidfd, POLLIN, 0});
    const bool writes = !process->out.empty();
    fds.push_back({process->child.socket, static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN), 0});
    fds.push_back({process->child.output, POLLIN, 0});
    for (const int fd : process->remaining) {
      fds.push_back({fd, POLLIN, 0});
    }
  }
  if (poll(fds.data(), fds.size(), -1) > 0 && fds[0].revents != 0) {
    uint64_t count = 0;
    (void)!read(wake_fd_, &count, sizeof(count));
  }
}

void ProcessHost::DoStart(const RankKey& key, const v1::StartRank& start) {
  if (processes_.empty()) {
    oom_.Forget();
  }
  const std::string mark = absl::StrCat(config_.incarnation, "/", key.ToString());
  absl::StatusOr<std::shared_ptr<RankLog>> log = logs_->Open(key);
  absl::StatusOr<Child> child = log.ok() ? StartChild({config_.trainer, config_.arguments,
                                                       RankEnvironment(config_.environment, start, mark)})
                                         : absl::StatusOr<Child>(log.status());
  if (!child.ok()) {
    RankExit failed;
    failed.start_error = Describe(child.status());
    LogError(absl::StrCat(key.ToString(), " could not be started: ", failed.start_error));
    if (log.ok()) {
      (*log)->Close();
      failed.log_bytes = (*log)->size();
      logs_->Touched(key);
    }
    events_->OnExited(key, std::move(failed));
    return;
  }
  auto process = std::make_unique<Process>();
  process->key = key;
  process->child = *child;
  process->mark = mark;
  process->log = *std::move(log);
  processes_[key] = std::move(process);
  const absl::Status recorded = records_->Add(child->pid, mark);
  if (!recorded.ok()) {
    LogWarning(absl::StrCat("no record of process ", child->pid, ": ", Describe(recorded)));
  }
  LogInfo(absl::StrCat(key.ToString(), " started as process ", child->pid));
  events_->OnSpawned(key, child->pid);
  v1::ToTrainer first;
  *first.mutable_start() = start;
  DoSend(key, first);
}

void ProcessHost::DoSend(const RankKey& key, const v1::ToTrainer& message) {
  const auto found = processes_.find(key);
  if (found == processes_.end() || found->second->child.socket < 0) {
    return;
  }
  absl::StatusOr<std::string> frame = EncodeFrame(message);
  if (!frame.ok()) {
    events_->OnProtocolError(key, Describe(frame.status()));
    return;
  }
  found->second->out += *frame;
  FlushMessages(found->second.get());
}

void ProcessHost::FlushMessages(Process* process) {
  std::string& out = process->out;
  while (!out.empty() && process->child.socket >= 0) {
    const ssize_t n = send(process->child.socket, out.data(), out.size(), MSG_NOSIGNAL);
    if (n > 0) {
      out.erase(0, static_cast<size_t>(n));
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && errno == EAGAIN) {
      return;
    } else {
      out.clear();  // It is going; its end will tell why.
      return;
    }
  }
}

void ProcessHost::DoKill(const RankKey& key) {
  const auto found = processes_.find(key);
  if (found == processes_.end() || found->second->killed) {
    return;
  }
  found->second->killed = true;
  if (!found->second->leader_reaped) {
    // Not reaped, so its number still means its group. What has left the group is found by its mark.
    kill(-found->second->child.pid, SIGKILL);
  }
}

void ProcessHost::Step(Process* process) {
  FlushMessages(process);
  ReadOutput(process);
  ReadMessages(process);
  if (!process->leader_reaped) {
    ReapLeader(process);
  }
  if (process->leader_reaped && SweepGroup(process)) {
    Finish(process);
  }
}

void ProcessHost::ReadMessages(Process* process) {
  char buffer[1 << 16];
  for (size_t total = 0; total < kReadBytes && process->child.socket >= 0;) {
    const ssize_t n = recv(process->child.socket, buffer, sizeof(buffer), 0);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0 && errno == EAGAIN) {
      return;
    }
    if (n <= 0) {
      CloseIfOpen(&process->child.socket);
      return;
    }
    total += static_cast<size_t>(n);
    process->parser.Append(absl::string_view(buffer, static_cast<size_t>(n)));
    while (true) {
      v1::FromTrainer message;
      const absl::StatusOr<bool> got = process->parser.Next(&message);
      if (!got.ok()) {
        CloseIfOpen(&process->child.socket);
        events_->OnProtocolError(process->key, Describe(got.status()));
        return;
      }
      if (!*got) {
        break;
      }
      events_->OnMessage(process->key, std::move(message));
    }
  }
}

void ProcessHost::ReadOutput(Process* process) {
  char buffer[1 << 16];
  bool any = false;
  for (size_t total = 0; total < kReadBytes && process->child.output >= 0;) {
    const ssize_t n = read(process->child.output, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0 && errno == EAGAIN) {
      break;
    }
    if (n <= 0) {
      CloseIfOpen(&process->child.output);
      break;
    }
    total += static_cast<size_t>(n);
    process->log->Append(absl::string_view(buffer, static_cast<size_t>(n)));
    any = true;
  }
  if (any) {
    logs_->Touched(process->key);
  }
}

void ProcessHost::ReapLeader(Process* process) {
  siginfo_t info = {};
  const auto pidfd = static_cast<id_t>(process->child.pidfd);
  if (waitid(P_PIDFD, pidfd, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) {
    return;
  }
  // While it is a zombie, its number cannot be another group's.
  kill(-process->child.pid, SIGKILL);
  waitid(P_PIDFD, pidfd, &info, WEXITED);
  process->leader_reaped = true;
  process->exit.signalled = info.si_code != CLD_EXITED;
  (process->exit.signalled ? process->exit.signal : process->exit.code) = info.si_status;
}

bool ProcessHost::SweepGroup(Process* process) {
  process->CloseRemaining();
  const std::string mark = absl::StrCat(kRankVariable, "=", process->mark);
  for (const ProcessStat& stat : AllProcesses()) {
    if (stat.state == 'Z') {
      if (stat.parent == getpid() && stat.group == process->child.pid) {
        waitid(P_PID, static_cast<id_t>(stat.pid), nullptr, WEXITED | WNOHANG);
      }
      continue;
    }
    if (stat.group != process->child.pid && !HasEnvironment(stat.pid, mark)) {
      continue;
    }
    const int fd = static_cast<int>(syscall(SYS_pidfd_open, stat.pid, 0));
    if (fd < 0) {
      continue;
    }
    syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0);
    process->remaining.push_back(fd);
  }
  return process->remaining.empty();
}

void ProcessHost::Finish(Process* process) {
  // Nobody writes any more. What a pipe and a socket can hold is less than what is read at one go.
  ReadOutput(process);
  ReadMessages(process);
  RankExit exit = process->exit;
  exit.last_error = process->log->LastError();
  // Only a kill that was not ours can be the kernel's.
  if (exit.signalled && exit.signal == SIGKILL && !process->killed) {
    exit.oom_evidence = oom_.Take();
  }
  const RankKey key = process->key;
  process->log->Close();
  exit.log_bytes = process->log->size();
  logs_->Touched(key);
  records_->Remove(process->child.pid);
  LogInfo(absl::StrCat(key.ToString(), " ended: ", exit.signalled ? "signal " : "exit code ",
                       exit.signalled ? exit.signal : exit.code));
  processes_.erase(key);
  events_->OnExited(key, std::move(exit));
}

}  // namespace cherry::worker
