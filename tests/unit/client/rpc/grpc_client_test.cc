#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "absl/time/clock.h"
#include "cherry/v1/coordinator.grpc.pb.h"
#include "client/rpc/client.h"
#include "client/rpc/pages.h"
#include "common/file.h"
#include "common/rpc_status.h"
#include "common/status.h"
#include "tests/relay.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::HasSubstr;

// Answers a few calls and keeps what came with them.
class FakeServer final : public v1::Cherry::Service {
 public:
  FakeServer() { Start(0); }
  ~FakeServer() override { Stop(); }

  void Start(int port) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  void Stop() {
    if (server_ != nullptr) {
      server_->Shutdown(absl::ToChronoTime(absl::Now()));
      server_->Wait();
      server_.reset();
    }
  }
  ClientOptions Options() const {
    ClientOptions options;
    options.address = "127.0.0.1:" + std::to_string(port_);
    options.timeout = absl::Seconds(20);
    return options;
  }

  grpc::Status SubmitJob(grpc::ServerContext* context, const v1::SubmitJobRequest* request,
                         v1::SubmitJobResponse* response) override {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, value] : context->client_metadata()) {
      metadata_[std::string(key.data(), key.size())] = std::string(value.data(), value.size());
    }
    deadline_given_ = context->deadline() != std::chrono::system_clock::time_point::max();
    request_ids_.push_back(request->request_id());
    if (unavailable_ > 0) {
      --unavailable_;
      return {grpc::StatusCode::UNAVAILABLE, "starting"};
    }
    if (!failure_.ok()) {
      return {static_cast<grpc::StatusCode>(failure_.code()), std::string(failure_.message()),
              EncodeRpcStatus(failure_)};
    }
    response->mutable_job()->set_name("namespaces/default/jobs/a");
    return grpc::Status::OK;
  }

  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest* request,
                           v1::ListWorkersResponse* response) override {
    const int index = request->page_token().empty() ? 0 : std::stoi(request->page_token());
    response->add_workers()->set_name("w" + std::to_string(index));
    response->set_next_page_token(index < 2 ? std::to_string(index + 1) : "");
    return grpc::Status::OK;
  }

  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest*,
                        grpc::ServerWriter<v1::WatchJobResponse>* writer) override {
    v1::WatchJobResponse message;
    for (int step = 1; step <= 3; ++step) {
      message.mutable_job()->mutable_progress()->set_step(step);
      writer->Write(message);
    }
    std::unique_lock lock(mutex_);
    watching_ = true;
    changed_.notify_all();
    // Until the client hangs up or the test lets the stream end.
    while (!context->IsCancelled() && !end_watches_) {
      changed_.wait_for(lock, std::chrono::milliseconds(20));
    }
    return context->IsCancelled() ? grpc::Status::CANCELLED : grpc::Status::OK;
  }

  void WaitUntilWatched() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(30), [this] { return watching_; }));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::string> request_ids_;
  int unavailable_ = 0;
  absl::Status failure_;
  bool deadline_given_ = false;
  bool watching_ = false;
  bool end_watches_ = false;
  int port_ = 0;
  const TestDirectory own_;
  const std::string directory_ = own_.path();

 private:
  std::unique_ptr<grpc::Server> server_;
};

std::unique_ptr<Client> Connect(const ClientOptions& options) {
  auto client = NewClient(options);
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

TEST(GrpcClient, SendsTokenVersionDeadlineAndRequestId) {
  FakeServer server;
  ClientOptions options = server.Options();
  options.token_file = server.directory_ + "/token";
  std::ofstream(options.token_file) << "secret-1\n";
  ASSERT_TRUE(Connect(options)->SubmitJob({}).ok());
  EXPECT_EQ(server.metadata_["authorization"], "Bearer secret-1");
  EXPECT_EQ(server.metadata_["cherry-api-version"], "1");
  EXPECT_TRUE(server.deadline_given_);
  EXPECT_EQ(server.request_ids_.at(0).size(), 36u);
}

TEST(GrpcClient, GoesWithoutATokenThatIsNotThereUnlessItWasNamed) {
  FakeServer server;
  ClientOptions options = server.Options();
  options.token_file = server.directory_ + "/absent";
  EXPECT_TRUE(Connect(options)->SubmitJob({}).ok());
  EXPECT_EQ(server.metadata_.count("authorization"), 0u);
  options.token_required = true;
  const absl::Status status = Connect(options)->SubmitJob({}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("absent"));
}

TEST(GrpcClient, RepeatsWithTheSameRequestIdWhileUnavailable) {
  FakeServer server;
  server.unavailable_ = 3;
  ClientOptions options = server.Options();
  int told = 0;
  options.on_retry = [&told](const absl::Status&) { ++told; };
  EXPECT_TRUE(Connect(options)->SubmitJob({}).ok());
  ASSERT_EQ(server.request_ids_.size(), 4u);
  for (const std::string& id : server.request_ids_) {
    EXPECT_EQ(id, server.request_ids_[0]);
  }
  EXPECT_EQ(told, 1);
}

TEST(GrpcClient, RepeatsNothingElseAndKeepsTheErrorsDetails) {
  FakeServer server;
  server.failure_ = Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE", "train.steps",
                          "train.steps: 0 is not in 1..10", "give at least 1");
  const absl::Status status = Connect(server.Options())->SubmitJob({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "train.steps: 0 is not in 1..10");
  EXPECT_EQ(InfoOf(status).field(), "train.steps");
  EXPECT_EQ(InfoOf(status).remedy(), "give at least 1");
  EXPECT_EQ(server.request_ids_.size(), 1u);
}

TEST(GrpcClient, GivesUpOnACoordinatorThatIsAway) {
  FakeServer server;
  server.Stop();
  ClientOptions options = server.Options();
  options.timeout = absl::Milliseconds(500);
  const absl::Status status = Connect(options)->SubmitJob({}).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(options.address));
  EXPECT_THAT(InfoOf(status).remedy(), HasSubstr("cherry local start"));
}

