#include "cluster.h"

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cherry/v1/coordinator.grpc.pb.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/ids.h"
#include "common/manifest.h"
#include "common/rpc_status.h"
#include "common/status.h"
#include "common/token_file.h"
#include "worker/agent/proc.h"

namespace cherry::integration {
namespace {

constexpr int kVocab = 64;
constexpr absl::Duration kCallTimeout = absl::Seconds(30);

// Ports that were free a moment ago, all different.
std::vector<int> FreePorts(int count) {
  std::vector<int> ports;
  std::vector<int> sockets;
  for (int i = 0; i < count; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
        getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0) {
      ports.push_back(ntohs(address.sin_port));
    }
    sockets.push_back(fd);
  }
  for (const int fd : sockets) {
    close(fd);
  }
  return ports;
}

std::string Program(const char* name) {
  const char* const directory = std::getenv("CHERRY_BIN");
  return absl::StrCat(directory == nullptr ? "." : directory, "/", name);
}

absl::Status FromGrpc(const grpc::Status& status) {
  return status.ok() ? absl::OkStatus()
                     : DecodeRpcStatus(static_cast<absl::StatusCode>(status.error_code()),
                                       status.error_message(), status.error_details());
}

absl::StatusOr<v1::Split> WriteSplit(const std::string& directory, const std::string& name, int documents) {
  ASSIGN_OR_RETURN(const auto writer, TokenFileWriter::Create(directory + "/" + name, 2));
  std::mt19937 random(documents);
  v1::Split split;
  for (int d = 0; d < documents; ++d) {
    std::vector<int32_t> tokens;
    // A sequence that can be learnt: each token depends on the one before.
    int32_t token = 3;
    for (int i = 0; i < 200; ++i) {
      token = 3 + (token * 5 + static_cast<int32_t>(random() % 3)) % (kVocab - 3);
      tokens.push_back(token);
    }
    tokens.push_back(2);
    RETURN_IF_ERROR(writer->Add(tokens));
    split.set_tokens(split.tokens() + static_cast<int64_t>(tokens.size()));
  }
  RETURN_IF_ERROR(writer->Finish());
  split.set_name(name);
  split.set_documents(documents);
  split.set_bin_bytes(split.tokens() * 2);
  ASSIGN_OR_RETURN(*split.mutable_bin_hash(), HashFile(directory + "/" + name + ".bin"));
  ASSIGN_OR_RETURN(*split.mutable_idx_hash(), HashFile(directory + "/" + name + ".idx"));
  return split;
}

}  // namespace

// The API's stub, with the token and a deadline for each call.
struct Cluster::Client {
  Client(int port, std::string token_file) : token_file(std::move(token_file)) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
    channel = grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials(),
                                        arguments);
    stub = v1::Cherry::NewStub(channel);
  }
  void SetUp(grpc::ClientContext* context, absl::Duration timeout) const {
    const auto token = ReadFile(token_file);
    context->AddMetadata("authorization",
                         "Bearer " + (token.ok() ? token->substr(0, token->find('\n')) : ""));
    context->AddMetadata("cherry-api-version", "1");
    context->set_wait_for_ready(true);
    context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
  }
  // Repeats the call while the coordinator is away.
  template <typename Request, typename Reply>
  absl::StatusOr<Reply> Call(grpc::Status (v1::Cherry::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                      Reply*),
                             const Request& request) const {
    const absl::Time deadline = absl::Now() + kCallTimeout;
    while (true) {
      grpc::ClientContext context;
      SetUp(&context, deadline - absl::Now());
      Reply reply;
      const grpc::Status status = (stub.get()->*method)(&context, request, &reply);
      if (status.ok()) {
        return reply;
      }
      if (status.error_code() != grpc::StatusCode::UNAVAILABLE || absl::Now() > deadline) {
        return FromGrpc(status);
      }
    }
  }

  const std::string token_file;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Cherry::Stub> stub;
};

std::string JobResource(const std::string& name) { return absl::StrCat("namespaces/default/jobs/", name); }

