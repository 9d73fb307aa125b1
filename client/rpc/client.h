// The coordinator's API as a client library: one method a call, without gRPC in the header.
//
// A unary call has a deadline and is repeated, with growing pauses, while the coordinator is UNAVAILABLE,
// until ClientOptions.timeout has passed. Repeating is safe: a mutation's request_id is filled in once,
// before the first try, where the caller left it empty. Errors carry the coordinator's ErrorInfo.
//
// Thread-safe.
#ifndef CHERRY_CLIENT_RPC_CLIENT_H_
#define CHERRY_CLIENT_RPC_CLIENT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cherry/v1/coordinator.pb.h"

namespace cherry::client {

struct ClientOptions {
  std::string address = "127.0.0.1:7070";
  // Read for each try; on loopback the coordinator asks for it. Empty: no token is sent.
  std::string token_file;
  // Whether a missing token file is an error; else the call goes without, and the coordinator decides.
  bool token_required = false;
  // Mutual TLS; all three or, on loopback only, none.
  std::string tls_cert;
  std::string tls_key;
  std::string tls_ca;
  // Of a unary call with all its retries.
  absl::Duration timeout = absl::Seconds(30);
  // Told once a call, before it is repeated for the first time; may be empty.
  std::function<void(const absl::Status&)> on_retry;
};

class Client {
 public:
  virtual ~Client() = default;

  virtual absl::StatusOr<v1::SubmitJobResponse> SubmitJob(v1::SubmitJobRequest request) = 0;
  virtual absl::StatusOr<v1::SubmitPipelineResponse> SubmitPipeline(v1::SubmitPipelineRequest request) = 0;
  virtual absl::StatusOr<v1::ListPipelinesResponse> ListPipelines(v1::ListPipelinesRequest request) = 0;
  virtual absl::StatusOr<v1::Job> GetJob(v1::GetJobRequest request) = 0;
  virtual absl::StatusOr<v1::ListJobsResponse> ListJobs(v1::ListJobsRequest request) = 0;
  virtual absl::StatusOr<v1::Job> CancelJob(v1::CancelJobRequest request) = 0;
  virtual absl::StatusOr<v1::Job> PauseJob(v1::PauseJobRequest request) = 0;
  virtual absl::StatusOr<v1::Job> ResumeJob(v1::ResumeJobRequest request) = 0;
  virtual absl::StatusOr<v1::ExplainJobResponse> ExplainJob(v1::ExplainJobRequest request) = 0;
  virtual absl::StatusOr<v1::ListMetricsResponse> ListMetrics(v1::ListMetricsRequest request) = 0;
  virtual absl::StatusOr<v1::ListEventsResponse> ListEvents(v1::ListEventsRequest request) = 0;
  virtual absl::StatusOr<v1::Checkpoint> GetCheckpoint(v1::GetCheckpointRequest request) = 0;
  virtual absl::StatusOr<v1::ListCheckpointsResponse> ListCheckpoints(v1::ListCheckpointsRequest request) = 0;
  virtual absl::StatusOr<v1::Checkpoint> ReportCheckpoint(v1::ReportCheckpointRequest request) = 0;
  virtual absl::StatusOr<v1::Worker> GetWorker(v1::GetWorkerRequest request) = 0;
  virtual absl::StatusOr<v1::ListWorkersResponse> ListWorkers(v1::ListWorkersRequest request) = 0;
  virtual absl::StatusOr<v1::Worker> SetWorkerState(v1::SetWorkerStateRequest request) = 0;
  virtual absl::StatusOr<v1::Dataset> RegisterDataset(v1::RegisterDatasetRequest request) = 0;
  virtual absl::StatusOr<v1::Dataset> GetDataset(v1::GetDatasetRequest request) = 0;
  virtual absl::StatusOr<v1::ListDatasetsResponse> ListDatasets(v1::ListDatasetsRequest request) = 0;
  virtual absl::StatusOr<v1::Model> RegisterModel(v1::RegisterModelRequest request) = 0;
  virtual absl::StatusOr<v1::ListModelsResponse> ListModels(v1::ListModelsRequest request) = 0;
  virtual absl::StatusOr<v1::ListPresetsResponse> ListPresets(v1::ListPresetsRequest request) = 0;
  virtual absl::StatusOr<v1::ServerInfo> GetServerInfo(v1::GetServerInfoRequest request) = 0;

  // Streams. `receive` gets each message in order and returns false to hang up. OK: the coordinator ended the
  // stream or `receive` hung up; kCancelled: Interrupt() was called. A stream is not repeated: the caller
  // knows from where to go on. No deadline but `deadline`.
  virtual absl::Status WatchJob(const v1::WatchJobRequest& request, absl::Time deadline,
                                const std::function<bool(const v1::WatchJobResponse&)>& receive) = 0;
  virtual absl::Status ReadLogs(const v1::ReadLogsRequest& request, absl::Time deadline,
                                const std::function<bool(const v1::ReadLogsResponse&)>& receive) = 0;
  virtual absl::Status WatchEvents(const v1::WatchEventsRequest& request, absl::Time deadline,
                                   const std::function<bool(const v1::Event&)>& receive) = 0;

  // Ends the running call or stream and all later ones with kCancelled; for Ctrl-C.
  virtual void Interrupt() = 0;
};

// Connects lazily: an error here is about the options (a missing file, TLS off loopback), never the network.
absl::StatusOr<std::unique_ptr<Client>> NewClient(const ClientOptions& options);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_RPC_CLIENT_H_
