// A coordinator in memory, for tests of the commands: answers from its members, keeps what it was asked.
#ifndef CHERRY_TESTS_UNIT_CLIENT_CLI_FAKE_CLIENT_H_
#define CHERRY_TESTS_UNIT_CLIENT_CLI_FAKE_CLIENT_H_

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/rpc/client.h"
#include "common/status.h"

namespace cherry::client {

// What outlives the client, which each command makes anew. Not thread-safe.
struct FakeCluster {
  absl::Status failure;      // Of every call, where it is not OK.
  std::string refused_name;  // SubmitJob refuses a job of this name.
  std::vector<v1::Job> jobs;
  // What ListJobs finds first, one after another; then what the last left.
  std::deque<std::vector<v1::Job>> jobs_by_and_by;
  std::vector<v1::Pipeline> known_pipelines;
  std::vector<v1::Worker> workers;
  std::deque<v1::Worker> workers_by_and_by;  // What GetWorker answers first, one after another.
  std::vector<v1::Checkpoint> checkpoints;
  std::vector<v1::Dataset> datasets;
  std::vector<v1::Model> models;
  std::vector<v1::Preset> presets;
  std::vector<v1::Event> events;
  std::vector<v1::MetricSample> samples;
  v1::ExplainJobResponse explanation;
  std::string log;
  // Streams of WatchJob, one after another: the messages and then the status.
  std::vector<std::pair<std::vector<v1::WatchJobResponse>, absl::Status>> watches;
  // The same of WatchEvents.
  std::vector<std::pair<std::vector<v1::Event>, absl::Status>> event_watches;

  ClientOptions options;  // Of the last connection.
  std::vector<v1::SubmitJobRequest> submitted;
  std::vector<v1::SubmitPipelineRequest> pipelines;
  std::vector<v1::CancelJobRequest> cancelled;
  std::vector<v1::SetWorkerStateRequest> worker_states;
  std::vector<v1::ListJobsRequest> listed;
  std::vector<v1::WatchJobRequest> watched;
  std::vector<v1::WatchEventsRequest> events_watched;
};

class FakeClient final : public Client {
 public:
  explicit FakeClient(FakeCluster* cluster) : c_(cluster) {}

