#include "worker/agent/agent.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/status.h"
#include "common/version.h"
#include "worker/agent/certificate.h"
#include "worker/agent/proc.h"
#include "worker/agent/slots.h"

extern char** environ;

namespace cherry::worker {
namespace {

// For processes of a predecessor to die of SIGKILL.
constexpr absl::Duration kStrayTimeout = absl::Seconds(30);
// For the last reports and logs to reach the coordinator when the worker goes.
constexpr absl::Duration kFlushTimeout = absl::Seconds(5);

std::vector<std::string> Environment() {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    all.emplace_back(*entry);
  }
  return all;
}

}  // namespace

Agent::Agent(const Options& options)
    : options_(options), directory_(options.home + "/worker-" + options.name), incarnation_(NewUuid()) {}

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(const Options& options) {
  std::unique_ptr<Agent> agent(new Agent(options));
  RETURN_IF_ERROR(agent->Prepare());
  return agent;
}

Agent::~Agent() {
  // Their threads call this object: they go before the rest of it.
  mailbox_.Close();
  host_.reset();
  if (stream_ != nullptr) {
    stream_->Stop();
  }
  if (lock_fd_ >= 0) {
    close(lock_fd_);
  }
}

absl::Status Agent::LockDirectory() {
  RETURN_IF_ERROR(MakeDirectories(directory_, 0700));
  const std::string path = directory_ + "/lock";
  lock_fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_fd_ < 0) {
    return ErrnoError(errno, path);
  }
  if (flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    return Error(absl::StatusCode::kAlreadyExists, "WORKER_RUNNING", "--name",
                 absl::StrCat("--name: a worker '", options_.name, "' already runs in ", options_.home),
                 "stop it, or give this one another --name");
  }
  return absl::OkStatus();
}

absl::Status Agent::Prepare() {
  RETURN_IF_ERROR(LockDirectory());
  records_ = std::make_unique<RankRecords>(directory_ + "/ranks");
  ASSIGN_OR_RETURN(const int killed, records_->KillLeftOvers(kStrayTimeout));
  if (killed > 0) {
    LogWarning(absl::StrCat("killed ", killed, " processes that a former worker left behind"));
  }
  const HostResources resources = FindResources();
  ASSIGN_OR_RETURN(slots_, PlanSlots(resources, options_.slots));
  most_threads_ = MostThreads(resources, static_cast<int>(slots_.size()));
  ASSIGN_OR_RETURN(metrics_, Metrics::Create(options_.metrics_address, slots_));
  if (!options_.tls_cert.empty()) {
    ASSIGN_OR_RETURN(const absl::Time expiry, CertificateExpiry(options_.tls_cert));
    metrics_->SetCertificateExpiry(expiry);
  }
  logs_ = std::make_unique<LogStore>(directory_ + "/logs", [this] {
    if (stream_ != nullptr) {
      stream_->Wake();
    }
  });
  RETURN_IF_ERROR(logs_->AdoptLeftOvers());
  StreamConfig stream;
  stream.coordinator = options_.coordinator;
  stream.token_file = options_.home + "/token";
  stream.tls_cert = options_.tls_cert;
  stream.tls_key = options_.tls_key;
  stream.tls_ca = options_.tls_ca;
  ASSIGN_OR_RETURN(stream_,
                   StreamClient::Create(stream, logs_.get(), this, [this] { return MakeRegistration(); }));
  ProcessHostConfig host;
  host.trainer = options_.trainer;
  host.environment = Environment();
  host.incarnation = incarnation_;
  ASSIGN_OR_RETURN(host_, ProcessHost::Create(host, logs_.get(), records_.get(), this));
  supervisor_ =
      std::make_unique<Supervisor>(MakeSupervisorConfig(), host_.get(), stream_.get(), metrics_.get());
  return absl::OkStatus();
}

SupervisorConfig Agent::MakeSupervisorConfig() const {
  SupervisorConfig config;
  config.worker_name = options_.name;
  config.data_root = options_.data_root;
  config.checkpoint_root = options_.checkpoint_root;
  config.address = options_.address;
  config.code_version = kVersion;
  config.slots = slots_;
  config.most_threads = most_threads_;
  config.grace = options_.grace;
  config.offline_cap = options_.offline_cap;
  config.process_state = [](int64_t pid) {
    const auto stat = StatOf(static_cast<pid_t>(pid));
    return stat.has_value() ? stat->state : '?';
  };
  return config;
}

std::vector<v1::AttemptRef> Agent::AskForLiveAttempts() {
  // Through the mailbox, so that directives which came before are counted in.
  auto answer = std::make_shared<std::promise<std::vector<v1::AttemptRef>>>();
  std::future<std::vector<v1::AttemptRef>> live = answer->get_future();
  if (!mailbox_.Post([this, answer] { answer->set_value(supervisor_->LiveAttempts()); })) {
    return {};  // Closed when nothing is left.
  }
  return live.get();
}

absl::StatusOr<v1::Register> Agent::MakeRegistration() {
  v1::Register registration;
  ASSIGN_OR_RETURN(const std::vector<v1::Root> roots,
                   ReadRoots({options_.data_root, options_.checkpoint_root}));
  metrics_->SetRoots(roots);
  for (const v1::Root& root : roots) {
    *registration.add_roots() = root;
  }
  registration.set_name(options_.name);
  registration.set_incarnation(incarnation_);
  for (const v1::Slot& slot : slots_) {
    *registration.add_slots() = slot;
  }
  for (const auto& [key, value] : options_.labels) {
    (*registration.mutable_labels())[key] = value;
  }
  registration.set_version(kVersion);
  registration.set_api_major(kApiMajor);
  registration.set_address(options_.address);
  registration.set_metrics_address(metrics_->address().ToString());
  for (const v1::AttemptRef& attempt : AskForLiveAttempts()) {
    *registration.add_attempts() = attempt;
  }
  return registration;
}

