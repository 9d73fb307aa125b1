#include "common/endpoint.h"

#include <arpa/inet.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace cherry {

std::string Endpoint::ToString() const {
  const bool bare_ipv6 = absl::StrContains(host, ':');
  return bare_ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text, absl::string_view flag) {
  constexpr int kMaxPort = 65535;
  Endpoint endpoint;
  const size_t colon = text.rfind(':');
  absl::string_view host = text.substr(0, colon == absl::string_view::npos ? 0 : colon);
  const bool bracketed = absl::StartsWith(host, "[") && absl::EndsWith(host, "]");
  if (bracketed) {
    host = host.substr(1, host.size() - 2);
  }
  if (host.empty() || (!bracketed && absl::StrContains(host, ':')) ||
      !absl::SimpleAtoi(text.substr(colon + 1), &endpoint.port) || endpoint.port < 0 ||
      endpoint.port > kMaxPort) {
    return InvalidField("ENDPOINT_INVALID", flag, absl::StrCat(flag, ": '", text, "' is not HOST:PORT"),
                        "give for example 127.0.0.1:7070");
  }
  endpoint.host = std::string(host);
  return endpoint;
}

bool IsLoopback(absl::string_view host) {
  const std::string text(host);
  in_addr v4 = {};
  in6_addr v6 = {};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&v6);
  }
  return text == "localhost";
}

}  // namespace cherry