bool Succeeded(const v1::Job& job) { return job.state() == v1::Job::SUCCEEDED; }

bool Ended(const v1::Job& job) {
  return Succeeded(job) || job.state() == v1::Job::FAILED || job.state() == v1::Job::CANCELLED;
}

Cluster::Cluster(const ClusterOptions& options) : options_(options) {
  char path[] = "/tmp/cherry-cluster-XXXXXX";
  home_ = mkdtemp(path);
}

Cluster::~Cluster() {
  for (const auto& worker : workers_) {
    worker->Kill();
  }
  coordinator_.Kill();
  if (std::getenv("CHERRY_KEEP_CLUSTER") == nullptr) {
    std::filesystem::remove_all(home_);
  }
}

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Start(const ClusterOptions& options) {
  std::unique_ptr<Cluster> cluster(new Cluster(options));
  RETURN_IF_ERROR(cluster->Prepare());
  return cluster;
}

absl::Status Cluster::Prepare() {
  const std::vector<int> ports = FreePorts(2 + options_.workers);
  port_ = ports[0];
  metrics_ports_.assign(ports.begin() + 1, ports.end());
  client_ = std::make_unique<Client>(port_, home_ + "/token");
  StartCoordinator();
  RETURN_IF_ERROR(AwaitServing(kCallTimeout));
  RETURN_IF_ERROR(WriteDataset());
  for (int i = 0; i < options_.workers; ++i) {
    workers_.push_back(std::make_unique<Process>());
    StartWorker(i);
  }
  return absl::OkStatus();
}

absl::Status Cluster::WriteDataset() {
  const std::string directory = home_ + "/data/text";
  RETURN_IF_ERROR(MakeDirectories(directory));
  RETURN_IF_ERROR(WriteFileAtomically(directory + "/tokenizer.json", "{}"));
  dataset_.set_name("text");
  dataset_.set_path("text");
  dataset_.set_vocab(kVocab);
  dataset_.set_bytes_per_token(2);
  ASSIGN_OR_RETURN(*dataset_.add_splits(), WriteSplit(directory, "train", 400));
  ASSIGN_OR_RETURN(*dataset_.add_splits(), WriteSplit(directory, "valid", 20));
  ASSIGN_OR_RETURN(*dataset_.mutable_tokenizer_hash(), HashFile(directory + "/tokenizer.json"));
  v1::RegisterDatasetRequest request;
  *request.mutable_dataset() = dataset_;
  request.set_request_id(NewUuid());
  return client_->Call(&v1::Cherry::Stub::RegisterDataset, request).status();
}

std::vector<std::string> Cluster::Environment(const std::string& faults) const {
  // HOME is what the trainers inherit, so it tells their cluster.
  std::vector<std::string> environment = {"HOME=" + home_, "CHERRY_HOME=" + home_};
  if (!faults.empty()) {
    environment.push_back("CHERRY_FAULTS=" + faults);
  }
  return environment;
}

void Cluster::StartCoordinator(const std::string& faults) {
  coordinator_.Start(
      {Program("cherry-coordinator"), "--home", home_, "--listen", absl::StrCat("127.0.0.1:", port_),
       "--metrics-address", absl::StrCat("127.0.0.1:", metrics_ports_[0]), "--lease", "5s", "--heartbeat",
       "500ms", "--backoff-base", "200ms"},
      Environment(faults), home_ + "/coordinator.out");
}

void Cluster::StartWorker(int index, const std::string& faults) {
  worker(index).Start(
      {Program("cherry-worker"), "--name", absl::StrCat("w", index), "--home", home_, "--coordinator",
       absl::StrCat("127.0.0.1:", port_), "--slots", absl::StrCat(options_.slots), "--metrics-address",
       absl::StrCat("127.0.0.1:", metrics_ports_[static_cast<size_t>(index) + 1]), "--trainer",
       Program("cherry-trainer")},
      Environment(faults), home_ + absl::StrCat("/worker-", index, ".out"));
}