void Agent::SendHeartbeat() {
  v1::WorkerMessage message;
  v1::Heartbeat* const heartbeat = message.mutable_heartbeat();
  const auto roots = ReadRoots({options_.data_root, options_.checkpoint_root});
  if (roots.ok()) {
    metrics_->SetRoots(*roots);
    for (const v1::Root& root : *roots) {
      *heartbeat->add_roots() = root;
    }
  }
  for (const v1::AttemptRef& attempt : supervisor_->LiveAttempts()) {
    *heartbeat->add_attempts() = attempt;
  }
  stream_->Offer(std::move(message));
}

void Agent::Run() {
  stream_->Start();
  while (!(shutting_down_ && supervisor_->Idle())) {
    const absl::Time wake = std::min(supervisor_->Tick(clock_.Now()), next_heartbeat_);
    // The clock of condition variables has its end: an hour is as good as for ever.
    const absl::Duration wait = std::clamp(wake - clock_.Now(), absl::ZeroDuration(), absl::Hours(1));
    for (const Mailbox::Task& task : mailbox_.Take(wait)) {
      task();
    }
    if (registered_ && clock_.Now() >= next_heartbeat_) {
      SendHeartbeat();
      next_heartbeat_ = clock_.Now() + heartbeat_interval_;
    }
  }
  mailbox_.Close();
  for (const Mailbox::Task& task : mailbox_.Take(absl::ZeroDuration())) {
    task();
  }
  const bool flushed = !registered_ || stream_->Flush(kFlushTimeout);
  LogInfo(flushed ? "stopped" : "stopped; the coordinator has not taken the last reports");
}

void Agent::RequestShutdown(int signal) {
  mailbox_.Post([this, signal] {
    if (shutting_down_ && signal == SIGTERM) {
      return;
    }
    LogInfo(shutting_down_ ? "told again to stop: killing the ranks"
                           : "told to stop: the ranks save a checkpoint first");
    shutting_down_ = true;
    supervisor_->Shutdown(clock_.Now());
  });
}

void Agent::OnSpawned(const RankKey& key, int64_t pid) {
  mailbox_.Post([this, key, pid] { supervisor_->OnSpawned(key, pid, clock_.Now()); });
}

void Agent::OnMessage(const RankKey& key, v1::FromTrainer message) {
  mailbox_.Post(
      [this, key, message = std::move(message)] { supervisor_->OnMessage(key, message, clock_.Now()); });
}

void Agent::OnProtocolError(const RankKey& key, std::string what) {
  mailbox_.Post(
      [this, key, what = std::move(what)] { supervisor_->OnProtocolError(key, what, clock_.Now()); });
}

void Agent::OnExited(const RankKey& key, RankExit exit) {
  mailbox_.Post([this, key, exit = std::move(exit)] { supervisor_->OnExited(key, exit, clock_.Now()); });
}

void Agent::OnRegistered(const v1::Registered& registered) {
  const absl::Duration interval = absl::Seconds(registered.heartbeat_interval().seconds()) +
                                  absl::Nanoseconds(registered.heartbeat_interval().nanos());
  mailbox_.Post([this, interval] {
    constexpr absl::Duration kShortest = absl::Milliseconds(50);
    registered_ = true;
    last_complaint_.clear();
    heartbeat_interval_ = std::max(interval, kShortest);
    next_heartbeat_ = clock_.Now() + heartbeat_interval_;
    LogInfo(absl::StrCat("registered with ", options_.coordinator.ToString()));
    Greet();
    supervisor_->OnConnected(clock_.Now());
  });
}

void Agent::Greet() {
  if (std::exchange(greeted_, true)) {
    return;
  }
  const bool cuda = !slots_.empty() && slots_[0].device() == v1::Resources::CUDA;
  std::printf("worker %s  %zu %s slots  metrics http://%s/metrics  coordinator %s\n", options_.name.c_str(),
              slots_.size(), cuda ? "cuda" : "cpu", metrics_->address().ToString().c_str(),
              options_.coordinator.ToString().c_str());
  std::fflush(stdout);
}

void Agent::OnDisconnected(const absl::Status& why) {
  mailbox_.Post([this, why] {
    registered_ = false;
    next_heartbeat_ = absl::InfiniteFuture();
    // Once for each kind of trouble, not for each attempt.
    const std::string complaint = Describe(why);
    if (complaint != last_complaint_) {
      last_complaint_ = complaint;
      LogWarning(absl::StrCat("not connected to ", options_.coordinator.ToString(), ": ", complaint));
    }
    supervisor_->OnDisconnected(clock_.Now());
  });
}

void Agent::OnDirective(v1::CoordinatorMessage message) {
  mailbox_.Post([this, message = std::move(message)] { Obey(message); });
}

void Agent::Obey(const v1::CoordinatorMessage& message) {
  const absl::Time now = clock_.Now();
  switch (message.body_case()) {
    case v1::CoordinatorMessage::kStart:
      supervisor_->OnStart(message.start(), now);
      break;
    case v1::CoordinatorMessage::kStop:
      supervisor_->OnStop(message.stop(), now);
      break;
    case v1::CoordinatorMessage::kStale:
      supervisor_->OnStale(message.stale().attempt(), now);
      break;
    case v1::CoordinatorMessage::kRendezvousValue:
      supervisor_->OnRendezvousValue(message.rendezvous_value());
      break;
    case v1::CoordinatorMessage::kCommitted:
      supervisor_->OnCommitted(message.committed(), now);
      break;
    default:
      break;  // From a newer coordinator, or the stream's own affair.
  }
}

}  // namespace cherry::worker
