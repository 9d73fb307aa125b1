// A trainer without a model, for tests: does what the job's name says, a comma-separated list of
//   steps:N   N step reports            print:TEXT  a line on standard output
//   exit:N    exit with code N          crash       SIGSEGV
//   hang      silence, deaf to stops    wait        until told to stop: then STOPPED, code 75
//   fork      a child that sleeps       escape      the same, in a session of its own
//   put:K     offers K=K for the gang   get:K       waits for it, then notes its value
//   save:N    reports checkpoint N and waits for its commit
//   note      notes environment and descriptors
//   garbage   what is not a frame       finish      SUCCEEDED, code 0
#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cherry/v1/trainer.pb.h"
#include "common/exit_codes.h"
#include "common/frame.h"

extern char** environ;

namespace cherry {
namespace {

constexpr int kWorker = 3;

void Send(const v1::FromTrainer& message) {
  if (!WriteFrame(kWorker, message).ok()) {
    _exit(kExitPeerLost);
  }
}

void Note(const std::string& type, const std::string& text) {
  v1::FromTrainer message;
  message.mutable_note()->set_type(type);
  message.mutable_note()->set_message(text);
  Send(message);
}

// Waits for a message that `wanted` accepts; end of file ends the process.
v1::ToTrainer Await(const std::function<bool(const v1::ToTrainer&)>& wanted) {
  while (true) {
    v1::ToTrainer message;
    if (!ReadFrame(kWorker, &message).ok()) {
      _exit(kExitPeerLost);
    }
    if (wanted(message)) {
      return message;
    }
  }
}

[[noreturn]] void Finish(v1::Cause cause, int code) {
  v1::FromTrainer message;
  message.mutable_finished()->set_cause(cause);
  Send(message);
  _exit(code);
}

void Steps(int64_t count) {
  for (int64_t step = 1; step <= count; ++step) {
    v1::FromTrainer message;
    message.mutable_step()->set_step(step);
    message.mutable_step()->set_step_seconds(0.01);
    message.mutable_step()->mutable_progress()->set_step(step);
    message.mutable_step()->mutable_progress()->set_loss(5.0);
    Send(message);
  }
}

void ForkSleeper(bool escape) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (escape) {
      setsid();
    }
    while (true) {
      pause();
    }
  }
  Note("grandchild", absl::StrCat(pid));
}

void NoteSurroundings() {
  std::string environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    absl::StrAppend(&environment, *entry, "\n");
  }
  Note("environment", environment);
  std::string descriptors;
  DIR* const directory = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(directory)) {
      absl::StrAppend(&descriptors, entry->d_name, " ");
    }
  }
  closedir(directory);
  Note("descriptors", descriptors);
}

void Rendezvous(const std::string& verb, const std::string& key) {
  v1::FromTrainer message;
  if (verb == "put") {
    message.mutable_rendezvous_put()->set_key(key);
    message.mutable_rendezvous_put()->set_value(key);
    Send(message);
    return;
  }
  message.mutable_rendezvous_get()->set_key(key);
  Send(message);
  const v1::ToTrainer answer = Await([](const v1::ToTrainer& m) { return m.has_rendezvous(); });
  Note("rendezvous", answer.rendezvous().value());
}

void Save(int64_t step) {
  v1::FromTrainer message;
  message.mutable_checkpoint()->mutable_checkpoint()->set_step(step);
  Send(message);
  Await([](const v1::ToTrainer& m) { return m.has_committed(); });
}

void Do(const std::string& verb, const std::string& argument) {
  int64_t number = 0;
  (void)absl::SimpleAtoi(argument, &number);
  if (verb == "steps") {
    Steps(number);
  } else if (verb == "print") {
    std::printf("%s\n", argument.c_str());
    std::fflush(stdout);
  } else if (verb == "exit") {
    _exit(static_cast<int>(number));
  } else if (verb == "crash") {
    raise(SIGSEGV);
  } else if (verb == "hang") {
    while (true) {
      pause();
    }
  } else if (verb == "wait") {
    Await([](const v1::ToTrainer& m) { return m.has_stop(); });
    Finish(v1::CAUSE_STOPPED, kExitResume);
  } else if (verb == "fork" || verb == "escape") {
    ForkSleeper(verb == "escape");
  } else if (verb == "put" || verb == "get") {
    Rendezvous(verb, argument);
  } else if (verb == "save") {
    Save(number);
  } else if (verb == "note") {
    NoteSurroundings();
  } else if (verb == "garbage") {
    const char junk[] = "\xff\xff\xff\xff not a frame";
    (void)!write(kWorker, junk, sizeof(junk));
  } else if (verb == "finish") {
    Finish(v1::CAUSE_SUCCEEDED, kExitDone);
  }
}

}  // namespace
}  // namespace cherry

int main() {
  const cherry::v1::ToTrainer start =
      cherry::Await([](const cherry::v1::ToTrainer& message) { return message.has_start(); });
  cherry::v1::FromTrainer ready;
  ready.mutable_ready();
  cherry::Send(ready);
  for (const std::string& task :
       std::vector<std::string>(absl::StrSplit(start.start().attempt().job_name(), ',', absl::SkipEmpty()))) {
    const std::vector<std::string> parts = absl::StrSplit(task, absl::MaxSplits(':', 1));
    cherry::Do(parts[0], parts.size() > 1 ? parts[1] : "");
  }
  return 0;
}