std::vector<pid_t> Cluster::Processes() const {
  std::vector<pid_t> found;
  for (const worker::ProcessStat& stat : worker::AllProcesses()) {
    if (stat.state != 'Z' && worker::HasEnvironment(stat.pid, "HOME=" + home_)) {
      found.push_back(stat.pid);
    }
  }
  return found;
}

std::vector<pid_t> Cluster::Trainers() const {
  std::vector<pid_t> found;
  for (const pid_t pid : Processes()) {
    const auto name = ReadFile(absl::StrCat("/proc/", pid, "/comm"));
    if (name.ok() && absl::StartsWith(*name, "cherry-trainer")) {
      found.push_back(pid);
    }
  }
  return found;
}

bool Cluster::KillTrainer() {
  const std::vector<pid_t> trainers = Trainers();
  return !trainers.empty() && kill(trainers.back(), SIGKILL) == 0;
}

v1::JobSpec Cluster::SmallJob(const std::string& name, int ranks, int steps) const {
  v1::JobSpec spec;
  spec.set_kind(v1::JobSpec::PRETRAIN);
  spec.set_name(name);
  spec.mutable_resources()->mutable_ranks()->set_min(ranks);
  spec.mutable_resources()->mutable_ranks()->set_max(ranks);
  spec.mutable_model()->set_preset("tiny");
  spec.mutable_data()->set_train("text/train");
  spec.mutable_data()->set_valid("text/valid");
  v1::TrainConfig* const train = spec.mutable_train();
  train->set_steps(steps);
  train->set_sequence_length(32);
  train->set_global_batch_size(8);
  train->set_micro_batch_size(2);
  train->set_deterministic(true);
  spec.mutable_validation()->set_max_sequences(8);
  spec.mutable_checkpoint()->set_every_steps(20);
  spec.mutable_checkpoint()->set_keep_last(1000);
  return spec;
}

absl::StatusOr<v1::Job> Cluster::Submit(const v1::JobSpec& spec) {
  v1::SubmitJobRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(NewUuid());
  ASSIGN_OR_RETURN(const v1::SubmitJobResponse reply, client_->Call(&v1::Cherry::Stub::SubmitJob, request));
  return reply.job();
}

absl::StatusOr<v1::Job> Cluster::Get(const std::string& name) {
  v1::GetJobRequest request;
  request.set_name(JobResource(name));
  return client_->Call(&v1::Cherry::Stub::GetJob, request);
}

absl::Status Cluster::Cancel(const std::string& name, bool now) {
  v1::CancelJobRequest request;
  request.set_name(JobResource(name));
  request.set_request_id(NewUuid());
  request.set_now(now);
  return client_->Call(&v1::Cherry::Stub::CancelJob, request).status();
}

absl::Status Cluster::Pause(const std::string& name) {
  v1::PauseJobRequest request;
  request.set_name(JobResource(name));
  request.set_request_id(NewUuid());
  return client_->Call(&v1::Cherry::Stub::PauseJob, request).status();
}

absl::Status Cluster::Resume(const std::string& name) {
  v1::ResumeJobRequest request;
  request.set_name(JobResource(name));
  request.set_request_id(NewUuid());
  return client_->Call(&v1::Cherry::Stub::ResumeJob, request).status();
}

absl::StatusOr<std::vector<v1::Checkpoint>> Cluster::Checkpoints(const std::string& name) {
  v1::ListCheckpointsRequest request;
  request.set_job(JobResource(name));
  request.set_page_size(1000);
  ASSIGN_OR_RETURN(const v1::ListCheckpointsResponse reply,
                   client_->Call(&v1::Cherry::Stub::ListCheckpoints, request));
  return std::vector<v1::Checkpoint>(reply.checkpoints().begin(), reply.checkpoints().end());
}

