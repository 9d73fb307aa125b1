// The coordinator's decisions: `now` and something that happened in; a reply, records to write and actions
// out.
//
//   Decision decision{now};
//   auto job = core.SubmitJob(&decision, mutation, request, ids);
//   core.Finish(&decision);              // decision.changes and decision.actions are complete now
//
// Nothing may leave the process (reply, action) before the changes of its decision are synced. No thread
// safety: one thread steps it.
#ifndef CHERRY_COORDINATOR_CORE_CORE_H_
#define CHERRY_COORDINATOR_CORE_CORE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cherry/v1/coordinator.pb.h"
#include "cherry/v1/record.pb.h"
#include "coordinator/core/decision.h"
#include "coordinator/core/pipeline.h"
#include "coordinator/core/queries.h"
#include "coordinator/core/requests.h"
#include "coordinator/core/state.h"
#include "coordinator/core/submit.h"

namespace cherry::coordinator {

// All records of a store.
struct Records {
  v1::ClusterRecord cluster;
  std::vector<v1::JobRecord> jobs;
  std::vector<v1::Checkpoint> checkpoints;
  std::vector<v1::WorkerRecord> workers;
  std::vector<v1::Dataset> datasets;
  std::vector<v1::PipelineRecord> pipelines;
  std::vector<v1::Model> models;
  std::vector<v1::RequestRecord> requests;  // Replies may be left out.
};

class Core {
 public:
  explicit Core(Config config);

  // Takes over what an earlier process left: every worker gets a full lease, unfinished removals start again.
  void Restore(Decision* decision, const Records& records);

  // Mutations. With an error nothing has changed. A repeated one sets decision->stored_reply.
  absl::StatusOr<v1::SubmitJobResponse> SubmitJob(Decision* decision, const Mutation& mutation,
                                                  const v1::SubmitJobRequest& request, const NewJobIds& ids);
  absl::StatusOr<v1::SubmitPipelineResponse> SubmitPipeline(Decision* decision, const Mutation& mutation,
                                                            const v1::SubmitPipelineRequest& request,
                                                            const NewPipelineIds& ids);
  absl::StatusOr<v1::Job> CancelJob(Decision* decision, const Mutation& mutation,
                                    const v1::CancelJobRequest& request);
  absl::StatusOr<v1::Job> PauseJob(Decision* decision, const Mutation& mutation,
                                   const v1::PauseJobRequest& request);
  absl::StatusOr<v1::Job> ResumeJob(Decision* decision, const Mutation& mutation,
                                    const v1::ResumeJobRequest& request);
  absl::StatusOr<v1::Checkpoint> ReportCheckpoint(Decision* decision, const Mutation& mutation,
                                                  const v1::ReportCheckpointRequest& request);
  absl::StatusOr<v1::Worker> SetWorkerState(Decision* decision, const Mutation& mutation,
                                            const v1::SetWorkerStateRequest& request);
  // REQUIRES: the edge has seen that the dataset's path lies beneath the data root.
  absl::StatusOr<v1::Dataset> RegisterDataset(Decision* decision, const Mutation& mutation,
                                              const v1::RegisterDatasetRequest& request);
  // REQUIRES: the edge has filled in what the model's files say.
  absl::StatusOr<v1::Model> RegisterModel(Decision* decision, const Mutation& mutation,
                                          const v1::Model& model);

  // Queries. A checkpoint may be an imported model's, by that one's name.
  absl::StatusOr<v1::Job> GetJob(const std::string& name) const;
  absl::StatusOr<v1::Job> GetJobByUid(const std::string& uid) const;
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request) const;
  absl::StatusOr<v1::ListPipelinesResponse> ListPipelines(const v1::ListPipelinesRequest& request) const;
  absl::StatusOr<v1::ExplainJobResponse> ExplainJob(const std::string& name) const;
  absl::StatusOr<v1::Checkpoint> GetCheckpoint(const v1::GetCheckpointRequest& request) const;
  absl::StatusOr<v1::ListCheckpointsResponse> ListCheckpoints(
      const v1::ListCheckpointsRequest& request) const;
  absl::StatusOr<v1::Worker> GetWorker(const std::string& name) const;
  absl::StatusOr<v1::ListWorkersResponse> ListWorkers(const v1::ListWorkersRequest& request) const;
  absl::StatusOr<v1::Dataset> GetDataset(const std::string& name) const;
  absl::StatusOr<v1::ListDatasetsResponse> ListDatasets(const v1::ListDatasetsRequest& request) const;
  absl::StatusOr<v1::Model> GetModel(const std::string& name) const;
  absl::StatusOr<v1::ListModelsResponse> ListModels(const v1::ListModelsRequest& request) const;

  // Workers: see worker_registry.h.
  absl::Status RegisterWorker(Decision* decision, int64_t connection, const v1::Register& hello);
  void HandleWorkerMessage(Decision* decision, int64_t connection, const std::string& worker,
                           const v1::WorkerMessage& message);
  void Disconnect(int64_t connection, const std::string& worker);

  // The shell has removed what a RemoveCheckpoint or CollectEpoch action named.
  void CheckpointRemoved(Decision* decision, const CheckpointKey& key);
  void EpochCollected(Decision* decision, const std::string& uid, int64_t epoch);

  // Whatever time brings: leases, back-offs, time limits, old request ids. Fine to call at any time.
  void Tick(Decision* decision);
  // When Tick is next needed; InfiniteFuture when nothing waits.
  absl::Time NextDeadline() const;

  // Ends a decision: places waiting jobs if anything has changed and completes changes and actions.
  void Finish(Decision* decision);

  // For tests, metrics and the shell's own questions.
  const State& state() const { return state_; }

 private:
  // Checks the request id, decides, keeps the reply.
  template <typename Reply, typename Decide>
  absl::StatusOr<Reply> Mutate(Decision* decision, const Mutation& mutation, const Decide& decide);
  // The same for a verb on a job.
  template <typename Decide>
  absl::StatusOr<v1::Job> ChangeJob(Decision* decision, const Mutation& mutation, const std::string& name,
                                    const Decide& decide);

  State state_;
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_CORE_H_