TEST(GrpcClient, ComesThroughARestartOfTheCoordinator) {
  FakeServer server;
  const auto client = Connect(server.Options());
  ASSERT_TRUE(client->SubmitJob({}).ok());
  server.Stop();
  std::thread restart([&server] { server.Start(server.port_); });
  EXPECT_TRUE(client->SubmitJob({}).ok());
  restart.join();
}

TEST(GrpcClient, SaysThatNobodyAnsweredAtAnAddressWhoseHostIsGone) {
  Relay network(1);
  network.SetSilent(true);
  ClientOptions options;
  options.address = "127.0.0.1:" + std::to_string(network.port());
  options.timeout = absl::Seconds(1);
  const absl::Status status = Connect(options)->SubmitJob({}).status();
  EXPECT_EQ(InfoOf(status).reason(), "COORDINATOR_UNREACHABLE") << status;
}

TEST(GrpcClient, ReachesACoordinatorThatIsFarAway) {
  FakeServer server;
  const Relay network(server.port_, absl::Milliseconds(700));
  ClientOptions options = server.Options();
  options.address = "127.0.0.1:" + std::to_string(network.port());
  EXPECT_TRUE(Connect(options)->SubmitJob({}).ok());
}

TEST(GrpcClient, ReadsAllPages) {
  FakeServer server;
  const auto client = Connect(server.Options());
  std::vector<std::string> names;
  ASSERT_TRUE(ReadPages(client.get(), &Client::ListWorkers, v1::ListWorkersRequest(),
                        [&](const v1::ListWorkersResponse& page) { names.push_back(page.workers(0).name()); })
                  .ok());
  EXPECT_THAT(names, testing::ElementsAre("w0", "w1", "w2"));
}

TEST(GrpcClient, AStreamEndsWhenTheReceiverHangsUp) {
  FakeServer server;
  int seen = 0;
  EXPECT_TRUE(
      Connect(server.Options())
          ->WatchJob({}, absl::InfiniteFuture(), [&](const v1::WatchJobResponse&) { return ++seen < 2; })
          .ok());
  EXPECT_EQ(seen, 2);
}

TEST(GrpcClient, AStreamEndsAtItsDeadline) {
  FakeServer server;
  const absl::Status status = Connect(server.Options())
                                  ->WatchJob({}, absl::Now() + absl::Milliseconds(200),
                                             [](const v1::WatchJobResponse&) { return true; });
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

TEST(GrpcClient, InterruptEndsAStreamAndAllLaterCalls) {
  FakeServer server;
  const auto client = Connect(server.Options());
  std::thread interrupt([&] {
    server.WaitUntilWatched();
    client->Interrupt();
  });
  const absl::Status status =
      client->WatchJob({}, absl::InfiniteFuture(), [](const v1::WatchJobResponse&) { return true; });
  interrupt.join();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_TRUE(absl::IsCancelled(client->SubmitJob({}).status()));
}

TEST(GrpcClient, RefusesOptionsThatCannotBeSafe) {
  ClientOptions options;
  options.address = "far.example:7070";
  EXPECT_EQ(InfoOf(NewClient(options).status()).reason(), "TLS_REQUIRED");
  options.tls_ca = "/tmp/ca.pem";
  EXPECT_EQ(InfoOf(NewClient(options).status()).reason(), "TLS_INCOMPLETE");
}

}  // namespace
}  // namespace cherry::client
