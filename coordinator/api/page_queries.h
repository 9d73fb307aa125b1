// The read-only half of the API as HTTP paths: JOB stands for NAMESPACE/NAME, parameters are the request's
// fields.
//
//   server
//   jobs?namespace=&states=&labels=KEY=VALUE&pipeline=&page_size=&page_token=
//   jobs/JOB, jobs/JOB/explain, jobs/JOB/metrics?metric=&after_step=..., jobs/JOB/metrics/newest,
//   jobs/JOB/events?after_sequence=..., jobs/JOB/checkpoints
//   pipelines, workers, workers/NAME, datasets, events
#ifndef CHERRY_COORDINATOR_API_PAGE_QUERIES_H_
#define CHERRY_COORDINATOR_API_PAGE_QUERIES_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/api/roles.h"
#include "coordinator/api/services.h"

namespace cherry::coordinator {

using HttpQuery = std::multimap<std::string, std::string>;

// Thread-safe. Blocks until the executor has answered, a few seconds at most. Borrows what `services` points
// to.
class PageQueries {
 public:
  explicit PageQueries(const Services& services) : services_(services) {}

  // The message that the call of the same name returns, in protobuf JSON with the proto's field names. `path`
  // is what follows /api/v1/. NOT_FOUND (PATH_UNKNOWN), INVALID_ARGUMENT naming the parameter,
  // RESOURCE_EXHAUSTED (REPLY_TOO_LARGE, OVERLOADED), UNAVAILABLE (TIMED_OUT), PERMISSION_DENIED
  // (ROLE_MISSING), and the call's own.
  absl::StatusOr<std::string> Get(const Identity& identity, absl::string_view path,
                                  const HttpQuery& query) const;

 private:
  const Services services_;
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_PAGE_QUERIES_H_
