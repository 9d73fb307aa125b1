// The page's port over real sockets: what it answers, to whom, and what it refuses.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <httplib.h>
#include <sys/stat.h>

#include "absl/strings/str_replace.h"
#include "nlohmann/json.hpp"
#include "tests/unit/coordinator/api_fixture.h"

namespace cherry::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Http : public Api {
 protected:
  Http() { Listen("127.0.0.1:0"); }

  void Listen(const std::string& address) {
    metrics_address_ = address;
    Restart();
    const std::string bound = server_->metrics_address();
    client_ = std::make_unique<httplib::Client>("127.0.0.1", std::stoi(bound.substr(bound.rfind(':') + 1)));
    client_->set_url_encode(false);
  }

  httplib::Response Get(const std::string& path, const httplib::Headers& headers = {}) {
    const httplib::Result result = client_->Get(path, headers);
    EXPECT_TRUE(result) << path << ": " << httplib::to_string(result.error());
    return result ? *result : httplib::Response();
  }
  static std::string ReasonOf(const httplib::Response& response) {
    const auto body = nlohmann::json::parse(response.body, nullptr, false);
    return body.is_object() ? body.value("reason", "") : "no JSON: " + response.body;
  }
  // What the path returns, as that message, and as printed again it is what the call returned.
  template <typename Message>
  void ExpectSame(const std::string& path, const Message& reply) {
    const httplib::Response response = Get("/api/v1/" + path);
    ASSERT_EQ(response.status, 200) << path << response.body;
    EXPECT_EQ(response.get_header_value("Content-Type"), "application/json; charset=utf-8");
    std::string printed;
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    ASSERT_TRUE(google::protobuf::util::MessageToJsonString(reply, &printed, options).ok());
    EXPECT_EQ(nlohmann::json::parse(response.body), nlohmann::json::parse(printed)) << path;
  }
  v1::Job Submit(const std::string& name) {
    v1::SubmitJobResponse response;
    const grpc::Status status = cherry_->SubmitJob(Context().get(), SubmitRequest(name), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.job();
  }

  std::unique_ptr<httplib::Client> client_;
};

TEST_F(Http, TheJsonIsWhatTheCallsReturn) {
  AddDataset();
  Submit("a");
  Submit("b");
  v1::ListJobsResponse jobs;
  ASSERT_TRUE(cherry_->ListJobs(Context().get(), {}, &jobs).ok());
  ASSERT_EQ(jobs.jobs_size(), 2);
  ExpectSame("jobs", jobs);
  v1::GetJobRequest get;
  get.set_name("namespaces/default/jobs/a");
  v1::Job job;
  ASSERT_TRUE(cherry_->GetJob(Context().get(), get, &job).ok());
  ExpectSame("jobs/default/a", job);
  v1::ExplainJobRequest explain;
  explain.set_name(get.name());
  v1::ExplainJobResponse explained;
  ASSERT_TRUE(cherry_->ExplainJob(Context().get(), explain, &explained).ok());
  EXPECT_EQ(explained.queue_position(), 1);
  EXPECT_GT(explained.recent_events_size(), 0);
  ExpectSame("jobs/default/a/explain", explained);
  v1::ListEventsRequest list;
  list.set_name(get.name());
  v1::ListEventsResponse events;
  ASSERT_TRUE(cherry_->ListEvents(Context().get(), list, &events).ok());
  ExpectSame("jobs/default/a/events", events);
  ASSERT_TRUE(cherry_->ListEvents(Context().get(), {}, &events).ok());
  ExpectSame("events", events);
  v1::ListDatasetsResponse datasets;
  ASSERT_TRUE(cherry_->ListDatasets(Context().get(), {}, &datasets).ok());
  ExpectSame("datasets", datasets);
  v1::ServerInfo info;
  ASSERT_TRUE(cherry_->GetServerInfo(Context().get(), {}, &info).ok());
  EXPECT_EQ(info.metrics_address(), server_->metrics_address());
  ExpectSame("server", info);
  for (const char* empty : {"workers", "pipelines", "jobs/default/a/metrics", "jobs/default/a/metrics/newest",
                            "jobs/default/a/checkpoints"}) {
    EXPECT_EQ(Get(absl::StrCat("/api/v1/", empty)).body, "{}") << empty;
  }
}

TEST_F(Http, AWorkerAndItsSlotsAreShown) {
  FakeWorker worker(channel_, token_, home_);
  worker.Await(v1::CoordinatorMessage::kRegistered);
  v1::ListWorkersResponse workers;
  ASSERT_TRUE(cherry_->ListWorkers(Context().get(), {}, &workers).ok());
  ASSERT_EQ(workers.workers_size(), 1);
  EXPECT_EQ(nlohmann::json::parse(Get("/api/v1/workers").body)["workers"][0]["slots"].size(), 1U);
  EXPECT_EQ(nlohmann::json::parse(Get("/api/v1/workers/w0").body)["name"], "w0");
  EXPECT_EQ(ReasonOf(Get("/api/v1/workers/w1")), "WORKER_NOT_FOUND");
}

TEST_F(Http, ListsArePagedAndFiltered) {
  AddDataset();
  for (const char* name : {"a", "b", "c"}) {
    Submit(name);
  }
  std::vector<std::string> names;
  std::string token;
  do {
    const auto page =
        nlohmann::json::parse(Get("/api/v1/jobs?states=PENDING&page_size=2&page_token=" + token).body);
    for (const auto& job : page.value("jobs", nlohmann::json::array())) {
      names.push_back(job["name"]);
    }
    token = page.value("next_page_token", "");
    if (names.size() == 2) {
      EXPECT_EQ(ReasonOf(Get("/api/v1/jobs?states=RUNNING&page_token=" + token)), "PAGE_TOKEN_INVALID");
    }
  } while (!token.empty());
  EXPECT_THAT(names, ::testing::ElementsAre("namespaces/default/jobs/c", "namespaces/default/jobs/b",
                                            "namespaces/default/jobs/a"));
  EXPECT_EQ(Get("/api/v1/jobs?labels=team%3Dko").body, "{}");
  EXPECT_EQ(Get("/api/v1/jobs?states=RUNNING&states=FAILED").body, "{}");
}

TEST_F(Http, WhatIsWrongIsNamed) {
  AddDataset();
  Submit("a");
  const std::vector<std::array<std::string, 3>> wrong = {
      {"/api/v1/jobs?sort=name", "FIELD_UNKNOWN", "sort"},
      {"/api/v1/jobs?page_size=many", "VALUE_INVALID", "page_size"},
      {"/api/v1/jobs?page_size=99999999999", "VALUE_INVALID", "page_size"},
      {"/api/v1/jobs?page_size=1&page_size=2", "FIELD_REPEATED", "page_size"},
      {"/api/v1/jobs?states=running", "VALUE_INVALID", "states"},
      {"/api/v1/jobs?labels=team", "VALUE_INVALID", "labels"},
      {"/api/v1/jobs?page_token=x", "PAGE_TOKEN_INVALID", "page_token"},
      {"/api/v1/jobs/default/a?name=b", "FIELD_UNKNOWN", "name"},
      {"/api/v1/jobs/default/a/metrics?after_step=x", "VALUE_INVALID", "after_step"},
  };
  for (const auto& [path, reason, field] : wrong) {
    const httplib::Response response = Get(path);
    EXPECT_EQ(response.status, 400) << path;
    const auto body = nlohmann::json::parse(response.body);
    EXPECT_EQ(body["reason"], reason) << path;
    EXPECT_EQ(body["field"], field) << path;
    EXPECT_NE(body["remedy"], "") << path;
  }
  EXPECT_EQ(Get("/api/v1/jobs?page_size=-1").status, 400);
  EXPECT_EQ(ReasonOf(Get("/api/v1/jobs/default/nobody")), "JOB_NOT_FOUND");
  EXPECT_EQ(ReasonOf(Get("/api/v1/jobs/default/nobody/metrics")), "JOB_NOT_FOUND");
}

TEST_F(Http, UnknownPathsAreNotFound) {
  for (const char* path :
       {"/x", "/index.html", "/page.js/", "/api", "/api/v1", "/api/v1/", "/api/v1/jobs/", "/api/v1/jobs/a",
        "/api/v1/jobs/default/a/logs", "/api/v1/jobs/default/a/metrics/newest/x", "/api/v1/jobs//a",
        "/api/v2/jobs", "/metrics/", "/../token", "/%2e%2e/token", "/<script>", "/%ff%00"}) {
    const httplib::Response response = Get(path);
    EXPECT_EQ(response.status, 404) << path;
    EXPECT_EQ(ReasonOf(response), "PATH_UNKNOWN") << path;
  }
}

TEST_F(Http, OtherMethodsAreRefusedAndTheConnectionGoesOn) {
  client_->set_keep_alive(true);
  const std::string body = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
  for (const char* path : {"/", "/metrics", "/api/v1/jobs"}) {
    for (const httplib::Result& result :
         {client_->Post(path, body, "text/plain"), client_->Put(path, body, "text/plain"),
          client_->Patch(path, body, "text/plain"), client_->Delete(path), client_->Options(path)}) {
      ASSERT_TRUE(result);
      EXPECT_EQ(result->status, 405);
      EXPECT_EQ(ReasonOf(*result), "METHOD_NOT_ALLOWED");
      EXPECT_EQ(result->get_header_value("Allow"), "GET, HEAD");
    }
    const httplib::Result head = client_->Head(path);
    ASSERT_TRUE(head);
    EXPECT_EQ(head->status, 200);
    EXPECT_EQ(head->body, "");
    EXPECT_EQ(Get(path).status, 200);
  }
  const httplib::Result large = client_->Post("/", std::string(1 << 20, 'x'), "text/plain");
  EXPECT_TRUE(!large || large->status == 413);
}

TEST_F(Http, OnlyNamesOfLoopbackMayReadMoreThanMetrics) {
  for (const char* host : {"example.com", "example.com:80", "127.0.0.1.example.com",
                           "localhost.example.com:7071", "10.0.0.1", "[::2]:80", "::1"}) {
    for (const char* path : {"/", "/page.js", "/api/v1/jobs"}) {
      const httplib::Response response = Get(path, {{"Host", host}});
      EXPECT_EQ(response.status, 403) << host;
      EXPECT_EQ(ReasonOf(response), "HOST_UNKNOWN") << host;
    }
    EXPECT_EQ(Get("/metrics", {{"Host", host}}).status, 200);
  }
  for (const char* host : {"localhost", "localhost:9000", "127.0.0.1", "127.0.0.2:1", "[::1]:7071"}) {
    EXPECT_EQ(Get("/api/v1/jobs", {{"Host", host}}).status, 200) << host;
  }
}

TEST_F(Http, EveryReplyIsProtected) {
  for (const char* path : {"/", "/page.css", "/metrics", "/api/v1/jobs", "/x"}) {
    const httplib::Response response = Get(path);
    EXPECT_THAT(response.get_header_value("Content-Security-Policy"), HasSubstr("default-src 'none'"))
        << path;
    EXPECT_THAT(response.get_header_value("Content-Security-Policy"), HasSubstr("frame-ancestors 'none'"))
        << path;
    EXPECT_THAT(response.get_header_value("Content-Security-Policy"), Not(HasSubstr("unsafe"))) << path;
    EXPECT_EQ(response.get_header_value("X-Content-Type-Options"), "nosniff") << path;
    EXPECT_EQ(response.get_header_value("Referrer-Policy"), "no-referrer") << path;
    EXPECT_EQ(response.get_header_value("Cross-Origin-Resource-Policy"), "same-origin") << path;
    EXPECT_FALSE(response.has_header("Access-Control-Allow-Origin")) << path;
  }
}

TEST_F(Http, ThePageAsksNobodyElseForAnything) {
  for (const char* path :
       {"/", "/page.css", "/page.js", "/views.js", "/job.js", "/parts.js", "/chart.js", "/icon.svg"}) {
    const httplib::Response response = Get(path);
    EXPECT_EQ(response.status, 200) << path;
    const std::string text = absl::StrReplaceAll(response.body, {{"http://www.w3.org/2000/svg", ""}});
    for (const char* never : {"http:", "https:", "innerHTML", "outerHTML", "insertAdjacentHTML",
                              "document.write", "eval(", " style=", " onclick="}) {
      EXPECT_THAT(text, Not(HasSubstr(never))) << path;
    }
  }
}

TEST_F(Http, MetricsAreTextForPrometheusAndPackedWhereAsked) {
  const httplib::Response response = Get("/metrics", {{"Accept-Encoding", "identity"}});
  EXPECT_EQ(response.get_header_value("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(response.body, HasSubstr("\ncherry_build_info{"));
  client_->set_decompress(true);
  const httplib::Response packed = Get("/metrics", {{"Accept-Encoding", "gzip"}});
  EXPECT_EQ(packed.get_header_value("Content-Encoding"), "gzip");
  EXPECT_THAT(packed.body, HasSubstr("\ncherry_build_info{"));
  EXPECT_EQ(Get("/metrics", {httplib::make_range_header({{0, 9}, {0, 9}, {0, 9}})}).status, 416);
}

TEST_F(Http, TextOfUsersIsData) {
  AddDataset();
  v1::SubmitJobRequest request = SubmitRequest("marked");
  const std::string mark = "<script>alert(1)</script>";
  (*request.mutable_spec()->mutable_labels())["team"] = mark;
  v1::SubmitJobResponse response;
  ASSERT_TRUE(cherry_->SubmitJob(Context().get(), request, &response).ok());
  const httplib::Response reply = Get("/api/v1/jobs/default/marked");
  EXPECT_THAT(reply.body, Not(HasSubstr("<script>")));
  EXPECT_EQ(nlohmann::json::parse(reply.body)["spec"]["labels"]["team"], mark);
}

TEST_F(Http, OffLoopbackWithoutTlsThereAreOnlyMetrics) {
  Listen("0.0.0.0:0");
  EXPECT_EQ(Get("/metrics").status, 200);
  for (const char* path : {"/", "/page.js", "/api/v1/jobs", "/api/v1/server"}) {
    const httplib::Response response = Get(path);
    EXPECT_EQ(response.status, 403) << path;
    EXPECT_EQ(ReasonOf(response), "PAGE_NEEDS_TLS") << path;
    EXPECT_THAT(response.body, HasSubstr("--page-address")) << path;
  }
}

TEST_F(Http, ATakenPortIsNamed) {
  ServerOptions options;
  options.home = home_ + "/other";
  options.listen = "127.0.0.1:0";
  options.metrics_address = server_->metrics_address();
  const absl::Status status = Server::Start(options).status();
  EXPECT_EQ(InfoOf(status).reason(), "PORT_TAKEN");
  EXPECT_EQ(InfoOf(status).field(), "--metrics-address");
}

TEST(PageOptions, ThePageAddressNeedsCertificates) {
  ServerOptions options;
  options.home = "/nowhere";
  options.page_address = "127.0.0.1:7443";
  EXPECT_EQ(InfoOf(CheckOptions(options)).reason(), "TLS_REQUIRED");
  EXPECT_EQ(InfoOf(CheckOptions(options)).field(), "--page-address");
  options.page_address = "7443";
  EXPECT_EQ(InfoOf(CheckOptions(options)).field(), "--page-address");
  options.page_address = "none";
  options.metrics_address = "localhost";
  EXPECT_EQ(InfoOf(CheckOptions(options)).field(), "--metrics-address");
}

class HttpsPage : public Http {
 protected:
  HttpsPage() {
    server_.reset();
    const std::string make = absl::StrCat(
        "cd ", home_,
        " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
        "/CN=localhost ",
        "-addext subjectAltName=DNS:localhost -keyout server.key -out server.pem > openssl.log 2>&1");
    EXPECT_EQ(std::system(make.c_str()), 0);
    options_.home = home_;
    options_.listen = "127.0.0.1:0";
    options_.metrics_address = "none";
    options_.page_address = "127.0.0.1:0";
    options_.tls_cert = options_.tls_ca = home_ + "/server.pem";
    options_.tls_key = home_ + "/server.key";
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    const std::string bound = server_->page_address();
    client_ = std::make_unique<httplib::Client>("https://localhost:" + bound.substr(bound.rfind(':') + 1));
    client_->set_ca_cert_path(options_.tls_cert.c_str());
  }
  ServerOptions options_;
};

TEST_F(HttpsPage, TellsThoseWithTheTokenOnly) {
  const std::string token = ReadFile(home_ + "/page-token").value().substr(0, 43);
  struct stat info;
  ASSERT_EQ(stat((home_ + "/page-token").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_NE(token_, "Bearer " + token);  // That one may change things.
  for (const char* path : {"/", "/page.js", "/icon.svg"}) {
    EXPECT_EQ(Get(path).status, 200) << path;
  }
  for (const char* path :
       {"/api/v1/jobs", "/api/v1/server", "/api/v1/jobs/default/a/explain", "/api/v1/x", "/api/x"}) {
    const httplib::Response without = Get(path);
    EXPECT_EQ(without.status, 401) << path;
    EXPECT_EQ(ReasonOf(without), "TOKEN_MISSING") << path;
    EXPECT_EQ(without.get_header_value("WWW-Authenticate"), "Bearer");
    for (const std::string& wrong :
         {std::string("Bearer "), "Bearer " + token + "x", "Basic " + token, token, token_}) {
      EXPECT_EQ(ReasonOf(Get(path, {{"Authorization", wrong}})), "TOKEN_WRONG") << path << wrong;
    }
  }
  const httplib::Headers given = {{"Authorization", "Bearer " + token}};
  EXPECT_EQ(Get("/api/v1/jobs", given).status, 200);
  EXPECT_EQ(Get("/api/v1/jobs?access_token=" + token).status, 401);
  EXPECT_EQ(Get("/metrics", given).status, 404);
}

TEST_F(HttpsPage, AKeyThatIsNotTheCertificatesStopsTheStart) {
  server_.reset();
  options_.tls_key = options_.tls_cert;
  const absl::Status status = Server::Start(options_).status();
  EXPECT_EQ(InfoOf(status).reason(), "TLS_INVALID");
  EXPECT_EQ(InfoOf(status).field(), "--page-address");
}

}  // namespace
}  // namespace cherry::coordinator
