// Lists that come in pages, read to their end.
#ifndef CHERRY_CLIENT_RPC_PAGES_H_
#define CHERRY_CLIENT_RPC_PAGES_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/rpc/client.h"
#include "common/status.h"

namespace cherry::client {

// Calls `take` with each page. `request` is the first page's.
template <typename Request, typename Response, typename Take>
absl::Status ReadPages(Client* client, absl::StatusOr<Response> (Client::*method)(Request), Request request,
                       const Take& take) {
  do {
    ASSIGN_OR_RETURN(const Response page, (client->*method)(request));
    take(page);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return absl::OkStatus();
}

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_RPC_PAGES_H_
