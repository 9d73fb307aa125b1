#include "tests/unit/worker/trainer/driver.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/file.h"
#include "common/status.h"

namespace cherry::trainer {
namespace {

std::string Program() {
  const char* bin = std::getenv("CHERRY_BIN");
  return absl::StrCat(bin == nullptr ? "bin" : bin, "/cherry-trainer");
}

}  // namespace

double AttemptResult::Metric(const std::string& name, int64_t step) const {
  for (const v1::StepReport& report : steps) {
    for (const v1::MetricSample& sample : report.samples()) {
      if (sample.step() == step && sample.name() == name) {
        return sample.value();
      }
    }
  }
  ADD_FAILURE() << "no sample " << name << " at step " << step;
  return 0.0;
}

const v1::AttemptNote* AttemptResult::FindNote(const std::string& type) const {
  for (const v1::AttemptNote& note : notes) {
    if (note.type() == type) {
      return &note;
    }
  }
  return nullptr;
}

Driver::Driver(const Workspace& workspace, const v1::StartAttempt& attempt, Options options)
    : workspace_(workspace),
      attempt_(attempt),
      options_(std::move(options)),
      ranks_(static_cast<size_t>(attempt.world_size())) {}

Driver::~Driver() {
  for (size_t i = 0; i < ranks_.size(); ++i) {
    if (ranks_[i].pid > 0) {
      kill(ranks_[i].pid, SIGKILL);
      Reap(static_cast<int>(i));
    }
  }
}

std::string Driver::LogPath(int rank) const {
  return absl::StrCat(workspace_.path(), "/log-", attempt_.attempt().epoch(), "-", rank);
}

void Driver::Exec(int rank, int fd) {
  const int log = open(LogPath(rank).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  dup2(fd, 3);
  for (const auto& [name, value] : options_.environment) {
    setenv(name.c_str(), value.c_str(), 1);
  }
  if (options_.largest_file > 0) {
    const rlimit limit = {static_cast<rlim_t>(options_.largest_file),
                          static_cast<rlim_t>(options_.largest_file)};
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_IGN);
  }
  const std::string program = Program();
  execl(program.c_str(), program.c_str(), static_cast<char*>(nullptr));
  _exit(127);
}

void Driver::Start(int rank) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    Exec(rank, ends[1]);
  }
  close(ends[1]);
  ranks_[static_cast<size_t>(rank)].pid = pid;
  ranks_[static_cast<size_t>(rank)].fd = ends[0];
  v1::ToTrainer message;
  v1::StartRank* start = message.mutable_start();
  *start->mutable_attempt() = attempt_;
  start->set_rank(rank);
  start->set_data_root(workspace_.data_root());
  start->set_checkpoint_root(workspace_.checkpoint_root());
  start->set_threads(options_.threads_of_rank.empty() ? options_.threads
                                                      : options_.threads_of_rank[static_cast<size_t>(rank)]);
  *start->mutable_slot() = options_.slot;
  start->set_collective_address("127.0.0.1");
  start->set_code_version("test");
  Send(rank, message);
}

void Driver::Send(int rank, const v1::ToTrainer& message) {
  const int fd = ranks_[static_cast<size_t>(rank)].fd;
  if (fd >= 0) {
    // A rank that has just ended is noticed where its stream is read.
    Drop(WriteFrame(fd, message));
  }
}

void Driver::Stop(bool checkpoint) {
  v1::ToTrainer message;
  message.mutable_stop()->set_checkpoint(checkpoint);
  for (size_t i = 0; i < ranks_.size(); ++i) {
    Send(static_cast<int>(i), message);
  }
}

void Driver::Kill(int rank, int signal) { kill(ranks_[static_cast<size_t>(rank)].pid, signal); }

void Driver::HangUp(int rank) { shutdown(ranks_[static_cast<size_t>(rank)].fd, SHUT_WR); }

void Driver::Commit(int64_t step) {
  v1::ToTrainer message;
  *message.mutable_committed()->mutable_attempt() = attempt_.attempt();
  message.mutable_committed()->set_step(step);
  Send(0, message);
}

