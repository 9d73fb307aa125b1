#include "client/data/generate.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/frame.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";  // U+FFFD
// Tokens of the context that are decoded along with new ones.
constexpr size_t kContextTokens = 8;
constexpr size_t kLogTail = 2000;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void Close() {
    if (fd_ >= 0) {
      close(fd_);
      fd_ = -1;
    }
  }

 private:
  int fd_;
};

// A running `cherry-trainer generate`; killed and reaped at the latest when this goes.
class Child {
 public:
  static absl::StatusOr<std::unique_ptr<Child>> Start(const std::string& program, int channel, int log) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, channel, 0);
    posix_spawn_file_actions_adddup2(&actions, channel, 1);
    posix_spawn_file_actions_adddup2(&actions, log, 2);
    std::string name = program;
    std::string command = "generate";
    char* arguments[] = {name.data(), command.data(), nullptr};
    pid_t pid = -1;
    const int error = posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
      return Error(absl::StatusCode::kInternal, "TRAINER_NOT_STARTED", "",
                   absl::StrCat("cannot start ", program, ": ", ErrnoError(error, "").message()),
                   "build or install cherry-trainer beside cherry");
    }
    return std::unique_ptr<Child>(new Child(pid));
  }
  ~Child() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      Wait();
    }
  }

  // Waits for its end; "exit code 3", "signal 9".
  std::string Wait() {
    int state = 0;
    while (waitpid(pid_, &state, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFSIGNALED(state) ? absl::StrCat("signal ", WTERMSIG(state))
                              : absl::StrCat("exit code ", WEXITSTATUS(state));
  }

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

// What the program wrote last.
std::string LogTail(int log) {
  std::string text(kLogTail, '\0');
  const off_t size = lseek(log, 0, SEEK_END);
  const off_t from = size > static_cast<off_t>(kLogTail) ? size - static_cast<off_t>(kLogTail) : 0;
  const ssize_t got = pread(log, text.data(), text.size(), from);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return std::string(absl::StripAsciiWhitespace(text));
}

// The last line of it says what went wrong.
absl::Status Died(Child* child, int log) {
  const std::string how = child->Wait();
  const std::string tail = LogTail(log);
  const size_t newline = tail.rfind('\n');
  const std::string last = newline == std::string::npos ? tail : tail.substr(newline + 1);
  return absl::InternalError(
      absl::StrCat("cherry-trainer ended without an answer (", how, ")", last.empty() ? "" : ": ", last));
}

}  // namespace

TextStream::TextStream(Decode decode, std::vector<int32_t> context)
    : decode_(std::move(decode)), tokens_(std::move(context)), shown_to_(tokens_.size()) {
  shown_from_ = shown_to_ > kContextTokens ? shown_to_ - kContextTokens : 0;
}

absl::StatusOr<std::string> TextStream::Next(bool last) {
  const absl::Span<const int32_t> all(tokens_);
  ASSIGN_OR_RETURN(const std::string before, decode_(all.subspan(shown_from_, shown_to_ - shown_from_)));
  ASSIGN_OR_RETURN(const std::string now, decode_(all.subspan(shown_from_)));
  if (now.size() <= before.size() || (!last && absl::EndsWith(now, kReplacement))) {
    return std::string();
  }
  std::string fresh = now.substr(before.size());
  if (!absl::StartsWith(now, before)) {
    // Bytes that are no character make a decoder replace its whole run of bytes, also those shown already.
    ASSIGN_OR_RETURN(fresh, decode_(all.subspan(shown_to_)));
  }
  shown_from_ = shown_to_;
  shown_to_ = tokens_.size();
  return fresh;
}

absl::StatusOr<std::string> TextStream::Add(int32_t token) {
  tokens_.push_back(token);
  return Next(false);
}

absl::StatusOr<std::string> TextStream::Finish() { return Next(true); }

absl::StatusOr<GenerateResult> RunGenerate(const std::string& trainer, const v1::GenerateRequest& request,
                                           const std::function<absl::Status(int32_t)>& token) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return ErrnoError(errno, "socketpair");
  }
  const Descriptor ours(pair[0]);
  Descriptor theirs(pair[1]);
  // In memory: a container may have no writable /tmp.
  const Descriptor log(memfd_create("cherry-trainer-log", MFD_CLOEXEC));
  if (log.get() < 0) {
    return ErrnoError(errno, "memfd_create for the trainer's log");
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Child> child, Child::Start(trainer, theirs.get(), log.get()));
  theirs.Close();
  if (!WriteFrame(ours.get(), request).ok()) {
    return Died(child.get(), log.get());
  }
  GenerateResult result;
  while (true) {
    v1::GenerateReply reply;
    const absl::Status status = ReadFrame(ours.get(), &reply);
    if (!status.ok()) {
      return absl::IsOutOfRange(status) ? Died(child.get(), log.get()) : status;
    }
    if (!reply.has_done()) {
      ++result.tokens;
      RETURN_IF_ERROR(token(reply.token()));
      continue;
    }
    if (reply.done().reason() == v1::GenerateDone::FAILED) {
      return absl::FailedPreconditionError(reply.done().error());
    }
    result.reason = reply.done().reason();
    result.seconds = reply.done().seconds();
    result.drafted.assign(reply.done().drafted().begin(), reply.done().drafted().end());
    result.accepted.assign(reply.done().accepted().begin(), reply.done().accepted().end());
    child->Wait();
    return result;
  }
}

}  // namespace cherry::client