  absl::StatusOr<v1::SubmitJobResponse> SubmitJob(v1::SubmitJobRequest request) override {
    c_->submitted.push_back(request);
    RETURN_IF_ERROR(c_->failure);
    if (!c_->refused_name.empty() && request.spec().name() == c_->refused_name) {
      return absl::AlreadyExistsError("name: a job of this name is live");
    }
    v1::SubmitJobResponse response;
    *response.mutable_job() = JobOf(request.spec());
    return response;
  }
  absl::StatusOr<v1::SubmitPipelineResponse> SubmitPipeline(v1::SubmitPipelineRequest request) override {
    c_->pipelines.push_back(request);
    RETURN_IF_ERROR(c_->failure);
    v1::SubmitPipelineResponse response;
    response.mutable_pipeline()->set_name(
        absl::StrCat("namespaces/", request.namespace_(), "/pipelines/", request.name()));
    for (const v1::JobSpec& spec : request.jobs()) {
      *response.add_jobs() = JobOf(spec);
    }
    return response;
  }
  absl::StatusOr<v1::ListPipelinesResponse> ListPipelines(v1::ListPipelinesRequest) override {
    return All<v1::ListPipelinesResponse>(c_->known_pipelines, &v1::ListPipelinesResponse::mutable_pipelines);
  }
  absl::StatusOr<v1::Job> GetJob(v1::GetJobRequest request) override { return Find(request.name()); }
  absl::StatusOr<v1::ListJobsResponse> ListJobs(v1::ListJobsRequest request) override {
    c_->listed.push_back(request);
    RETURN_IF_ERROR(c_->failure);
    if (!c_->jobs_by_and_by.empty()) {
      c_->jobs = c_->jobs_by_and_by.front();
      c_->jobs_by_and_by.pop_front();
    }
    std::vector<v1::Job> jobs;
    for (const v1::Job& job : c_->jobs) {
      if (request.pipeline().empty() ||
          request.pipeline() == "namespaces/default/pipelines/" + job.pipeline()) {
        jobs.push_back(job);
      }
    }
    if (jobs.empty() && !request.pipeline().empty()) {
      return absl::NotFoundError("there is no such pipeline");
    }
    v1::ListJobsResponse response;
    // One a page, so that every list is read to its end.
    const size_t index = request.page_token().empty() ? 0 : std::stoul(request.page_token());
    if (index < jobs.size()) {
      *response.add_jobs() = jobs[index];
    }
    response.set_next_page_token(index + 1 < jobs.size() ? absl::StrCat(index + 1) : "");
    return response;
  }
  absl::StatusOr<v1::Job> CancelJob(v1::CancelJobRequest request) override {
    c_->cancelled.push_back(request);
    return Find(request.name());
  }
  absl::StatusOr<v1::Job> PauseJob(v1::PauseJobRequest request) override { return Find(request.name()); }
  absl::StatusOr<v1::Job> ResumeJob(v1::ResumeJobRequest request) override { return Find(request.name()); }
  absl::StatusOr<v1::ExplainJobResponse> ExplainJob(v1::ExplainJobRequest request) override {
    RETURN_IF_ERROR(Find(request.name()).status());
    return c_->explanation;
  }
  absl::StatusOr<v1::ListMetricsResponse> ListMetrics(v1::ListMetricsRequest request) override {
    RETURN_IF_ERROR(Find(request.name()).status());
    v1::ListMetricsResponse response;
    for (const v1::MetricSample& sample : c_->samples) {
      if (request.metric().empty() || request.metric() == sample.name()) {
        *response.add_samples() = sample;
      }
    }
    return response;
  }
  absl::StatusOr<v1::ListEventsResponse> ListEvents(v1::ListEventsRequest) override {
    return All<v1::ListEventsResponse>(c_->events, &v1::ListEventsResponse::mutable_events);
  }
  absl::StatusOr<v1::Checkpoint> GetCheckpoint(v1::GetCheckpointRequest) override {
    RETURN_IF_ERROR(c_->failure);
    return c_->checkpoints.at(0);
  }
  absl::StatusOr<v1::ListCheckpointsResponse> ListCheckpoints(v1::ListCheckpointsRequest) override {
    return All<v1::ListCheckpointsResponse>(c_->checkpoints,
                                            &v1::ListCheckpointsResponse::mutable_checkpoints);
  }
  absl::StatusOr<v1::Checkpoint> ReportCheckpoint(v1::ReportCheckpointRequest) override {
    return absl::UnimplementedError("not asked by these commands");
  }
  absl::StatusOr<v1::Worker> GetWorker(v1::GetWorkerRequest request) override {
    RETURN_IF_ERROR(c_->failure);
    if (!c_->workers_by_and_by.empty()) {
      v1::Worker worker = c_->workers_by_and_by.front();
      c_->workers_by_and_by.pop_front();
      return worker;
    }
    for (const v1::Worker& worker : c_->workers) {
      if (worker.name() == request.name()) {
        return worker;
      }
    }
    return absl::NotFoundError(absl::StrCat("there is no worker '", request.name(), "'"));
  }
  absl::StatusOr<v1::ListWorkersResponse> ListWorkers(v1::ListWorkersRequest) override {
    return All<v1::ListWorkersResponse>(c_->workers, &v1::ListWorkersResponse::mutable_workers);
  }
  absl::StatusOr<v1::Worker> SetWorkerState(v1::SetWorkerStateRequest request) override {
    c_->worker_states.push_back(request);
    v1::GetWorkerRequest get;
    get.set_name(request.name());
    ASSIGN_OR_RETURN(v1::Worker worker, GetWorker(get));
    worker.set_state(request.state());
    return worker;
  }
  absl::StatusOr<v1::Dataset> RegisterDataset(v1::RegisterDatasetRequest request) override {
    return request.dataset();
  }
  absl::StatusOr<v1::Dataset> GetDataset(v1::GetDatasetRequest) override { return c_->datasets.at(0); }
  absl::StatusOr<v1::ListDatasetsResponse> ListDatasets(v1::ListDatasetsRequest) override {
    return All<v1::ListDatasetsResponse>(c_->datasets, &v1::ListDatasetsResponse::mutable_datasets);
  }
  absl::StatusOr<v1::Model> RegisterModel(v1::RegisterModelRequest request) override {
    c_->models.push_back(request.model());
    return request.model();
  }
  absl::StatusOr<v1::ListModelsResponse> ListModels(v1::ListModelsRequest) override {
    return All<v1::ListModelsResponse>(c_->models, &v1::ListModelsResponse::mutable_models);
  }
  absl::StatusOr<v1::ListPresetsResponse> ListPresets(v1::ListPresetsRequest) override {
    return All<v1::ListPresetsResponse>(c_->presets, &v1::ListPresetsResponse::mutable_presets);
  }
  absl::StatusOr<v1::ServerInfo> GetServerInfo(v1::GetServerInfoRequest) override {
    RETURN_IF_ERROR(c_->failure);
    v1::ServerInfo info;
    info.set_version("9.9.9");
    return info;
  }

