#include "fake_gateway.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "cherry/v1/worker.grpc.pb.h"

namespace cherry::worker {
namespace {

using Stream = grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::WorkerMessage>;

}  // namespace

struct FakeGateway::Impl final : public v1::WorkerGateway::Service {
  grpc::Status Connect(grpc::ServerContext* context, Stream* stream) override {
    const auto token = context->client_metadata().find("authorization");
    if (token == context->client_metadata().end() ||
        std::string(token->second.data(), token->second.size()) != "Bearer " + secret) {
      return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "wrong token");
    }
    {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!open) {
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "closed");
      }
      streams[stream] = context;
    }
    v1::WorkerMessage message;
    while (stream->Read(&message)) {
      Receive(stream, message);
    }
    const std::lock_guard<std::mutex> lock(mutex);
    streams.erase(stream);
    return grpc::Status::OK;
  }

  void Receive(Stream* stream, const v1::WorkerMessage& message) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      v1::CoordinatorMessage answer;
      if (message.has_register_()) {
        answer.mutable_registered()->mutable_heartbeat_interval()->set_nanos(100000000);
        answer.mutable_registered()->mutable_lease()->set_seconds(10);
        stream->Write(answer);
      } else if (message.has_log()) {
        *answer.mutable_log_ack()->mutable_attempt() = message.log().attempt();
        answer.mutable_log_ack()->set_rank(message.log().rank());
        answer.mutable_log_ack()->set_offset(message.log().offset() +
                                             static_cast<int64_t>(message.log().data().size()));
        stream->Write(answer);
      } else if (message.sequence() > 0 && acknowledge) {
        answer.mutable_ack()->set_sequence(message.sequence());
        stream->Write(answer);
      }
      received.push_back(message);
    }
    changed.notify_all();
  }

  std::string secret;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
  mutable std::mutex mutex;
  std::condition_variable changed;
  // Protected by mutex:
  bool open = true;
  bool acknowledge = true;
  std::map<Stream*, grpc::ServerContext*> streams;
  Messages received;
};

FakeGateway::FakeGateway(const std::string& token, int port) : impl_(std::make_unique<Impl>()) {
  impl_->secret = token;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(), &impl_->port);
  builder.RegisterService(impl_.get());
  impl_->server = builder.BuildAndStart();
}

FakeGateway::~FakeGateway() {
  Close();
  impl_->server->Shutdown(std::chrono::system_clock::now());
}

int FakeGateway::port() const { return impl_->port; }

void FakeGateway::SetAcknowledge(bool acknowledge) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  impl_->acknowledge = acknowledge;
}

void FakeGateway::Send(const v1::CoordinatorMessage& message) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  for (const auto& [stream, context] : impl_->streams) {
    stream->Write(message);
  }
}

void FakeGateway::Close() {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  impl_->open = false;
  for (const auto& [stream, context] : impl_->streams) {
    context->TryCancel();
  }
}

void FakeGateway::Open() {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  impl_->open = true;
}

bool FakeGateway::Await(const std::function<bool(const Messages&)>& condition) {
  std::unique_lock<std::mutex> lock(impl_->mutex);
  return impl_->changed.wait_for(lock, std::chrono::minutes(1), [&] { return condition(impl_->received); });
}

FakeGateway::Messages FakeGateway::messages() const {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  return impl_->received;
}

}  // namespace cherry::worker
