// `cherry get events`: the timeline of the cluster, of a namespace, or of jobs.
#ifndef CHERRY_CLIENT_CLI_GET_EVENTS_H_
#define CHERRY_CLIENT_CLI_GET_EVENTS_H_

#include "absl/status/status.h"
#include "client/cli/context.h"
#include "client/cli/get_query.h"

namespace cherry::client {

// Prints what there is; with query.watch also each that comes, until Ctrl-C or --timeout.
absl::Status GetEvents(Context* context, Client* client, const GetQuery& query);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_GET_EVENTS_H_
