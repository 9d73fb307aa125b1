// A small HTTP/1.1 server around one handler: plain, or over TLS.
#ifndef CHERRY_COORDINATOR_API_HTTP_SERVER_H_
#define CHERRY_COORDINATOR_API_HTTP_SERVER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/endpoint.h"

namespace cherry::coordinator {

struct HttpRequest {
  std::string method;                             // Upper case.
  std::string path;                               // Decoded, without the query.
  std::multimap<std::string, std::string> query;  // Decoded.
  std::string host;                               // As the header has it; empty without one.
  std::string authorization;
  bool gzip = false;  // The client takes it.
};

struct HttpReply {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

struct HttpOptions {
  Endpoint address;  // Port 0 takes a free one.
  std::string flag;  // That errors name.
  std::string cert;  // PEM files; both, or none for plain HTTP.
  std::string key;
};

// Thread-safe. Requests are bounded: a line and each header of 8 KiB, a body of 64 KiB (which nobody reads),
// one range.
class HttpServer {
 public:
  // Called on one of several threads, for every request that can be read, whatever its method; may block for
  // seconds. To HEAD it answers as to GET.
  using Handler = std::function<HttpReply(const HttpRequest&)>;

  // Takes the port, and answers nothing yet. FAILED_PRECONDITION (PORT_TAKEN, TLS_INVALID) naming the flag.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Listen(const HttpOptions& options);
  virtual ~HttpServer() = default;

  virtual Endpoint address() const = 0;
  // Once.
  virtual void Serve(Handler handler) = 0;
  // Takes no more connections; requests under way are answered. Does not wait.
  virtual void BeginStop() = 0;
  // Waits until the handler is no longer called: at most the seconds that an idle connection is kept.
  virtual void Stop() = 0;
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_HTTP_SERVER_H_
