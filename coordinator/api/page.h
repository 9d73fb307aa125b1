// What the coordinator's HTTP ports answer: /metrics, the page, and the JSON behind it under /api/v1/. Who
// may see what depends on the door:
//
//                  /metrics   page and JSON
//   kLoopback      open       open, but only under a name of this machine, so that no foreign page reads them
//   (DNS rebinding) kExposed       open       403: they would travel in the clear kTls           404 the
//   page, which holds no data, is open; JSON for the reader's token
//
// Nothing changes anything: GET and HEAD only. Thread-safe.
#ifndef CHERRY_COORDINATOR_API_PAGE_H_
#define CHERRY_COORDINATOR_API_PAGE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "coordinator/api/http_server.h"
#include "coordinator/api/page_queries.h"
#include "coordinator/api/services.h"

namespace cherry::coordinator {

enum class Door { kLoopback, kExposed, kTls };

class Page {
 public:
  // `token` is the reader's, for kTls. Borrows what `services` points to.
  Page(const Services& services, std::string token);

  // Errors are JSON: {"code", "message", "reason", "field", "remedy"}. Blocks for a few seconds at most.
  HttpReply Answer(Door door, const HttpRequest& request) const;

 private:
  absl::StatusOr<HttpReply> Route(Door door, const HttpRequest& request) const;
  // Whether the request may go beyond /metrics, and for JSON who asks.
  absl::Status Admit(Door door, const HttpRequest& request) const;

  const PageQueries queries_;
  Metrics* const metrics_;
  const std::string token_;
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_PAGE_H_