void Driver::AnswerGets() {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const auto found = store_.find(it->second);
    if (found == store_.end()) {
      ++it;
      continue;
    }
    v1::ToTrainer message;
    message.mutable_rendezvous()->set_key(found->first);
    message.mutable_rendezvous()->set_value(found->second);
    Send(it->first, message);
    it = waiting_.erase(it);
  }
}

void Driver::Handle(int rank, const v1::FromTrainer& message) {
  switch (message.body_case()) {
    case v1::FromTrainer::kStep:
      if (rank == 0) {
        result_.steps.push_back(message.step());
      }
      break;
    case v1::FromTrainer::kNote:
      result_.notes.push_back(message.note());
      break;
    case v1::FromTrainer::kRendezvousPut:
      store_[message.rendezvous_put().key()] = message.rendezvous_put().value();
      AnswerGets();
      break;
    case v1::FromTrainer::kRendezvousGet:
      waiting_.emplace_back(rank, message.rendezvous_get().key());
      AnswerGets();
      break;
    case v1::FromTrainer::kCheckpoint:
      if (options_.commit) {
        result_.checkpoints.insert(result_.checkpoints.begin(), message.checkpoint().checkpoint());
        Commit(message.checkpoint().checkpoint().step());
      }
      break;
    case v1::FromTrainer::kFinished:
      ranks_[static_cast<size_t>(rank)].result.finished = message.finished();
      break;
    default:
      break;
  }
  if (options_.on_message) {
    options_.on_message(this, rank, message);
  }
}

void Driver::Reap(int rank) {
  Rank& entry = ranks_[static_cast<size_t>(rank)];
  int status = 0;
  waitpid(entry.pid, &status, 0);
  close(entry.fd);
  entry.pid = -1;
  entry.fd = -1;
  if (WIFEXITED(status)) {
    entry.result.exit_code = WEXITSTATUS(status);
  } else {
    entry.result.signal = WTERMSIG(status);
  }
  entry.result.log = ReadFile(LogPath(rank)).value_or("");
}

void Driver::Receive(int rank) {
  Rank& entry = ranks_[static_cast<size_t>(rank)];
  char buffer[1 << 16];
  const ssize_t got = read(entry.fd, buffer, sizeof(buffer));
  if (got <= 0) {
    Reap(rank);
    return;
  }
  entry.parser.Append(absl::string_view(buffer, static_cast<size_t>(got)));
  v1::FromTrainer message;
  while (true) {
    const absl::StatusOr<bool> next = entry.parser.Next(&message);
    ASSERT_TRUE(next.ok()) << next.status();
    if (!*next) {
      return;
    }
    Handle(rank, message);
  }
}

AttemptResult Driver::Run() {
  for (size_t i = 0; i < ranks_.size(); ++i) {
    Start(static_cast<int>(i));
  }
  const absl::Time deadline = absl::Now() + options_.deadline;
  while (true) {
    std::vector<pollfd> pollers;
    std::vector<int> indices;
    for (size_t i = 0; i < ranks_.size(); ++i) {
      if (ranks_[i].fd >= 0) {
        pollers.push_back({ranks_[i].fd, POLLIN, 0});
        indices.push_back(static_cast<int>(i));
      }
    }
    if (pollers.empty()) {
      break;
    }
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0 || poll(pollers.data(), pollers.size(), static_cast<int>(left)) == 0) {
      result_.timed_out = true;
      for (const int rank : indices) {
        kill(ranks_[static_cast<size_t>(rank)].pid, SIGKILL);
        Reap(rank);
      }
      break;
    }
    for (size_t i = 0; i < pollers.size(); ++i) {
      if (pollers[i].revents != 0 && ranks_[static_cast<size_t>(indices[i])].fd >= 0) {
        Receive(indices[i]);
      }
    }
  }
  for (Rank& rank : ranks_) {
    result_.ranks.push_back(rank.result);
  }
  return result_;
}

AttemptResult RunAttempt(const Workspace& workspace, const v1::StartAttempt& attempt,
                         Driver::Options options) {
  return Driver(workspace, attempt, std::move(options)).Run();
}

}  // namespace cherry::trainer
