#include "coordinator/api/page.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/endpoint.h"
#include "common/status.h"
#include "coordinator/api/roles.h"
#include "coordinator/api/token.h"
#include "coordinator/page/assets.h"
#include "nlohmann/json.hpp"

namespace cherry::coordinator {
namespace {

constexpr char kJson[] = "application/json; charset=utf-8";
constexpr char kApi[] = "/api/v1/";

struct Asset {
  const char* path;
  const char* type;
  const absl::string_view* text;
};
constexpr Asset kAssets[] = {
    {"/", "text/html; charset=utf-8", &page::kIndexHtml},
    {"/page.css", "text/css; charset=utf-8", &page::kPageCss},
    {"/page.js", "text/javascript; charset=utf-8", &page::kPageJs},
    {"/views.js", "text/javascript; charset=utf-8", &page::kViewsJs},
    {"/job.js", "text/javascript; charset=utf-8", &page::kJobJs},
    {"/parts.js", "text/javascript; charset=utf-8", &page::kPartsJs},
    {"/chart.js", "text/javascript; charset=utf-8", &page::kChartJs},
    {"/icon.svg", "image/svg+xml", &page::kIconSvg},
};

int HttpStatus(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kUnimplemented:
      return 405;  // Only a method can be that.
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

HttpReply ErrorReply(const absl::Status& status) {
  const v1::ErrorInfo info = InfoOf(status);
  const nlohmann::ordered_json body = {{"code", absl::StatusCodeToString(status.code())},
                                       {"message", std::string(status.message())},
                                       {"reason", info.reason()},
                                       {"field", info.field()},
                                       {"remedy", info.remedy()}};
  HttpReply reply{HttpStatus(status.code()), kJson, "", {}};
  // A path may hold anything.
  reply.body = body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  if (reply.status == 401) {
    reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  } else if (reply.status == 405) {
    reply.headers.emplace_back("Allow", "GET, HEAD");
  }
  return reply;
}

void Protect(HttpReply* reply) {
  for (const auto& [name, value] : {
           std::pair(
               "Content-Security-Policy",
               "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
               "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
               "require-trusted-types-for 'script'; trusted-types 'none'"),
           std::pair("X-Content-Type-Options", "nosniff"),
           std::pair("X-Frame-Options", "DENY"),
           std::pair("Referrer-Policy", "no-referrer"),
           std::pair("Cross-Origin-Opener-Policy", "same-origin"),
           std::pair("Cross-Origin-Resource-Policy", "same-origin"),
           std::pair("Cache-Control", "no-store"),
       }) {
    reply->headers.emplace_back(name, value);
  }
}

// The host of a Host header, without port and brackets.
absl::string_view HostOf(absl::string_view header) {
  if (absl::ConsumePrefix(&header, "[")) {
    return header.substr(0, header.find(']'));
  }
  return header.substr(0, header.rfind(':'));
}

}  // namespace

Page::Page(const Services& services, std::string token)
    : queries_(services), metrics_(services.metrics), token_(std::move(token)) {}

HttpReply Page::Answer(Door door, const HttpRequest& request) const {
  absl::StatusOr<HttpReply> reply = Route(door, request);
  if (!reply.ok()) {
    reply = ErrorReply(reply.status());
  }
  Protect(&*reply);
  return *std::move(reply);
}

absl::StatusOr<HttpReply> Page::Route(Door door, const HttpRequest& request) const {
  if (request.method != "GET" && request.method != "HEAD") {
    return Error(
        absl::StatusCode::kUnimplemented, "METHOD_NOT_ALLOWED", "",
        absl::StrCat(request.method.substr(0, 20), " is not answered here: this port changes nothing"),
        "use GET; change things with the command `cherry` or the API over gRPC");
  }
  if (door != Door::kTls && request.path == "/metrics") {
    return HttpReply{200, "text/plain; version=0.0.4; charset=utf-8", metrics_->Text(), {}};
  }
  RETURN_IF_ERROR(Admit(door, request));
  for (const Asset& asset : kAssets) {
    if (request.path == asset.path) {
      return HttpReply{200, asset.type, std::string(*asset.text), {}};
    }
  }
  absl::string_view path = request.path;
  if (!absl::ConsumePrefix(&path, kApi)) {
    return Error(absl::StatusCode::kNotFound, "PATH_UNKNOWN", "",
                 absl::StrCat("there is nothing at ", path.substr(0, 200)),
                 "the page is at /, its JSON under /api/v1/, metrics at /metrics of --metrics-address");
  }
  ASSIGN_OR_RETURN(std::string json, queries_.Get({"page", kReader}, path, request.query));
  return HttpReply{200, kJson, std::move(json), {}};
}

absl::Status Page::Admit(Door door, const HttpRequest& request) const {
  switch (door) {
    case Door::kLoopback:
      if (!IsLoopback(HostOf(request.host))) {
        return Error(
            absl::StatusCode::kPermissionDenied, "HOST_UNKNOWN", "Host",
            absl::StrCat("Host: '", request.host.substr(0, 80), "' is not a name of this machine's loopback"),
            "open it as http://localhost:PORT/ or http://127.0.0.1:PORT/");
      }
      return absl::OkStatus();
    case Door::kExposed:
      return Error(absl::StatusCode::kPermissionDenied, "PAGE_NEEDS_TLS", "--metrics-address",
                   "--metrics-address is plain HTTP off loopback, where only /metrics is served",
                   "give the coordinator --page-address with --tls-cert, --tls-key and --tls-ca, or a "
                   "--metrics-address on 127.0.0.1 and a tunnel to it (ssh -L)");
    case Door::kTls:
      break;
  }
  if (!absl::StartsWith(request.path, "/api/")) {
    return absl::OkStatus();  // A browser cannot send a token with the page itself.
  }
  absl::string_view given = request.authorization;
  if (given.empty()) {
    return Error(absl::StatusCode::kUnauthenticated, "TOKEN_MISSING", "authorization",
                 "the request carries no token",
                 "send 'Authorization: Bearer TOKEN' with the content of CHERRY_HOME/page-token");
  }
  if (!absl::ConsumePrefix(&given, "Bearer ") || !TokensEqual(given, token_)) {
    return Error(absl::StatusCode::kUnauthenticated, "TOKEN_WRONG", "authorization", "the token is wrong",
                 "use the content of CHERRY_HOME/page-token of this coordinator");
  }
  return absl::OkStatus();
}

}  // namespace cherry::coordinator
