// The edge over real gRPC on loopback, and a worker played by the test.
#ifndef CHERRY_TESTS_UNIT_COORDINATOR_API_FIXTURE_H_
#define CHERRY_TESTS_UNIT_COORDINATOR_API_FIXTURE_H_

#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cherry/v1/coordinator.grpc.pb.h"
#include "cherry/v1/worker.grpc.pb.h"
#include "common/file.h"
#include "common/ids.h"
#include "common/rpc_status.h"
#include "common/status.h"
#include "coordinator/api/server.h"
#include "tests/test_directory.h"

namespace cherry::coordinator {

constexpr auto kPatience = std::chrono::seconds(30);

inline absl::Status FromGrpc(const grpc::Status& status) {
  return DecodeRpcStatus(static_cast<absl::StatusCode>(status.error_code()), status.error_message(),
                         status.error_details());
}

class Api : public ::testing::Test {
 protected:
  Api() { Start(); }

  void Start() {
    ServerOptions options;
    options.home = home_;
    options.listen = "127.0.0.1:0";
    options.metrics_address = metrics_address_;
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    token_ = absl::StrCat("Bearer ", ReadFile(home_ + "/token").value());
    token_.pop_back();  // Its newline.
    channel_ =
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_->port()), grpc::InsecureChannelCredentials());
    cherry_ = v1::Cherry::NewStub(channel_);
  }
  void Restart() {
    server_.reset();
    Start();
  }

  std::unique_ptr<grpc::ClientContext> Context() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + kPatience);
    context->AddMetadata("authorization", token_);
    return context;
  }

  // Calls any method by its name with an empty request; streams count as one message.
  absl::Status CallByName(const std::string& method, const std::string& token,
                          std::chrono::milliseconds deadline) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + deadline);
    if (!token.empty()) {
      context.AddMetadata("authorization", token);
    }
    grpc::GenericStub stub(channel_);
    grpc::Slice slice;
    grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, method, grpc::StubOptions(), &request, &response,
                   [&done](grpc::Status status) { done.set_value(std::move(status)); });
    return FromGrpc(done.get_future().get());
  }

  static std::vector<std::string> Methods() {
    std::vector<std::string> methods;
    for (const google::protobuf::FileDescriptor* file :
         {v1::SubmitJobRequest::descriptor()->file(), v1::WorkerMessage::descriptor()->file()}) {
      for (int i = 0; i < file->service(0)->method_count(); ++i) {
        methods.push_back(
            absl::StrCat("/", file->service(0)->full_name(), "/", file->service(0)->method(i)->name()));
      }
    }
    return methods;
  }

  void AddDataset() {
    ASSERT_TRUE(MakeDirectories(home_ + "/data/ko").ok());
    v1::RegisterDatasetRequest request;
    request.set_request_id(NewUuid());
    v1::Dataset* dataset = request.mutable_dataset();
    dataset->set_name("ko");
    dataset->set_path("ko");
    dataset->set_vocab(2048);
    dataset->set_bytes_per_token(2);
    for (const char* name : {"train", "valid"}) {
      v1::Split* split = dataset->add_splits();
      split->set_name(name);
      split->set_tokens(1'000'000);
      split->set_documents(1000);
    }
    v1::Dataset reply;
    const grpc::Status status = cherry_->RegisterDataset(Context().get(), request, &reply);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  v1::SubmitJobRequest SubmitRequest(const std::string& name) {
    v1::SubmitJobRequest request;
    request.set_request_id(NewUuid());
    v1::JobSpec* spec = request.mutable_spec();
    spec->set_kind(v1::JobSpec::PRETRAIN);
    spec->set_name(name);
    spec->mutable_model()->set_preset("tiny");
    spec->mutable_data()->set_train("ko/train");
    spec->mutable_data()->set_valid("ko/valid");
    spec->mutable_train()->set_steps(10);
    return request;
  }

  const TestDirectory own_;
  const std::string home_ = own_.path();
  std::string metrics_address_ = "none";  // Of the next Start.
  std::string token_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Cherry::Stub> cherry_;
};

// A worker of one slot, played by the test.
class FakeWorker {
 public:
  FakeWorker(const std::shared_ptr<grpc::Channel>& channel, const std::string& token, const std::string& home)
      : stub_(v1::WorkerGateway::NewStub(channel)) {
    context_.AddMetadata("authorization", token);
    context_.set_deadline(std::chrono::system_clock::now() + kPatience);
    stream_ = stub_->Connect(&context_);
    v1::WorkerMessage message;
    v1::Register* hello = message.mutable_register_();
    hello->set_name("w0");
    hello->set_incarnation(NewUuid());
    hello->set_api_major(1);
    hello->add_slots()->set_device(v1::Resources::CPU);
    for (const std::string kind : {"data", "checkpoints"}) {
      v1::Root* root = hello->add_roots();
      root->set_kind(kind);
      root->set_id(ReadFile(absl::StrCat(home, "/", kind, "/.cherry-root")).value().substr(0, 36));
    }
    stream_->Write(message);
  }
  ~FakeWorker() {
    context_.TryCancel();
    v1::CoordinatorMessage message;
    while (stream_->Read(&message)) {
    }
    Drop(FromGrpc(stream_->Finish()));
  }

  // Reads until a message of this kind.
  v1::CoordinatorMessage Await(v1::CoordinatorMessage::BodyCase body) {
    v1::CoordinatorMessage message;
    while (stream_->Read(&message)) {
      if (message.body_case() == body) {
        return message;
      }
    }
    ADD_FAILURE() << "the stream ended";
    return {};
  }
  void Say(v1::WorkerMessage message) {
    message.set_sequence(++sequence_);
    stream_->Write(message);
  }

 private:
  std::unique_ptr<v1::WorkerGateway::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> stream_;
  int64_t sequence_ = 0;
};

}  // namespace cherry::coordinator

#endif  // CHERRY_TESTS_UNIT_COORDINATOR_API_FIXTURE_H_
