// What a coordinator asks for before it starts: certificates, options, a home of its own.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "absl/strings/match.h"
#include "tests/unit/coordinator/api_fixture.h"

namespace cherry::coordinator {
namespace {

using ::testing::HasSubstr;

// Certificates of an authority made for the test.
class Tls : public Api {
 protected:
  Tls() {
    Run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority "
        "-keyout ca.key -out ca.pem");
    MakeCertificate("server", "/CN=localhost");
    MakeCertificate("kim", "/O=team/OU=submitter/CN=kim");
    MakeCertificate("w0", "/OU=worker/CN=w0");
    MakeCertificate("eva", "/OU=reader/CN=eva");
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

TEST_F(Tls, AReaderSeesEverythingAndChangesNothing) {
  ConnectAs("eva");
  for (const std::string& method : Methods()) {
    const std::string name = method.substr(method.rfind('/') + 1);
    const bool reads = absl::StartsWith(name, "Get") || absl::StartsWith(name, "List") ||
                       absl::StartsWith(name, "Watch") || name == "ExplainJob" || name == "ReadLogs";
    const absl::Status status = CallByName(method, "", std::chrono::milliseconds(2000));
    EXPECT_EQ(InfoOf(status).reason() == "ROLE_MISSING", !reads) << method << status;
  }
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
