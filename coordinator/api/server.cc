#include "coordinator/api/server.h"

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include <atomic>
#include <chrono>
#include <future>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/endpoint.h"
#include "common/file.h"
#include "common/log.h"
#include "common/status.h"
#include "coordinator/api/cherry_service.h"
#include "coordinator/api/gateway.h"
#include "coordinator/api/http_server.h"
#include "coordinator/api/janitor.h"
#include "coordinator/api/page.h"
#include "coordinator/api/roots.h"
#include "coordinator/api/services.h"
#include "coordinator/api/token.h"

namespace cherry::coordinator {
namespace {

constexpr int kMostMessageBytes = 8 << 20;
constexpr int kMostStreams = 1000;  // For each connection.
constexpr size_t kMostMemory = size_t{512} << 20;
constexpr auto kDrainTime = std::chrono::seconds(5);

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(const ServerOptions& options) {
  if (options.tls_cert.empty()) {
    return grpc::InsecureServerCredentials();
  }
  grpc::SslServerCredentialsOptions ssl(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  ASSIGN_OR_RETURN(const std::string key, ReadFile(options.tls_key, 1 << 20));
  ASSIGN_OR_RETURN(const std::string cert, ReadFile(options.tls_cert, 1 << 20));
  ASSIGN_OR_RETURN(ssl.pem_root_certs, ReadFile(options.tls_ca, 1 << 20));
  ssl.pem_key_cert_pairs.push_back({key, cert});
  return grpc::SslServerCredentials(ssl);
}

// gRPC's own lines go where ours go, but not those of a start that fails: our error says it better.
std::atomic<bool> g_listening{false};
void LogGrpc(gpr_log_func_args* args) {
  if (g_listening && args->severity == GPR_LOG_SEVERITY_ERROR) {
    LogWarning(absl::StrCat("gRPC: ", args->message));
  }
}

// Passes what the core wants done to those who do it. On the executor's thread; never blocks.
class Dispatcher final : public ActionSink {
 public:
  Dispatcher(WorkerLinks* links, WatchHub* hub, Metrics* metrics)
      : links_(links), hub_(hub), metrics_(metrics) {}
  void set_janitor(Janitor* janitor) { janitor_ = janitor; }

  void OnAction(const Action& action) override {
    std::visit([this](const auto& it) { Do(it); }, action);
  }
  void OnEvents() override { hub_->Notify(kAllEvents); }

 private:
  void Do(const SendToWorker& action) { links_->Send(action.worker, action.message); }
  void Do(const BindConnection& action) { links_->Bind(action.connection, action.worker); }
  void Do(const CloseConnection& action) { links_->Close(action.connection, action.status); }
  void Do(const RemoveCheckpoint& action) { janitor_->Remove(action); }
  void Do(const CollectEpoch& action) { janitor_->Collect(action); }
  void Do(const JobChanged& action) { hub_->Notify(JobTopic(action.uid)); }
  void Do(const RecordSamples&) {}  // The executor has written them.
  void Do(const Measure& measure) { metrics_->Record(measure); }

  WorkerLinks* const links_;
  WatchHub* const hub_;
  Metrics* const metrics_;
  Janitor* janitor_ = nullptr;
};

class CoordinatorServer final : public Server {
 public:
  explicit CoordinatorServer(const ServerOptions& options)
      : options_(options), logs_(options.home + "/logs") {}
  ~CoordinatorServer() override { Drain(); }

  absl::Status Run() {
    if (options_.data_root.empty()) {
      options_.data_root = options_.home + "/data";
    }
    if (options_.checkpoint_root.empty()) {
      options_.checkpoint_root = options_.home + "/checkpoints";
    }
    RETURN_IF_ERROR(MakeDirectories(options_.home, 0700));
    if (options_.tls_cert.empty()) {
      ASSIGN_OR_RETURN(services_.token, LoadOrCreateToken(options_.home + "/token"));
    }
    ASSIGN_OR_RETURN(options_.config.data_root_id, LoadOrCreateRootId(options_.data_root));
    ASSIGN_OR_RETURN(options_.config.checkpoint_root_id, LoadOrCreateRootId(options_.checkpoint_root));
    ASSIGN_OR_RETURN(store_, Store::Open(options_.home + "/coordinator"));
    RETURN_IF_ERROR(StartCore());
    RETURN_IF_ERROR(Listen());
    return absl::OkStatus();
  }

  int port() const override { return port_; }
  std::string metrics_address() const override { return AddressOf(metrics_server_); }
  std::string page_address() const override { return AddressOf(page_server_); }

  void Drain() override {
    if (drained_) {
      return;
    }
    drained_ = true;
    for (HttpServer* server : {metrics_server_.get(), page_server_.get()}) {
      if (server != nullptr) {
        server->BeginStop();
      }
    }
    const absl::Status going = Error(absl::StatusCode::kUnavailable, "SHUTTING_DOWN", "",
                                     "the coordinator shuts down", "connect again in a moment");
    if (server_ != nullptr) {
      server_->GetHealthCheckService()->SetServingStatus(false);
      hub_.CloseAll(going);
      links_.CloseAll(going);
      server_->Shutdown(std::chrono::system_clock::now() + kDrainTime);
    }
    for (HttpServer* server : {metrics_server_.get(), page_server_.get()}) {
      if (server != nullptr) {
        server->Stop();
      }
    }
    if (executor_ != nullptr) {
      executor_->Stop();
    }
    if (janitor_ != nullptr) {
      janitor_->Stop();
    }
    reader_.Stop();
    log_writer_.Stop();
  }

 private:
  absl::Status StartCore() {
    metrics_ = Metrics::Create([this] { return TakeCensus(); });
    store_->set_sync_observer([this](double seconds) { metrics_->ObserveSync(seconds); });
    core_ = std::make_unique<Core>(options_.config);
    dispatcher_ = std::make_unique<Dispatcher>(&links_, &hub_, metrics_.get());
    executor_ = std::make_unique<Executor>(core_.get(), store_.get(), &clock_, dispatcher_.get());
    executor_->set_decision_observer([this](double seconds) { metrics_->ObserveSchedule(seconds); });
    janitor_ = std::make_unique<Janitor>(options_.checkpoint_root, executor_.get());
    dispatcher_->set_janitor(janitor_.get());
    RETURN_IF_ERROR(executor_->Restore());
    executor_->Start();
    return absl::OkStatus();
  }

  absl::Status Listen() {
    services_.executor = executor_.get();
    services_.store = store_.get();
    services_.logs = &logs_;
    services_.hub = &hub_;
    services_.links = &links_;
    services_.metrics = metrics_.get();
    services_.reader = &reader_;
    services_.log_writer = &log_writer_;
    services_.home = options_.home;
    services_.data_root = options_.data_root;
    services_.checkpoint_root = options_.checkpoint_root;
    services_.start_time = executor_->Now();
    RETURN_IF_ERROR(ListenHttp());
    cherry_ = MakeCherryService(services_);
    gateway_ = MakeWorkerGateway(services_);
    return ListenGrpc();
  }

  absl::Status ListenHttp() {
    std::string token;
    if (options_.metrics_address != "none") {
      ASSIGN_OR_RETURN(const Endpoint address, ParseEndpoint(options_.metrics_address, "--metrics-address"));
      ASSIGN_OR_RETURN(metrics_server_, HttpServer::Listen({address, "--metrics-address", "", ""}));
    }
    if (options_.page_address != "none") {
      ASSIGN_OR_RETURN(const Endpoint address, ParseEndpoint(options_.page_address, "--page-address"));
      ASSIGN_OR_RETURN(token, LoadOrCreateToken(options_.home + "/page-token"));
      ASSIGN_OR_RETURN(page_server_,
                       HttpServer::Listen({address, "--page-address", options_.tls_cert, options_.tls_key}));
    }
    services_.metrics_address = metrics_address();
    page_ = std::make_unique<Page>(services_, token);
    if (metrics_server_ != nullptr) {
      const Door door = IsLoopback(metrics_server_->address().host) ? Door::kLoopback : Door::kExposed;
      metrics_server_->Serve(
          [this, door](const HttpRequest& request) { return page_->Answer(door, request); });
    }
    if (page_server_ != nullptr) {
      page_server_->Serve([this](const HttpRequest& request) { return page_->Answer(Door::kTls, request); });
    }
    return absl::OkStatus();
  }

  static std::string AddressOf(const std::unique_ptr<HttpServer>& server) {
    return server == nullptr ? "" : server->address().ToString();
  }

  absl::Status ListenGrpc() {
    gpr_set_log_function(LogGrpc);
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ServerCredentials> credentials, MakeCredentials(options_));
    grpc::ServerBuilder builder;
    grpc::ResourceQuota quota("coordinator");
    quota.Resize(kMostMemory);
    builder.SetResourceQuota(quota);
    builder.SetMaxReceiveMessageSize(kMostMessageBytes);
    builder.SetMaxSendMessageSize(2 * kMostMessageBytes);  // A page of jobs may be larger than any request.
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostStreams);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    // Workers ping to find a dead coordinator sooner than TCP does.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddListeningPort(options_.listen, credentials, &port_);
    builder.RegisterService(cherry_.get());
    builder.RegisterService(gateway_.get());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) {
      return Error(absl::StatusCode::kFailedPrecondition, "PORT_TAKEN", "--listen",
                   absl::StrCat("--listen: cannot listen on ", options_.listen),
                   "stop what uses the port, or give another --listen");
    }
    g_listening = true;
    return absl::OkStatus();
  }

