// The one file of the client that includes gRPC.
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cherry/v1/coordinator.grpc.pb.h"
#include "client/rpc/client.h"
#include "common/file.h"
#include "common/ids.h"
#include "common/rpc_status.h"
#include "common/status.h"
#include "common/version.h"

namespace cherry::client {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(2);
constexpr absl::Duration kSlice = absl::Milliseconds(50);
constexpr int kMaxMessageBytes = 64 << 20;
// TCP, TLS and HTTP/2 take three round trips.
constexpr absl::Duration kConnectTimeout = absl::Seconds(5);
// gRPC servers answer more than one ping in five minutes with GOAWAY unless told otherwise.
constexpr int kKeepaliveMs = 330'000;

using Stub = v1::Cherry::Stub;
using grpc::ClientContext;

bool IsLoopback(absl::string_view address) {
  absl::string_view host = address.substr(0, address.rfind(':'));
  return host == "localhost" || host == "[::1]" || absl::StartsWith(host, "127.");
}

// "failed to connect to all addresses; last error: ...: Connection refused": only the last part tells
// anything.
absl::Status Unreachable(const std::string& address, const absl::Status& status) {
  absl::string_view cause = status.message();
  cause = cause.substr(cause.rfind(": ") == absl::string_view::npos ? 0 : cause.rfind(": ") + 2);
  return Error(absl::StatusCode::kUnavailable, "COORDINATOR_UNREACHABLE", "",
               absl::StrCat("no coordinator answers at ", address, " (", cause, ")"),
               "start one with `cherry local start`, or name it with --coordinator HOST:PORT");
}

class GrpcClient final : public Client {
 public:
  GrpcClient(ClientOptions options, std::shared_ptr<grpc::Channel> channel)
      : options_(std::move(options)), channel_(std::move(channel)), stub_(v1::Cherry::NewStub(channel_)) {}

  absl::StatusOr<v1::SubmitJobResponse> SubmitJob(v1::SubmitJobRequest request) override {
    return Call(&Stub::SubmitJob, std::move(request));
  }
  absl::StatusOr<v1::SubmitPipelineResponse> SubmitPipeline(v1::SubmitPipelineRequest request) override {
    return Call(&Stub::SubmitPipeline, std::move(request));
  }
  absl::StatusOr<v1::ListPipelinesResponse> ListPipelines(v1::ListPipelinesRequest request) override {
    return Call(&Stub::ListPipelines, std::move(request));
  }
  absl::StatusOr<v1::Job> GetJob(v1::GetJobRequest request) override {
    return Call(&Stub::GetJob, std::move(request));
  }
  absl::StatusOr<v1::ListJobsResponse> ListJobs(v1::ListJobsRequest request) override {
    return Call(&Stub::ListJobs, std::move(request));
  }
  absl::StatusOr<v1::Job> CancelJob(v1::CancelJobRequest request) override {
    return Call(&Stub::CancelJob, std::move(request));
  }
  absl::StatusOr<v1::Job> PauseJob(v1::PauseJobRequest request) override {
    return Call(&Stub::PauseJob, std::move(request));
  }
  absl::StatusOr<v1::Job> ResumeJob(v1::ResumeJobRequest request) override {
    return Call(&Stub::ResumeJob, std::move(request));
  }
  absl::StatusOr<v1::ExplainJobResponse> ExplainJob(v1::ExplainJobRequest request) override {
    return Call(&Stub::ExplainJob, std::move(request));
  }
  absl::StatusOr<v1::ListMetricsResponse> ListMetrics(v1::ListMetricsRequest request) override {
    return Call(&Stub::ListMetrics, std::move(request));
  }
  absl::StatusOr<v1::ListEventsResponse> ListEvents(v1::ListEventsRequest request) override {
    return Call(&Stub::ListEvents, std::move(request));
  }
  absl::StatusOr<v1::Checkpoint> GetCheckpoint(v1::GetCheckpointRequest request) override {
    return Call(&Stub::GetCheckpoint, std::move(request));
  }
  absl::StatusOr<v1::ListCheckpointsResponse> ListCheckpoints(v1::ListCheckpointsRequest request) override {
    return Call(&Stub::ListCheckpoints, std::move(request));
  }
  absl::StatusOr<v1::Checkpoint> ReportCheckpoint(v1::ReportCheckpointRequest request) override {
    return Call(&Stub::ReportCheckpoint, std::move(request));
  }
  absl::StatusOr<v1::Worker> GetWorker(v1::GetWorkerRequest request) override {
    return Call(&Stub::GetWorker, std::move(request));
  }
  absl::StatusOr<v1::ListWorkersResponse> ListWorkers(v1::ListWorkersRequest request) override {
    return Call(&Stub::ListWorkers, std::move(request));
  }
  absl::StatusOr<v1::Worker> SetWorkerState(v1::SetWorkerStateRequest request) override {
    return Call(&Stub::SetWorkerState, std::move(request));
  }
  absl::StatusOr<v1::Dataset> RegisterDataset(v1::RegisterDatasetRequest request) override {
    return Call(&Stub::RegisterDataset, std::move(request));
  }
  absl::StatusOr<v1::Dataset> GetDataset(v1::GetDatasetRequest request) override {
    return Call(&Stub::GetDataset, std::move(request));
  }
  absl::StatusOr<v1::ListDatasetsResponse> ListDatasets(v1::ListDatasetsRequest request) override {
    return Call(&Stub::ListDatasets, std::move(request));
  }
  absl::StatusOr<v1::Model> RegisterModel(v1::RegisterModelRequest request) override {
    return Call(&Stub::RegisterModel, std::move(request));
  }
  absl::StatusOr<v1::ListModelsResponse> ListModels(v1::ListModelsRequest request) override {
    return Call(&Stub::ListModels, std::move(request));
  }
  absl::StatusOr<v1::ListPresetsResponse> ListPresets(v1::ListPresetsRequest request) override {
    return Call(&Stub::ListPresets, std::move(request));
  }
  absl::StatusOr<v1::ServerInfo> GetServerInfo(v1::GetServerInfoRequest request) override {
    return Call(&Stub::GetServerInfo, std::move(request));
  }

