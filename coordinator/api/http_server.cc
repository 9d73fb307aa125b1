#include "coordinator/api/http_server.h"

#include <httplib.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <zlib.h>

#include <atomic>
#include <exception>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"

namespace cherry::coordinator {
namespace {

constexpr size_t kThreads = 64;  // A connection holds one for as long as it is kept; a browser has up to six.
constexpr time_t kKeepSeconds = 1;
constexpr size_t kMostRequests = 1000;  // Of one connection.
constexpr time_t kReadSeconds = 5;
constexpr time_t kWriteSeconds = 30;
constexpr size_t kMostBody = 64 << 10;
constexpr size_t kWorthPacking = 1024;

HttpRequest ToRequest(const httplib::Request& request) {
  HttpRequest out;
  out.method = request.method;
  out.path = request.path;
  out.query.insert(request.params.begin(), request.params.end());
  out.host = request.get_header_value("Host");
  out.authorization = request.get_header_value("Authorization");
  out.gzip = absl::StrContains(request.get_header_value("Accept-Encoding"), "gzip");
  return out;
}

// Empty when it fails.
std::string Gzip(const std::string& text) {
  constexpr int kGzipWindow = 15 + 16;
  z_stream stream = {};
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return "";
  }
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  out.resize(done ? stream.total_out : 0);
  deflateEnd(&stream);
  return out;
}

void Fill(HttpReply reply, bool gzip, httplib::Response* response) {
  response->status = reply.status;
  for (const auto& [name, value] : reply.headers) {
    response->set_header(name, value);
  }
  // A body with a provider is sent as it is. The library would compress text by itself, with Brotli's slowest
  // setting where the client takes that.
  if (reply.body.empty()) {
    return;
  }
  if (std::string packed = gzip && reply.body.size() > kWorthPacking ? Gzip(reply.body) : "";
      !packed.empty()) {
    reply.body = std::move(packed);
    response->set_header("Content-Encoding", "gzip");
  }
  const auto body = std::make_shared<const std::string>(std::move(reply.body));
  response->set_content_provider(body->size(), reply.type,
                                 [body](size_t offset, size_t length, httplib::DataSink& sink) {
                                   return sink.write(body->data() + offset, length);
                                 });
}

class HttplibServer final : public HttpServer {
 public:
  explicit HttplibServer(std::unique_ptr<httplib::Server> server) : server_(std::move(server)) {
    server_->new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    server_->set_keep_alive_max_count(kMostRequests);
    server_->set_keep_alive_timeout(kKeepSeconds);
    server_->set_read_timeout(kReadSeconds);
    server_->set_write_timeout(kWriteSeconds);
    server_->set_payload_max_length(kMostBody);
    server_->set_tcp_nodelay(true);
    // By default it shares a port with whoever listens on it already.
    server_->set_socket_options([](socket_t socket) {
      const int on = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    });
    server_->set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      // Other methods may carry a body, which is read, and bounded, before the error handler gets them.
      if (request.method != "GET" && request.method != "HEAD") {
        return httplib::Server::HandlerResponse::Unhandled;
      }
      Answer(request, &response);
      return httplib::Server::HandlerResponse::Handled;
    });
    server_->set_error_handler([this](const httplib::Request& request, httplib::Response& response) {
      const bool answered = request.method == "GET" || request.method == "HEAD" || request.method.empty();
      if (!answered && response.status != 413) {
        Answer(request, &response);
      }
    });
  }
  ~HttplibServer() override { Stop(); }

  absl::Status Bind(const HttpOptions& options) {
    const std::string& host = options.address.host;
    address_ = options.address;
    if (address_.port == 0) {
      address_.port = server_->bind_to_any_port(host);
    } else if (!server_->bind_to_port(host, address_.port)) {
      address_.port = -1;
    }
    if (address_.port <= 0) {
      return Error(absl::StatusCode::kFailedPrecondition, "PORT_TAKEN", options.flag,
                   absl::StrCat(options.flag, ": cannot listen on ", options.address.ToString()),
                   absl::StrCat("stop what uses the port, or give another ", options.flag));
    }
    return absl::OkStatus();
  }

  Endpoint address() const override { return address_; }
  void Serve(Handler handler) override {
    handler_ = std::move(handler);
    thread_ = std::thread([this] {
      server_->listen_after_bind();
      done_ = true;
    });
    // Before that a stop would be lost.
    while (!server_->is_running() && !done_) {
      std::this_thread::yield();
    }
  }
  void BeginStop() override {
    if (!stopping_.exchange(true)) {
      server_->stop();
    }
  }
  void Stop() override {
    BeginStop();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

 private:
  void Answer(const httplib::Request& request, httplib::Response* response) {
    if (request.ranges.size() > 1) {  // Of a long body, thousands of overlapping ones would make gigabytes.
      response->status = 416;
      return;
    }
    try {
      const HttpRequest asked = ToRequest(request);
      Fill(handler_(asked), asked.gzip, response);
    } catch (const std::exception& error) {
      LogError(absl::StrCat("a request over HTTP failed: ", error.what()));
      response->status = 500;
    }
  }

  const std::unique_ptr<httplib::Server> server_;
  Handler handler_;
  Endpoint address_;
  std::atomic<bool> done_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// Null when the files cannot be used.
std::unique_ptr<httplib::Server> MakeTlsServer(const HttpOptions& options) {
  auto server = std::make_unique<httplib::SSLServer>([&options](SSL_CTX& context) {
    return SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_use_certificate_chain_file(&context, options.cert.c_str()) == 1 &&
           SSL_CTX_use_PrivateKey_file(&context, options.key.c_str(), SSL_FILETYPE_PEM) == 1 &&
           SSL_CTX_check_private_key(&context) == 1;
  });
  return server->is_valid() ? std::move(server) : nullptr;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Listen(const HttpOptions& options) {
  std::unique_ptr<httplib::Server> plain =
      options.cert.empty() ? std::make_unique<httplib::Server>() : MakeTlsServer(options);
  if (plain == nullptr) {
    return Error(absl::StatusCode::kFailedPrecondition, "TLS_INVALID", options.flag,
                 absl::StrCat(options.flag, ": ", options.cert, " and ", options.key,
                              " are not a certificate and its key"),
                 "give PEM files that belong together as --tls-cert and --tls-key");
  }
  auto server = std::make_unique<HttplibServer>(std::move(plain));
  RETURN_IF_ERROR(server->Bind(options));
  return server;
}

}  // namespace cherry::coordinator
