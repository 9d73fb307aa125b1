// The edge over real gRPC on loopback: who may call, what errors carry, and a job from submit to success with
// a worker played by the test.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cherry/v1/coordinator.grpc.pb.h"
#include "cherry/v1/worker.grpc.pb.h"
#include "common/file.h"
#include "common/ids.h"
#include "common/rpc_status.h"
#include "common/status.h"
#include "coordinator/api/roles.h"
#include "coordinator/api/server.h"

namespace cherry::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr auto kPatience = std::chrono::seconds(30);

absl::Status FromGrpc(const grpc::Status& status) {
  return DecodeRpcStatus(static_cast<absl::StatusCode>(status.error_code()), status.error_message(),
                         status.error_details());
}

class Api : public ::testing::Test {
 protected:
  Api() {
    const char* base = std::getenv("TMPDIR");
    std::string pattern = absl::StrCat(base == nullptr ? "/tmp" : base, "/cherry-api-XXXXXX");
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    home_ = pattern;
    Start();
  }
  ~Api() override {
    server_.reset();
    Drop(RemoveTree(home_));
  }

  void Start() {
    ServerOptions options;
    options.home = home_;
    options.listen = "127.0.0.1:0";
    options.metrics_address = "none";
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

  std::string home_;
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

TEST_F(Api, EveryMethodIsInTheTableOfRoles) {
  const std::vector<std::string> methods = Methods();
  EXPECT_EQ(methods.size(), RpcRules().size());
  for (const std::string& method : methods) {
    const std::string name = method.substr(method.rfind('/') + 1);
    EXPECT_TRUE(Authorise({"all", kSubmitter | kOperator | kWorker}, name).ok()) << name;
    EXPECT_EQ(InfoOf(Authorise({"nobody", 0}, name)).reason(), "ROLE_MISSING");
  }
  EXPECT_FALSE(Authorise({"all", kSubmitter | kOperator | kWorker}, "Unlisted").ok());
}

TEST_F(Api, NoMethodAnswersWithoutTheToken) {
  for (const std::string& method : Methods()) {
    const absl::Status without = CallByName(method, "", kPatience);
    EXPECT_EQ(without.code(), absl::StatusCode::kUnauthenticated) << method << without;
    EXPECT_EQ(InfoOf(without).reason(), "TOKEN_MISSING") << method;
    const absl::Status wrong = CallByName(method, token_ + "x", kPatience);
    EXPECT_EQ(wrong.code(), absl::StatusCode::kUnauthenticated) << method;
    EXPECT_EQ(InfoOf(wrong).reason(), "TOKEN_WRONG") << method;
    // A watch of all events waits for some: the short deadline ends it.
    const absl::Status right = CallByName(method, token_, std::chrono::milliseconds(500));
    EXPECT_NE(right.code(), absl::StatusCode::kUnauthenticated) << method;
    EXPECT_NE(right.code(), absl::StatusCode::kPermissionDenied) << method;
    EXPECT_EQ(right.code() == absl::StatusCode::kUnimplemented, method == "/cherry.v1.Cherry/SubmitPipeline")
        << method;
  }
}

TEST_F(Api, ADeadlineIsRequired) {
  grpc::ClientContext context;
  context.AddMetadata("authorization", token_);
  v1::ServerInfo info;
  const absl::Status status = FromGrpc(cherry_->GetServerInfo(&context, {}, &info));
  EXPECT_EQ(InfoOf(status).reason(), "DEADLINE_REQUIRED");
}

TEST_F(Api, AnotherMajorVersionIsRefused) {
  for (const auto& [version, fine] : {std::pair{"1", true}, std::pair{"1.7", true}, std::pair{"2", false}}) {
    auto context = Context();
    context->AddMetadata("cherry-api-version", version);
    v1::ServerInfo info;
    const absl::Status status = FromGrpc(cherry_->GetServerInfo(context.get(), {}, &info));
    EXPECT_EQ(status.ok(), fine) << version;
    EXPECT_EQ(InfoOf(status).reason(), fine ? "" : "API_VERSION_UNSUPPORTED");
  }
}

TEST_F(Api, ErrorsNameReasonFieldAndRemedy) {
  v1::SubmitJobResponse response;
  v1::SubmitJobRequest request = SubmitRequest("a");  // Its dataset is not registered.
  const absl::Status status = FromGrpc(cherry_->SubmitJob(Context().get(), request, &response));
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(InfoOf(status).field(), "data.train");
  EXPECT_FALSE(InfoOf(status).remedy().empty());
}

TEST_F(Api, ADatasetMustLieBeneathTheDataRoot) {
  v1::RegisterDatasetRequest request;
  request.set_request_id(NewUuid());
  request.mutable_dataset()->set_name("ko");
  v1::Dataset reply;
  for (const std::string path : {"../token", "/etc", "nowhere"}) {
    request.mutable_dataset()->set_path(path);
    const absl::Status status = FromGrpc(cherry_->RegisterDataset(Context().get(), request, &reply));
    EXPECT_FALSE(status.ok()) << path;
    EXPECT_EQ(InfoOf(status).field(), "dataset.path") << status;
  }
}

TEST_F(Api, ARepeatedSubmitGetsTheFirstReplyAlsoAfterARestart) {
  AddDataset();
  const v1::SubmitJobRequest request = SubmitRequest("a");
  v1::SubmitJobResponse first;
  ASSERT_TRUE(cherry_->SubmitJob(Context().get(), request, &first).ok());
  v1::SubmitJobResponse second;
  ASSERT_TRUE(cherry_->SubmitJob(Context().get(), request, &second).ok());
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
  Restart();
  v1::SubmitJobResponse third;
  ASSERT_TRUE(cherry_->SubmitJob(Context().get(), request, &third).ok());
  EXPECT_EQ(first.SerializeAsString(), third.SerializeAsString());
  v1::ListJobsResponse jobs;
  ASSERT_TRUE(cherry_->ListJobs(Context().get(), {}, &jobs).ok());
  EXPECT_THAT(jobs.jobs(), SizeIs(1));
}

TEST_F(Api, AJobRunsFromSubmitToSuccess) {
  AddDataset();
  v1::SubmitJobResponse submitted;
  ASSERT_TRUE(cherry_->SubmitJob(Context().get(), SubmitRequest("a"), &submitted).ok());
  auto watching = Context();
  v1::WatchJobRequest watch;
  watch.set_name(submitted.job().name());
  auto reader = cherry_->WatchJob(watching.get(), watch);

  FakeWorker worker(channel_, token_, home_);
  worker.Await(v1::CoordinatorMessage::kRegistered);
  const v1::StartAttempt start = worker.Await(v1::CoordinatorMessage::kStart).start();
  EXPECT_EQ(start.attempt().job_uid(), submitted.job().uid());
  v1::WorkerMessage message;
  *message.mutable_rank_started()->mutable_attempt() = start.attempt();
  worker.Say(message);
  *message.mutable_log()->mutable_attempt() = start.attempt();
  message.mutable_log()->set_data("one\ntwo\nthree\n");
  worker.Say(message);
  EXPECT_EQ(worker.Await(v1::CoordinatorMessage::kLogAck).log_ack().offset(), 14);
  *message.mutable_progress()->mutable_attempt() = start.attempt();
  message.mutable_progress()->mutable_progress()->set_step(10);
  v1::MetricSample* sample = message.mutable_progress()->add_samples();
  sample->set_name("loss/train");
  sample->set_step(10);
  sample->set_value(4.5);
  worker.Say(message);
  *message.mutable_checkpoint()->mutable_attempt() = start.attempt();
  message.mutable_checkpoint()->mutable_checkpoint()->set_step(10);
  message.mutable_checkpoint()->mutable_checkpoint()->set_path(start.checkpoint_directory() + "/step-10");
  message.mutable_checkpoint()->set_final(true);
  worker.Say(message);
  EXPECT_EQ(worker.Await(v1::CoordinatorMessage::kCommitted).committed().step(), 10);
  *message.mutable_rank_exited()->mutable_attempt() = start.attempt();
  message.mutable_rank_exited()->set_cause(v1::CAUSE_SUCCEEDED);
  worker.Say(message);

  v1::WatchJobResponse seen;
  std::vector<v1::MetricSample> samples;
  v1::Job::State last = v1::Job::STATE_UNSPECIFIED;
  while (reader->Read(&seen)) {
    last = seen.job().state();
    samples.insert(samples.end(), seen.samples().begin(), seen.samples().end());
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(last, v1::Job::SUCCEEDED);
  ASSERT_THAT(samples, SizeIs(1));
  EXPECT_EQ(samples[0].value(), 4.5);

  v1::ReadLogsRequest logs;
  logs.set_name(submitted.job().name());
  logs.set_tail_lines(2);
  logs.set_follow(true);  // It has ended: so does the stream.
  auto reading = Context();
  auto lines = cherry_->ReadLogs(reading.get(), logs);
  v1::ReadLogsResponse piece;
  std::string text;
  while (lines->Read(&piece)) {
    text += piece.data();
  }
  EXPECT_TRUE(lines->Finish().ok());
  EXPECT_EQ(text, "two\nthree\n");

  v1::ListMetricsRequest metrics;
  metrics.set_name(submitted.job().name());
  v1::ListMetricsResponse series;
  ASSERT_TRUE(cherry_->ListMetrics(Context().get(), metrics, &series).ok());
  EXPECT_THAT(series.samples(), SizeIs(1));
  v1::ExplainJobRequest explain;
  explain.set_name(submitted.job().name());
  v1::ExplainJobResponse explained;
  ASSERT_TRUE(cherry_->ExplainJob(Context().get(), explain, &explained).ok());
  EXPECT_EQ(explained.recent_events().rbegin()->type(), "Succeeded");
}

TEST_F(Api, DrainEndsTheStreamsOfWatchers) {
  auto watching = Context();
  auto reader = cherry_->WatchEvents(watching.get(), {});
  AddDataset();
  server_->Drain();
  v1::Event event;
  while (reader->Read(&event)) {
  }
  EXPECT_FALSE(reader->Finish().ok());
}

TEST_F(Api, HealthIsServed) {
  // grpc.health.v1: an empty request asks for the whole server. SERVING is 1.
  EXPECT_TRUE(CallByName("/grpc.health.v1.Health/Check", "", kPatience).ok());
}

// Certificates of an authority made for the test.
class Tls : public Api {
 protected:
  Tls() {
    Run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority "
        "-keyout ca.key -out ca.pem");
    MakeCertificate("server", "/CN=localhost");
    MakeCertificate("kim", "/O=team/OU=submitter/CN=kim");
    MakeCertificate("w0", "/OU=worker/CN=w0");
    MakeCertificate("nobody", "/CN=nobody");
    server_.reset();
    ServerOptions options;
    options.home = home_;
    options.listen = "127.0.0.1:0";
    options.metrics_address = "none";
    options.tls_cert = home_ + "/server.pem";
    options.tls_key = home_ + "/server.key";
    options.tls_ca = home_ + "/ca.pem";
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  void Run(const std::string& command) {
    ASSERT_EQ(std::system(absl::StrCat("cd ", home_, " && ", command, " >openssl.log 2>&1").c_str()), 0)
        << command;
  }
  void MakeCertificate(const std::string& name, const std::string& subject) {
    Run(absl::StrCat("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj ", subject,
                     " -keyout ", name, ".key -out ", name, ".csr"));
    Run(absl::StrCat("printf 'subjectAltName=DNS:localhost' > ext && openssl x509 -req -in ", name,
                     ".csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out ", name,
                     ".pem"));
  }
  // With that certificate, or none.
  void ConnectAs(const std::string& name) {
    grpc::SslCredentialsOptions ssl;
    ssl.pem_root_certs = ReadFile(home_ + "/ca.pem").value();
    if (!name.empty()) {
      ssl.pem_private_key = ReadFile(absl::StrCat(home_, "/", name, ".key")).value();
      ssl.pem_cert_chain = ReadFile(absl::StrCat(home_, "/", name, ".pem")).value();
    }
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("localhost");
    channel_ = grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", server_->port()),
                                         grpc::SslCredentials(ssl), arguments);
  }
  absl::Status Call(const std::string& method) {
    return CallByName("/cherry.v1." + method, "", std::chrono::milliseconds(2000));
  }
};

TEST_F(Tls, TheCertificateGivesTheRole) {
  ConnectAs("kim");
  EXPECT_TRUE(Call("Cherry/ListJobs").ok());
  EXPECT_EQ(InfoOf(Call("Cherry/SetWorkerState")).reason(), "ROLE_MISSING");
  EXPECT_EQ(InfoOf(Call("WorkerGateway/Connect")).reason(), "ROLE_MISSING");
  ConnectAs("w0");
  EXPECT_EQ(InfoOf(Call("Cherry/ListJobs")).reason(), "ROLE_MISSING");
  EXPECT_NE(InfoOf(Call("WorkerGateway/Connect")).reason(), "ROLE_MISSING");
  ConnectAs("nobody");
  EXPECT_EQ(InfoOf(Call("Cherry/ListJobs")).reason(), "CERTIFICATE_INVALID");
  ConnectAs("");
  EXPECT_FALSE(Call("Cherry/ListJobs").ok());
}

TEST_F(Tls, AWorkerRegistersOnlyItsOwnName) {
  ConnectAs("w0");
  const auto stub = v1::WorkerGateway::NewStub(channel_);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  auto stream = stub->Connect(&context);
  v1::WorkerMessage message;
  message.mutable_register_()->set_name("w1");
  stream->Write(message);
  v1::CoordinatorMessage answer;
  while (stream->Read(&answer)) {
  }
  EXPECT_EQ(InfoOf(FromGrpc(stream->Finish())).reason(), "WORKER_NAME_FOREIGN");
}

TEST(Options, OffLoopbackNothingStartsWithoutTls) {
  ServerOptions options;
  options.home = "/nowhere";
  options.listen = "0.0.0.0:7070";
  EXPECT_EQ(InfoOf(CheckOptions(options)).reason(), "TLS_REQUIRED");
  options.tls_cert = "cert.pem";
  EXPECT_EQ(InfoOf(CheckOptions(options)).reason(), "TLS_INCOMPLETE");
  options.listen = "127.0.0.1:7070";
  options.tls_cert.clear();
  EXPECT_TRUE(CheckOptions(options).ok());
  options.config.lease = absl::Seconds(1);
  EXPECT_EQ(InfoOf(CheckOptions(options)).field(), "--lease");
}

TEST_F(Api, ATokenFileThatOthersCanReadStopsTheStart) {
  server_.reset();
  ASSERT_EQ(chmod((home_ + "/token").c_str(), 0640), 0);
  ServerOptions options;
  options.home = home_;
  options.listen = "127.0.0.1:0";
  options.metrics_address = "none";
  EXPECT_EQ(InfoOf(Server::Start(options).status()).reason(), "TOKEN_FILE_EXPOSED");
}

TEST_F(Api, ATakenPortAndAStoreInUseAreOneClearError) {
  ServerOptions options;
  options.home = home_;
  options.listen = "127.0.0.1:0";
  options.metrics_address = "none";
  EXPECT_EQ(InfoOf(Server::Start(options).status()).reason(), "STORE_IN_USE");
  options.home = home_ + "/other";
  options.listen = absl::StrCat("127.0.0.1:", server_->port());
  const absl::Status status = Server::Start(options).status();
  EXPECT_EQ(InfoOf(status).field(), "--listen");
  EXPECT_THAT(std::string(status.message()), HasSubstr(options.listen));
}

}  // namespace
}  // namespace cherry::coordinator