  absl::Status WatchJob(const v1::WatchJobRequest& request, absl::Time deadline,
                        const std::function<bool(const v1::WatchJobResponse&)>& receive) override {
    return Stream<v1::WatchJobResponse>(&Stub::WatchJob, request, deadline, receive);
  }
  absl::Status ReadLogs(const v1::ReadLogsRequest& request, absl::Time deadline,
                        const std::function<bool(const v1::ReadLogsResponse&)>& receive) override {
    return Stream<v1::ReadLogsResponse>(&Stub::ReadLogs, request, deadline, receive);
  }
  absl::Status WatchEvents(const v1::WatchEventsRequest& request, absl::Time deadline,
                           const std::function<bool(const v1::Event&)>& receive) override {
    return Stream<v1::Event>(&Stub::WatchEvents, request, deadline, receive);
  }

  void Interrupt() override {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    for (ClientContext* const context : running_) {
      context->TryCancel();
    }
    wake_.notify_all();
  }

 private:
  // Registers a call so that Interrupt() reaches it.
  class Running {
   public:
    Running(GrpcClient* client, ClientContext* context) : client_(client), context_(context) {
      const std::lock_guard lock(client_->mutex_);
      client_->running_.insert(context_);
      if (client_->interrupted_) {
        context_->TryCancel();
      }
    }
    ~Running() {
      const std::lock_guard lock(client_->mutex_);
      client_->running_.erase(context_);
    }

   private:
    GrpcClient* const client_;
    ClientContext* const context_;
  };

  absl::Status Prepare(ClientContext* context, absl::Time deadline) const {
    if (deadline != absl::InfiniteFuture()) {
      context->set_deadline(absl::ToChronoTime(deadline));
    }
    context->AddMetadata("cherry-api-version", absl::StrCat(kApiMajor));
    if (options_.token_file.empty()) {
      return absl::OkStatus();
    }
    const auto token = ReadFile(options_.token_file, 4096);
    if (token.ok()) {
      context->AddMetadata("authorization", absl::StrCat("Bearer ", absl::StripAsciiWhitespace(*token)));
    } else if (options_.token_required) {
      return Error(absl::StatusCode::kInvalidArgument, "TOKEN_UNREADABLE", "--token-file",
                   absl::StrCat("--token-file: ", token.status().message()),
                   "name the coordinator's CHERRY_HOME/token, as a user who may read it");
    }
    return absl::OkStatus();
  }

  absl::Status FromGrpc(const grpc::Status& status) {
    if (status.ok()) {
      return absl::OkStatus();
    }
    {
      const std::lock_guard lock(mutex_);
      if (interrupted_) {
        return absl::CancelledError("interrupted");
      }
    }
    return DecodeRpcStatus(static_cast<absl::StatusCode>(status.error_code()), status.error_message(),
                           status.error_details());
  }

