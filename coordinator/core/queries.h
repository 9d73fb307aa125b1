// Lists of what the core knows.
//
// Pure functions of the state, no thread safety.
#ifndef CHERRY_COORDINATOR_CORE_QUERIES_H_
#define CHERRY_COORDINATOR_CORE_QUERIES_H_

#include <map>
#include <string>
#include <tuple>

#include "absl/status/statusor.h"
#include "cherry/v1/coordinator.pb.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// Newest first. NOT_FOUND (PIPELINE_NOT_FOUND).
absl::StatusOr<v1::ListJobsResponse> ListJobs(const State& state, const v1::ListJobsRequest& request);
// Newest first, with the states of their jobs.
absl::StatusOr<v1::ListPipelinesResponse> ListPipelines(const State& state,
                                                        const v1::ListPipelinesRequest& request);
// Oldest first, without deleted ones.
absl::StatusOr<v1::ListCheckpointsResponse> ListCheckpoints(const JobEntry& entry,
                                                            const v1::ListCheckpointsRequest& request);
// By name.
absl::StatusOr<v1::ListWorkersResponse> ListWorkers(const State& state,
                                                    const v1::ListWorkersRequest& request);
absl::StatusOr<v1::ListDatasetsResponse> ListDatasets(const State& state,
                                                      const v1::ListDatasetsRequest& request);

absl::StatusOr<v1::ListPresetsResponse> ListPresets();

// For the metrics endpoint: gauges by their labels.
struct Census {
  std::map<std::tuple<std::string, std::string, std::string>, int64_t> jobs;  // kind, state, namespace
  std::map<std::string, int64_t> workers;                                     // state
  std::map<std::string, int64_t> slots;                                       // used, free, unavailable
};
Census Count(const State& state);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_QUERIES_H_
