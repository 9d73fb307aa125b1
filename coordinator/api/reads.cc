#include "coordinator/api/reads.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/version.h"
#include "coordinator/core/paging.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

absl::StatusOr<v1::ListMetricsResponse> ReadMetrics(Store* store, const std::string& uid,
                                                    const v1::ListMetricsRequest& request) {
  const std::string arguments =
      absl::StrCat(request.name(), "|", request.metric(), "|", request.after_step());
  ASSIGN_OR_RETURN(const int size, PageSize(request.page_size(), 1000, 10000));
  ASSIGN_OR_RETURN(const std::string position, ReadPageToken(arguments, request.page_token()));
  std::string next;
  ASSIGN_OR_RETURN(const std::vector<v1::MetricSample> samples,
                   store->ReadSamples(uid, request.metric(), request.after_step(), position, size, &next));
  v1::ListMetricsResponse answer;
  answer.mutable_samples()->Assign(samples.begin(), samples.end());
  if (!next.empty()) {
    answer.set_next_page_token(MakePageToken(arguments, next));
  }
  return answer;
}

absl::StatusOr<v1::ListEventsResponse> ReadEvents(Store* store, const std::string& uid,
                                                  const v1::ListEventsRequest& request) {
  const std::string arguments = absl::StrCat(request.name(), "|", request.after_sequence());
  ASSIGN_OR_RETURN(const int size, PageSize(request.page_size(), 100, 1000));
  ASSIGN_OR_RETURN(const std::string position, ReadPageToken(arguments, request.page_token()));
  int64_t after = request.after_sequence();
  if (!position.empty() && !absl::SimpleAtoi(position, &after)) {
    return absl::InternalError("a page token of this server cannot be read");
  }
  ASSIGN_OR_RETURN(const std::vector<v1::Event> events, store->ReadEvents(uid, after, size));
  v1::ListEventsResponse answer;
  answer.mutable_events()->Assign(events.begin(), events.end());
  if (static_cast<int>(events.size()) == size) {
    answer.set_next_page_token(MakePageToken(arguments, absl::StrCat(events.back().sequence())));
  }
  return answer;
}

v1::ServerInfo DescribeServer(const Services& services, const Core& core) {
  v1::ServerInfo info;
  info.set_version(kVersion);
  info.set_api_major(kApiMajor);
  *info.mutable_start_time() = ToProto(services.start_time);
  info.set_jobs(static_cast<int64_t>(core.state().jobs.size()));
  info.set_workers(static_cast<int32_t>(core.state().workers.size()));
  info.set_metrics_address(services.metrics_address);
  return info;
}

}  // namespace cherry::coordinator