  // Waits for a connection where there is none, else for `pause`: a server that answers is given time. False
  // when interrupted or out of time: do not try again.
  bool Pause(absl::Duration pause, absl::Time deadline) {
    if (channel_->GetState(/*try_to_connect=*/true) == GRPC_CHANNEL_READY) {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, absl::ToChronoMicroseconds(std::min(pause, deadline - absl::Now())),
                     [this] { return interrupted_; });
    } else {
      // In slices, so that an interrupt is seen.
      while (!WasInterrupted() && absl::Now() < deadline &&
             !channel_->WaitForConnected(absl::ToChronoTime(std::min(absl::Now() + kSlice, deadline)))) {
      }
    }
    return !WasInterrupted() && absl::Now() < deadline;
  }

  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*method)(ClientContext*, const Request&, Response*),
                                Request request) {
    if constexpr (requires { request.set_request_id(""); }) {
      if (request.request_id().empty()) {
        request.set_request_id(NewUuid());
      }
    }
    const absl::Time deadline = absl::Now() + options_.timeout;
    absl::Duration pause = kFirstPause;
    absl::Status unavailable;
    while (true) {
      ClientContext context;
      RETURN_IF_ERROR(Prepare(&context, deadline));
      Response response;
      const Running running(this, &context);
      const absl::Status status = FromGrpc((stub_.get()->*method)(&context, request, &response));
      if (status.ok()) {
        return response;
      }
      const bool timed_out = status.code() == absl::StatusCode::kDeadlineExceeded;
      if (!absl::IsUnavailable(status) && !(timed_out && !unavailable.ok())) {
        return status;
      }
      if (unavailable.ok() && options_.on_retry) {
        options_.on_retry(Unreachable(options_.address, status));
      }
      unavailable = timed_out ? unavailable : status;
      // Full jitter, so that many clients do not come back in step.
      const absl::Duration jittered = pause * (0.5 + 0.5 * std::rand() / RAND_MAX);
      if (timed_out || !Pause(jittered, deadline)) {
        return WasInterrupted() ? absl::CancelledError("interrupted")
                                : Unreachable(options_.address, unavailable);
      }
      pause = std::min(2 * pause, kLongestPause);
    }
  }

  bool WasInterrupted() {
    const std::lock_guard lock(mutex_);
    return interrupted_;
  }

  template <typename Response, typename Request>
  absl::Status Stream(std::unique_ptr<grpc::ClientReader<Response>> (Stub::*method)(ClientContext*,
                                                                                    const Request&),
                      const Request& request, absl::Time deadline,
                      const std::function<bool(const Response&)>& receive) {
    ClientContext context;
    RETURN_IF_ERROR(Prepare(&context, deadline));
    const Running running(this, &context);
    const auto reader = (stub_.get()->*method)(&context, request);
    Response response;
    bool hung_up = false;
    while (!hung_up && reader->Read(&response)) {
      hung_up = !receive(response);
    }
    if (hung_up) {
      context.TryCancel();
    }
    const absl::Status status = FromGrpc(reader->Finish());
    if (hung_up && !WasInterrupted()) {
      return absl::OkStatus();
    }
    return absl::IsUnavailable(status) ? Unreachable(options_.address, status) : status;
  }

  const ClientOptions options_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<Stub> stub_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool interrupted_ = false;          // Guarded by mutex_.
  std::set<ClientContext*> running_;  // Guarded by mutex_; not owned.
};

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const ClientOptions& options) {
  const int given = !options.tls_cert.empty() + !options.tls_key.empty() + !options.tls_ca.empty();
  if (given == 0) {
    if (!IsLoopback(options.address)) {
      return InvalidField("TLS_REQUIRED", "--coordinator",
                          absl::StrCat("--coordinator: ", options.address, " is not on this machine"),
                          "give --tls-cert, --tls-key and --tls-ca");
    }
    return grpc::InsecureChannelCredentials();
  }
  if (given != 3) {
    return InvalidField("TLS_INCOMPLETE", "--tls-cert", "--tls-cert, --tls-key and --tls-ca go together",
                        "give all three");
  }
  grpc::SslCredentialsOptions ssl;
  ASSIGN_OR_RETURN(ssl.pem_cert_chain, ReadFile(options.tls_cert, 1 << 20));
  ASSIGN_OR_RETURN(ssl.pem_private_key, ReadFile(options.tls_key, 1 << 20));
  ASSIGN_OR_RETURN(ssl.pem_root_certs, ReadFile(options.tls_ca, 1 << 20));
  return grpc::SslCredentials(ssl);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> NewClient(const ClientOptions& options) {
  // gRPC's own lines about refused connections say nothing that the errors do not.
  if (std::getenv("GRPC_VERBOSITY") == nullptr) {
    gpr_set_log_function([](gpr_log_func_args*) {});
  }
  ASSIGN_OR_RETURN(const auto credentials, Credentials(options));
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // How long connecting may take, whatever its name. Less than a call, which then knows that nobody answered.
  arguments.SetInt(
      GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
      static_cast<int>(absl::ToInt64Milliseconds(std::min(kConnectTimeout, options.timeout / 2))));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return std::make_unique<GrpcClient>(options,
                                      grpc::CreateCustomChannel(options.address, credentials, arguments));
}

}  // namespace cherry::client
