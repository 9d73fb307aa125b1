// The one file of the agent that knows gRPC.
#include "worker/agent/stream_client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cherry/v1/worker.grpc.pb.h"
#include "common/file.h"
#include "common/rpc_status.h"
#include "common/status.h"
#include "common/version.h"

namespace cherry::worker {
namespace {

constexpr int kKeepaliveMs = 20000;
// A coordinator that has moved is to be found within a lease (10 s) of its start: from a connection that
// nobody acknowledges any more, or from dialling an address whose host is gone, which else takes 20 s. TCP,
// TLS and HTTP/2 take three round trips: a worker may be as far away as a second.
constexpr int kKeepaliveTimeoutMs = 4000;  // The socket's too, for unacknowledged bytes (TCP_USER_TIMEOUT).
constexpr int kConnectTimeoutMs = 3000;
constexpr int kMostMessageBytes = 64 << 20;
constexpr int64_t kMaxSecretBytes = 1 << 20;

std::chrono::nanoseconds Chrono(absl::Duration duration) { return absl::ToChronoNanoseconds(duration); }

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const StreamConfig& config) {
  if (config.tls_ca.empty()) {
    return grpc::InsecureChannelCredentials();
  }
  grpc::SslCredentialsOptions options;
  ASSIGN_OR_RETURN(options.pem_root_certs, ReadFile(config.tls_ca, kMaxSecretBytes));
  ASSIGN_OR_RETURN(options.pem_private_key, ReadFile(config.tls_key, kMaxSecretBytes));
  ASSIGN_OR_RETURN(options.pem_cert_chain, ReadFile(config.tls_cert, kMaxSecretBytes));
  return grpc::SslCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(const StreamConfig& config) {
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ChannelCredentials> credentials, Credentials(config));
  grpc::ChannelArguments arguments;
  // Each session dials anew: the waiting between them is ours, not gRPC's.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);  // Its name means something else.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetMaxReceiveMessageSize(kMostMessageBytes);
  return grpc::CreateCustomChannel(config.coordinator.ToString(), credentials, arguments);
}

absl::Status FromGrpc(const grpc::Status& status) {
  return DecodeRpcStatus(static_cast<absl::StatusCode>(status.error_code()), status.error_message(),
                         status.error_details());
}

}  // namespace

struct StreamClient::Session {
  std::unique_ptr<v1::WorkerGateway::Stub> stub;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> stream;
  bool over = false;  // Protected by the client's mutex_.
};

absl::StatusOr<std::unique_ptr<StreamClient>> StreamClient::Create(StreamConfig config, LogStore* logs,
                                                                   StreamEvents* events,
                                                                   Registration registration) {
  const bool tls = !config.tls_cert.empty() && !config.tls_key.empty() && !config.tls_ca.empty();
  const bool any = !config.tls_cert.empty() || !config.tls_key.empty() || !config.tls_ca.empty();
  if (any && !tls) {
    return InvalidField("TLS_INCOMPLETE", "--tls-cert", "--tls-cert, --tls-key and --tls-ca belong together",
                        "give all three or none");
  }
  if (!tls && !IsLoopback(config.coordinator.host)) {
    return Error(absl::StatusCode::kFailedPrecondition, "TLS_REQUIRED", "--coordinator",
                 absl::StrCat("--coordinator: ", config.coordinator.host, " is not on this machine"),
                 "give --tls-cert, --tls-key and --tls-ca: nothing goes over a network in the clear");
  }
  return std::unique_ptr<StreamClient>(
      new StreamClient(std::move(config), logs, events, std::move(registration)));
}

StreamClient::StreamClient(StreamConfig config, LogStore* logs, StreamEvents* events,
                           Registration registration)
    : config_(std::move(config)),
      logs_(logs),
      events_(events),
      registration_(std::move(registration)),
      backoff_(config_.backoff_base),
      random_(std::random_device()()) {}

void StreamClient::Start() {
  thread_ = std::thread([this] { Run(); });
}

StreamClient::~StreamClient() { Stop(); }

void StreamClient::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    if (session_ != nullptr) {
      session_->context.TryCancel();
    }
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void StreamClient::Report(v1::WorkerMessage message) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    outbox_.Report(std::move(message));
    ++wakes_;
  }
  changed_.notify_all();
}

void StreamClient::Offer(v1::WorkerMessage message) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    outbox_.Offer(std::move(message));
    ++wakes_;
  }
  changed_.notify_all();
}

void StreamClient::Wake() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++wakes_;
  }
  changed_.notify_all();
}