  absl::Status WatchJob(const v1::WatchJobRequest& request, absl::Time,
                        const std::function<bool(const v1::WatchJobResponse&)>& receive) override {
    c_->watched.push_back(request);
    RETURN_IF_ERROR(c_->failure);
    const size_t turn = c_->watched.size() - 1;
    if (turn >= c_->watches.size()) {
      return absl::CancelledError("nothing more to watch");
    }
    for (const v1::WatchJobResponse& message : c_->watches[turn].first) {
      if (!receive(message)) {
        return absl::OkStatus();
      }
    }
    return c_->watches[turn].second;
  }
  absl::Status ReadLogs(const v1::ReadLogsRequest&, absl::Time,
                        const std::function<bool(const v1::ReadLogsResponse&)>& receive) override {
    RETURN_IF_ERROR(c_->failure);
    v1::ReadLogsResponse chunk;
    chunk.set_data(c_->log);
    receive(chunk);
    return absl::OkStatus();
  }
  absl::Status WatchEvents(const v1::WatchEventsRequest& request, absl::Time,
                           const std::function<bool(const v1::Event&)>& receive) override {
    c_->events_watched.push_back(request);
    const size_t turn = c_->events_watched.size() - 1;
    if (turn >= c_->event_watches.size()) {
      return absl::CancelledError("nothing more to watch");
    }
    for (const v1::Event& event : c_->event_watches[turn].first) {
      if (!receive(event)) {
        return absl::OkStatus();
      }
    }
    return c_->event_watches[turn].second;
  }
  void Interrupt() override {}

 private:
  static v1::Job JobOf(const v1::JobSpec& spec) {
    v1::Job job;
    job.set_name(absl::StrCat("namespaces/", spec.namespace_(), "/jobs/", spec.name()));
    *job.mutable_spec() = spec;
    job.set_state(v1::Job::PENDING);
    job.mutable_plan()->set_parameters(1'437'696);
    job.mutable_plan()->set_ranks(2);
    return job;
  }
  absl::StatusOr<v1::Job> Find(const std::string& name) const {
    RETURN_IF_ERROR(c_->failure);
    for (const v1::Job& job : c_->jobs) {
      if (job.name() == name) {
        return job;
      }
    }
    return Error(absl::StatusCode::kNotFound, "JOB_NOT_FOUND", "name", absl::StrCat("there is no job ", name),
                 "see `cherry get jobs`");
  }
  template <typename Response, typename Item>
  absl::StatusOr<Response> All(const std::vector<Item>& items,
                               google::protobuf::RepeatedPtrField<Item>* (Response::*list)()) const {
    RETURN_IF_ERROR(c_->failure);
    Response response;
    for (const Item& item : items) {
      *(response.*list)()->Add() = item;
    }
    return response;
  }

  FakeCluster* const c_;
};

}  // namespace cherry::client

#endif  // CHERRY_TESTS_UNIT_CLIENT_CLI_FAKE_CLIENT_H_
