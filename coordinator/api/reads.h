// What calls read besides the core: pages of what the store keeps for a job, and the server itself.
//
// Thread-safe.
#ifndef CHERRY_COORDINATOR_API_READS_H_
#define CHERRY_COORDINATOR_API_READS_H_

#include <string>

#include "absl/status/statusor.h"
#include "cherry/v1/coordinator.pb.h"
#include "coordinator/api/services.h"
#include "coordinator/core/core.h"
#include "coordinator/store/store.h"

namespace cherry::coordinator {

constexpr int kRecentEvents = 10;  // Of an ExplainJobResponse.

// INVALID_ARGUMENT when the page's size or token is wrong.
absl::StatusOr<v1::ListMetricsResponse> ReadMetrics(Store* store, const std::string& uid,
                                                    const v1::ListMetricsRequest& request);
// An empty `uid` stands for the whole cluster.
absl::StatusOr<v1::ListEventsResponse> ReadEvents(Store* store, const std::string& uid,
                                                  const v1::ListEventsRequest& request);

// For the executor's thread.
v1::ServerInfo DescribeServer(const Services& services, const Core& core);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_READS_H_