  // For the metrics endpoint's thread: asks the executor and waits.
  Census TakeCensus() {
    auto promise = std::make_shared<std::promise<Census>>();
    std::future<Census> future = promise->get_future();
    executor_->Post([promise](Core* core, Decision*) -> Executor::Release {
      Census census = Count(core->state());
      return [promise, census = std::move(census)] { promise->set_value(census); };
    });
    // After Stop nobody answers.
    return future.wait_for(std::chrono::seconds(5)) == std::future_status::ready ? future.get() : Census();
  }

  ServerOptions options_;
  Services services_;
  SteadyClock clock_;
  LogStore logs_;
  WatchHub hub_;
  WorkerLinks links_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Core> core_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Janitor> janitor_;
  std::unique_ptr<grpc::Service> cherry_;
  std::unique_ptr<grpc::Service> gateway_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Page> page_;
  std::unique_ptr<HttpServer> metrics_server_;  // Stopped before what they ask goes.
  std::unique_ptr<HttpServer> page_server_;
  WorkQueue reader_;
  WorkQueue log_writer_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  bool drained_ = false;
};

}  // namespace

absl::Status CheckOptions(const ServerOptions& options) {
  if (options.home.empty()) {
    return InvalidField("FIELD_REQUIRED", "--home", "--home: is not given", "give --home or set CHERRY_HOME");
  }
  ASSIGN_OR_RETURN(const Endpoint listen, ParseEndpoint(options.listen, "--listen"));
  if (options.metrics_address != "none") {
    RETURN_IF_ERROR(ParseEndpoint(options.metrics_address, "--metrics-address").status());
  }
  const int given = !options.tls_cert.empty() + !options.tls_key.empty() + !options.tls_ca.empty();
  if (given != 0 && given != 3) {
    return InvalidField("TLS_INCOMPLETE", "--tls-cert",
                        "--tls-cert, --tls-key and --tls-ca: only some are given", "give all three");
  }
  if (given == 0 && !IsLoopback(listen.host)) {
    return Error(
        absl::StatusCode::kFailedPrecondition, "TLS_REQUIRED", "--listen",
        absl::StrCat("--listen: ", options.listen, " is not a loopback address, and there is no TLS"),
        "give --tls-cert, --tls-key and --tls-ca, or listen on 127.0.0.1");
  }
  if (options.page_address != "none") {
    RETURN_IF_ERROR(ParseEndpoint(options.page_address, "--page-address").status());
    if (given == 0) {
      return Error(
          absl::StatusCode::kFailedPrecondition, "TLS_REQUIRED", "--page-address",
          "--page-address: the page is served there over TLS only, and there is no certificate",
          "give --tls-cert, --tls-key and --tls-ca; on loopback --metrics-address serves it plainly");
    }
  }
  if (options.config.heartbeat <= absl::ZeroDuration() ||
      options.config.lease < 2 * options.config.heartbeat) {
    return InvalidField(
        "OUT_OF_RANGE", "--lease",
        absl::StrCat("--lease: ", absl::FormatDuration(options.config.lease),
                     " is less than two heartbeats of ", absl::FormatDuration(options.config.heartbeat)),
        "give a longer --lease or a shorter --heartbeat");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  auto server = std::make_unique<CoordinatorServer>(options);
  RETURN_IF_ERROR(server->Run());
  return server;
}

}  // namespace cherry::coordinator