absl::StatusOr<std::string> Cluster::Logs(const std::string& name, int rank) {
  v1::ReadLogsRequest request;
  request.set_name(JobResource(name));
  request.set_rank(rank);
  grpc::ClientContext context;
  client_->SetUp(&context, kCallTimeout);
  const auto stream = client_->stub->ReadLogs(&context, request);
  std::string text;
  v1::ReadLogsResponse reply;
  while (stream->Read(&reply)) {
    text += reply.data();
  }
  RETURN_IF_ERROR(FromGrpc(stream->Finish()));
  return text;
}

absl::StatusOr<v1::Job> Cluster::Await(const std::string& name, const Condition& condition,
                                       absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  v1::Job last;
  while (absl::Now() < deadline) {
    v1::WatchJobRequest request;
    request.set_name(JobResource(name));
    request.set_after_step(-1);
    grpc::ClientContext context;
    client_->SetUp(&context, deadline - absl::Now());
    const auto stream = client_->stub->WatchJob(&context, request);
    v1::WatchJobResponse reply;
    while (stream->Read(&reply)) {
      last = reply.job();
      if (condition(last)) {
        context.TryCancel();
        return last;
      }
    }
    const grpc::Status status = stream->Finish();
    if (!status.ok() && status.error_code() != grpc::StatusCode::UNAVAILABLE) {
      return Annotate(FromGrpc(status), absl::StrCat("job ", last.ShortDebugString()));
    }
    if (Ended(last)) {
      break;
    }
  }
  return absl::DeadlineExceededError(absl::StrCat("the job is ", last.ShortDebugString()));
}

absl::Status Cluster::AwaitServing(absl::Duration timeout) {
  // The token is made before the port is opened; both come with the first start.
  const absl::Time deadline = absl::Now() + timeout;
  if (!client_->channel->WaitForConnected(std::chrono::system_clock::now() +
                                          absl::ToChronoMilliseconds(timeout))) {
    return absl::DeadlineExceededError(absl::StrCat("no coordinator; ", DaemonLogs()));
  }
  grpc::ClientContext context;
  client_->SetUp(&context, deadline - absl::Now());
  v1::ServerInfo info;
  return FromGrpc(client_->stub->GetServerInfo(&context, {}, &info));
}

absl::Status Cluster::AwaitSave(const v1::Job& job, absl::Duration timeout) {
  const std::string directory = absl::StrCat(
      home_, "/checkpoints/", job.resolved().namespace_().empty() ? "default" : job.resolved().namespace_(),
      "/", job.uid(), "/epoch-", job.epoch());
  RETURN_IF_ERROR(MakeDirectories(directory));
  const int fd = inotify_init1(IN_CLOEXEC);
  if (fd < 0 || inotify_add_watch(fd, directory.c_str(), IN_CREATE) < 0) {
    return ErrnoError(errno, directory);
  }
  pollfd poller = {fd, POLLIN, 0};
  const int ready = poll(&poller, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout)));
  close(fd);
  return ready > 0 ? absl::OkStatus() : absl::DeadlineExceededError("no save began in " + directory);
}

CommandResult Cluster::Cli(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {Program("cherry")};
  command.insert(command.end(), arguments.begin(), arguments.end());
  std::vector<std::string> environment = Environment("");
  environment.push_back(absl::StrCat("CHERRY_COORDINATOR=127.0.0.1:", port_));
  return RunCommand(command, environment, absl::Minutes(2));
}

absl::StatusOr<std::map<std::string, std::string>> Cluster::Shards(const v1::Checkpoint& checkpoint) const {
  std::map<std::string, std::string> shards;
  for (const char* const file : {kModelFile, kOptimizerFile}) {
    ASSIGN_OR_RETURN(shards[file],
                     ReadFile(absl::StrCat(home_, "/checkpoints/", checkpoint.path(), "/", file)));
  }
  return shards;
}

std::string Cluster::DaemonLogs() const {
  std::string all;
  for (const auto& entry : std::filesystem::directory_iterator(home_)) {
    if (entry.path().extension() == ".out") {
      absl::StrAppend(&all, "--- ", entry.path().filename().string(), "\n",
                      ReadFile(entry.path().string()).value_or(""));
    }
  }
  return all;
}

}  // namespace cherry::integration