bool StreamClient::Flush(absl::Duration timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, Chrono(timeout),
                           [this] { return outbox_.unacknowledged() == 0 && logs_->Drained(); });
}

void StreamClient::Run() {
  while (true) {
    const absl::Status why = RunSession();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) {
        return;
      }
    }
    events_->OnDisconnected(why);
    WaitBeforeRetry();
  }
}

void StreamClient::WaitBeforeRetry() {
  std::uniform_real_distribution<double> jitter(0.5, 1.0);
  std::unique_lock<std::mutex> lock(mutex_);
  const absl::Duration wait = backoff_ * jitter(random_);
  backoff_ = std::min(config_.backoff_cap, 2 * backoff_);
  changed_.wait_for(lock, Chrono(wait), [this] { return stopping_; });
}

absl::Status StreamClient::RunSession() {
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Dial(config_));
  Session session;
  session.context.AddMetadata("cherry-api-version", absl::StrCat(kApiMajor));
  if (config_.tls_ca.empty()) {
    ASSIGN_OR_RETURN(const std::string token, ReadFile(config_.token_file, kMaxSecretBytes));
    session.context.AddMetadata("authorization", absl::StrCat("Bearer ", absl::StripAsciiWhitespace(token)));
  }
  v1::WorkerMessage first;
  ASSIGN_OR_RETURN(*first.mutable_register_(), registration_());
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) {
      return absl::CancelledError("stopping");
    }
    session_ = &session;
    registered_ = false;
  }
  session.stub = v1::WorkerGateway::NewStub(channel);
  session.stream = session.stub->Connect(&session.context);
  std::thread writer;
  if (session.stream->Write(first)) {
    writer = std::thread([this, &session] { WriteAll(&session); });
    ReadAll(&session);
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    session.over = true;
    registered_ = false;
  }
  changed_.notify_all();
  if (writer.joinable()) {
    session.context.TryCancel();
    writer.join();
  }
  const grpc::Status status = session.stream->Finish();
  const std::lock_guard<std::mutex> lock(mutex_);
  session_ = nullptr;
  return status.ok() ? absl::UnavailableError("the coordinator ended the stream") : FromGrpc(status);
}

void StreamClient::ReadAll(Session* session) {
  v1::CoordinatorMessage message;
  while (session->stream->Read(&message)) {
    Handle(std::move(message));
    message.Clear();
  }
}

void StreamClient::Handle(v1::CoordinatorMessage message) {
  switch (message.body_case()) {
    case v1::CoordinatorMessage::kRegistered: {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        outbox_.Restart();
        logs_->Restart();
        registered_ = true;
        backoff_ = config_.backoff_base;
      }
      events_->OnRegistered(message.registered());
      break;
    }
    case v1::CoordinatorMessage::kAck: {
      const std::lock_guard<std::mutex> lock(mutex_);
      outbox_.Ack(message.ack().sequence());
      break;
    }
    case v1::CoordinatorMessage::kLogAck:
      logs_->OnAck(message.log_ack());
      break;
    case v1::CoordinatorMessage::kStale:
      logs_->Drop(KeyOf(message.stale().attempt()));
      events_->OnDirective(std::move(message));
      break;
    default:
      events_->OnDirective(std::move(message));
  }
  changed_.notify_all();
}

void StreamClient::WriteAll(Session* session) {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, Chrono(config_.registration_timeout),
                      [this, session] { return registered_ || session->over; });
    if (!registered_ || session->over) {
      session->context.TryCancel();
      return;
    }
  }
  while (true) {
    uint64_t seen = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      seen = wakes_;
    }
    if (WriteNext(session)) {
      continue;
    }
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this, session, seen] { return session->over || wakes_ != seen; });
    if (session->over) {
      return;
    }
  }
}

bool StreamClient::WriteNext(Session* session) {
  v1::WorkerMessage message;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (session->over) {
      return false;
    }
    if (const v1::WorkerMessage* const next = outbox_.Peek()) {
      message = *next;
      outbox_.Pop();
    }
  }
  if (message.body_case() == v1::WorkerMessage::BODY_NOT_SET) {
    std::optional<v1::LogChunk> chunk = logs_->Next();
    if (!chunk.has_value()) {
      return false;
    }
    *message.mutable_log() = *std::move(chunk);
  }
  if (!session->stream->Write(message)) {
    session->context.TryCancel();  // The reader ends, and with it the session.
    const std::lock_guard<std::mutex> lock(mutex_);
    session->over = true;
    return false;
  }
  return true;
}

}  // namespace cherry::worker
