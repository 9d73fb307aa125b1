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
#include "common/hash.h"
#include "common/spec.h"
#include "common/status.h"
#include "common/token_file.h"
#include "common/token_labels.h"

namespace cherry::trainer {
namespace {

constexpr int kVocab = 64;
constexpr char kUid[] = "uid-1";

// As the preparation of data would: what could not be foreseen is a fact, and the second half of a document
// is what an assistant says.
void WriteLabels(const std::string& prefix, const std::string& labels, v1::Split* split) {
  ASSERT_TRUE(WriteFileAtomically(prefix + kLabelsSuffix, labels).ok());
  split->set_labels_hash(HashFile(prefix + kLabelsSuffix).value());
  for (const char label : labels) {
    split->set_fact_tokens(split->fact_tokens() +
                           (CategoryOf(static_cast<uint8_t>(label)) == Category::kFact));
    split->set_response_tokens(split->response_tokens() + ((label & kResponse) != 0));
  }
}

// Documents of a language with a strong habit: each token mostly decides the next.
void WriteSplit(const std::string& prefix, int documents, uint64_t seed, v1::Split* split) {
  auto writer = TokenFileWriter::Create(prefix, 2);
  ASSERT_TRUE(writer.ok()) << writer.status();
  uint64_t state = seed;
  int64_t tokens = 0;
  std::string labels;
  for (int d = 0; d < documents; ++d) {
    std::vector<int32_t> document;
    int32_t token = 3;
    for (int i = 0; i < 60; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      const bool surprise = (state >> 60) == 0;
      token = 3 + (surprise ? static_cast<int32_t>((state >> 40) % (kVocab - 3))
                            : (token * 5 + 1) % (kVocab - 3));
      document.push_back(token);
      labels.push_back(static_cast<char>((surprise ? 1 | kSpanStart : 0) | (i >= 30 ? kResponse : 0)));
    }
    document.push_back(2);
    labels.push_back(0);
    tokens += static_cast<int64_t>(document.size());
    ASSERT_TRUE((*writer)->Add(document).ok());
  }
  ASSERT_TRUE((*writer)->Finish().ok());
  WriteLabels(prefix, labels, split);
  split->set_tokens(tokens);
  split->set_documents(documents);
  split->set_bin_bytes(2 * tokens);
  split->set_bin_hash(HashFile(prefix + ".bin").value());
  split->set_idx_hash(HashFile(prefix + ".idx").value());
}

std::string MakeTemporaryDirectory() {
  const char* base = std::getenv("TMPDIR");
  std::string path = absl::StrCat(base == nullptr ? "/tmp" : base, "/cherry-trainer-test-XXXXXX");
  return mkdtemp(path.data()) == nullptr ? "" : path;
}

std::string Program() {
  const char* bin = std::getenv("CHERRY_BIN");
  return absl::StrCat(bin == nullptr ? "bin" : bin, "/cherry-trainer");
}

}  // namespace

Workspace::Workspace() : path_(MakeTemporaryDirectory()) {
  const std::string directory = data_root() + "/ko";
  EXPECT_TRUE(MakeDirectories(directory).ok());
  EXPECT_TRUE(MakeDirectories(checkpoint_root()).ok());
  EXPECT_TRUE(WriteFileAtomically(absl::StrCat(checkpoint_root(), "/", kRootIdFile), "root\n").ok());
  EXPECT_TRUE(WriteFileAtomically(directory + "/tokenizer.json", "{\"version\": \"1.0\"}\n").ok());
  dataset_.set_name("ko");
  dataset_.set_path("ko");
  dataset_.set_vocab(kVocab);
  dataset_.set_bytes_per_token(2);
  v1::Split* train = dataset_.add_splits();
  train->set_name("train");
  WriteSplit(directory + "/train", 120, 1, train);
  v1::Split* valid = dataset_.add_splits();
  valid->set_name("valid");
  WriteSplit(directory + "/valid", 12, 2, valid);
}

Workspace::~Workspace() { Drop(RemoveTree(path_)); }

v1::JobSpec Workspace::Spec(int64_t steps) const {
  v1::JobSpec spec;
  spec.set_kind(v1::JobSpec::PRETRAIN);
  spec.set_name("ko-base");
  spec.mutable_model()->set_layers(2);
  spec.mutable_model()->set_dim(32);
  spec.mutable_model()->set_heads(2);
  spec.mutable_model()->set_ffn_dim(64);
  spec.mutable_data()->set_train("ko/train");
  spec.mutable_data()->set_valid("ko/valid");
  v1::TrainConfig* train = spec.mutable_train();
  train->set_steps(steps);
  train->set_sequence_length(32);
  train->set_global_batch_size(8);
  train->set_micro_batch_size(2);
  train->set_deterministic(true);
  train->mutable_optimizer()->set_learning_rate(1e-2);
  spec.mutable_validation()->set_every_steps(10);
  spec.mutable_checkpoint()->set_every_steps(10);
  spec.mutable_resources()->set_device(v1::Resources::CPU);
  SpecContext context;
  context.train = &dataset_;
  context.valid = &dataset_;
  const absl::StatusOr<v1::JobSpec> resolved = ResolveSpec(spec, context);
  EXPECT_TRUE(resolved.ok()) << resolved.status();
  return resolved.value_or(spec);
}

v1::JobSpec Workspace::SgtSpec(int64_t steps, v1::SgtConfig::Selector selector) const {
  const v1::JobSpec base = Spec(steps);
  v1::JobSpec spec = base;
  spec.set_kind(v1::JobSpec::SGT);
  spec.set_name("ko-sgt");
  spec.mutable_from()->set_job("ko-base");
  spec.mutable_sgt()->set_selector(selector);
  spec.mutable_sgt()->set_coupling_every(5);
  spec.mutable_train()->mutable_optimizer()->set_learning_rate(1e-3);
  spec.mutable_train()->clear_lr_scheduler();
  SpecContext context;
  context.train = &dataset_;
  context.valid = &dataset_;
  context.parent_model = &base.model();
  context.reference_model = &base.model();
  const absl::StatusOr<v1::JobSpec> resolved = ResolveSpec(spec, context);
  EXPECT_TRUE(resolved.ok()) << resolved.status();
  return resolved.value_or(spec);
}

v1::JobSpec Workspace::CompressSpec(int64_t steps) const {
  const v1::JobSpec base = Spec(steps);
  v1::JobSpec spec = base;
  spec.set_kind(v1::JobSpec::COMPRESS);
  spec.set_name("ko-1");
  spec.clear_model();
  spec.mutable_from()->set_job("ko-base");
  spec.mutable_compress()->set_layers(1);
  spec.mutable_compress()->mutable_unroll()->set_schedule("1x4");
  for (const int rounds : {1, 2, 4}) {
    spec.mutable_compress()->mutable_unroll()->add_growth(rounds);
  }
  SpecContext context;
  context.train = &dataset_;
  context.valid = &dataset_;
  context.parent_model = &base.model();
  const absl::StatusOr<v1::JobSpec> resolved = ResolveSpec(spec, context);
  EXPECT_TRUE(resolved.ok()) << resolved.status();
  return resolved.value_or(spec);
}

v1::StartAttempt Workspace::SgtAttempt(const v1::JobSpec& spec, const v1::Checkpoint& start, int64_t epoch,
                                       int world_size) const {
  v1::StartAttempt attempt = Attempt(spec, epoch, world_size);
  *attempt.mutable_from() = start;
  for (const char* role : {"origin", "sgt.reference"}) {
    v1::JobInput* const input = attempt.add_inputs();
    input->set_role(role);
    *input->mutable_checkpoint() = start;
  }
  return attempt;
}

v1::StartAttempt Workspace::Attempt(const v1::JobSpec& spec, int64_t epoch, int world_size) const {
  v1::StartAttempt attempt;
  attempt.mutable_attempt()->set_job_uid(kUid);
  attempt.mutable_attempt()->set_epoch(epoch);
  attempt.set_job_name("namespaces/default/jobs/ko-base");
  attempt.set_namespace_("default");
  *attempt.mutable_spec() = spec;
  attempt.set_world_size(world_size);
  *attempt.mutable_train() = dataset_;
  *attempt.mutable_valid() = dataset_;
  attempt.set_checkpoint_directory(absl::StrCat("default/", kUid, "/epoch-", epoch));
  attempt.mutable_rendezvous_timeout()->set_seconds(60);
  return attempt;
}

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
