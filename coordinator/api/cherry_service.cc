#include "coordinator/api/cherry_service.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cherry/v1/coordinator.grpc.pb.h"
#include "common/ids.h"
#include "common/model_plan.h"
#include "common/status.h"
#include "coordinator/api/admission.h"
#include "coordinator/api/data_check.h"
#include "coordinator/api/model_check.h"
#include "coordinator/api/reads.h"
#include "coordinator/api/watch_streams.h"

namespace cherry::coordinator {
namespace {

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

constexpr int kNameSuffix = 5;

// The same bytes for the same content, also where there are maps.
std::string Deterministic(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

template <typename Request>
Mutation MakeMutation(const Caller& caller, const char* method, const Request& request) {
  Request content = request;
  content.clear_request_id();
  return {caller, method, request.request_id(), Deterministic(content)};
}

// What a unary call is answered with, and how long that took. Copyable; the call is alive until Finish.
class Answer {
 public:
  Answer(Metrics* metrics, const char* method, Context* context)
      : metrics_(metrics), method_(method), start_(absl::Now()), reactor_(context->DefaultReactor()) {}

  Reactor* Finish(const absl::Status& status) const {
    metrics_->ObserveRpc(method_, absl::StatusCodeToString(status.code()),
                         absl::ToDoubleSeconds(absl::Now() - start_));
    reactor_->Finish(ToGrpc(status));
    return reactor_;
  }
  Reactor* reactor() const { return reactor_; }

 private:
  Metrics* metrics_;
  const char* method_;
  absl::Time start_;
  Reactor* reactor_;
};

class CherryService final : public v1::Cherry::CallbackService {
 public:
  explicit CherryService(const Services& services) : services_(services) {}

  Reactor* SubmitJob(Context* context, const v1::SubmitJobRequest* request,
                     v1::SubmitJobResponse* response) override {
    const NewJobIds ids{NewUuid(), RandomSuffix(kNameSuffix)};
    return Unary<v1::SubmitJobResponse>(
        context, "SubmitJob", response,
        [request, ids](const Caller& caller, Core* core, Decision* decision) {
          return core->SubmitJob(decision, MakeMutation(caller, "SubmitJob", *request), *request, ids);
        },
        {request->request_id(), [this] { return CheckFreeSpace(services_.home); }});
  }
  Reactor* SubmitPipeline(Context* context, const v1::SubmitPipelineRequest* request,
                          v1::SubmitPipelineResponse* response) override {
    return Unary<v1::SubmitPipelineResponse>(
        context, "SubmitPipeline", response,
        [request](const Caller& caller, Core* core, Decision* decision) {
          const NewPipelineIds ids{NewUuid(), [] { return NewJobIds{NewUuid(), RandomSuffix(kNameSuffix)}; }};
          return core->SubmitPipeline(decision, MakeMutation(caller, "SubmitPipeline", *request), *request,
                                      ids);
        },
        {request->request_id(), [this] { return CheckFreeSpace(services_.home); }});
  }
  Reactor* ListPipelines(Context* context, const v1::ListPipelinesRequest* request,
                         v1::ListPipelinesResponse* response) override {
    return Unary<v1::ListPipelinesResponse>(
        context, "ListPipelines", response,
        [request](const Caller&, Core* core, Decision*) { return core->ListPipelines(*request); });
  }
  Reactor* GetJob(Context* context, const v1::GetJobRequest* request, v1::Job* response) override {
    return Unary<v1::Job>(context, "GetJob", response, [request](const Caller&, Core* core, Decision*) {
      return core->GetJob(request->name());
    });
  }
  Reactor* ListJobs(Context* context, const v1::ListJobsRequest* request,
                    v1::ListJobsResponse* response) override {
    return Unary<v1::ListJobsResponse>(
        context, "ListJobs", response,
        [request](const Caller&, Core* core, Decision*) { return core->ListJobs(*request); });
  }
  grpc::ServerWriteReactor<v1::WatchJobResponse>* WatchJob(Context* context,
                                                           const v1::WatchJobRequest* request) override {
    return MakeWatchJob(services_, context, request);
  }
  Reactor* CancelJob(Context* context, const v1::CancelJobRequest* request, v1::Job* response) override {
    return Unary<v1::Job>(
        context, "CancelJob", response, [request](const Caller& caller, Core* core, Decision* decision) {
          return core->CancelJob(decision, MakeMutation(caller, "CancelJob", *request), *request);
        });
  }
  Reactor* PauseJob(Context* context, const v1::PauseJobRequest* request, v1::Job* response) override {
    return Unary<v1::Job>(
        context, "PauseJob", response, [request](const Caller& caller, Core* core, Decision* decision) {
          return core->PauseJob(decision, MakeMutation(caller, "PauseJob", *request), *request);
        });
  }
  Reactor* ResumeJob(Context* context, const v1::ResumeJobRequest* request, v1::Job* response) override {
    return Unary<v1::Job>(
        context, "ResumeJob", response, [request](const Caller& caller, Core* core, Decision* decision) {
          return core->ResumeJob(decision, MakeMutation(caller, "ResumeJob", *request), *request);
        });
  }
  Reactor* ExplainJob(Context* context, const v1::ExplainJobRequest* request,
                      v1::ExplainJobResponse* response) override {
    return Read<v1::ExplainJobResponse>(
        context, "ExplainJob", request->name(), response,
        [request](const Core& core) { return core.ExplainJob(request->name()); },
        [this](const std::string& uid, v1::ExplainJobResponse* answer) -> absl::Status {
          ASSIGN_OR_RETURN(const std::vector<v1::Event> events,
                           services_.store->ReadLastEvents(uid, kRecentEvents));
          answer->mutable_recent_events()->Assign(events.begin(), events.end());
          return absl::OkStatus();
        });
  }
  grpc::ServerWriteReactor<v1::ReadLogsResponse>* ReadLogs(Context* context,
                                                           const v1::ReadLogsRequest* request) override {
    return MakeReadLogs(services_, context, request);
  }
  Reactor* ListMetrics(Context* context, const v1::ListMetricsRequest* request,
                       v1::ListMetricsResponse* response) override {
    return Read<v1::ListMetricsResponse>(
        context, "ListMetrics", request->name(), response,
        [](const Core&) { return absl::StatusOr<v1::ListMetricsResponse>(v1::ListMetricsResponse()); },
        [this, request](const std::string& uid, v1::ListMetricsResponse* answer) -> absl::Status {
          ASSIGN_OR_RETURN(*answer, ReadMetrics(services_.store, uid, *request));
          return absl::OkStatus();
        });
  }
  Reactor* ListEvents(Context* context, const v1::ListEventsRequest* request,
                      v1::ListEventsResponse* response) override {
    return Read<v1::ListEventsResponse>(
        context, "ListEvents", request->name(), response,
        [](const Core&) { return absl::StatusOr<v1::ListEventsResponse>(v1::ListEventsResponse()); },
        [this, request](const std::string& uid, v1::ListEventsResponse* answer) -> absl::Status {
          ASSIGN_OR_RETURN(*answer, ReadEvents(services_.store, uid, *request));
          return absl::OkStatus();
        });
  }
  grpc::ServerWriteReactor<v1::Event>* WatchEvents(Context* context,
                                                   const v1::WatchEventsRequest* request) override {
    return MakeWatchEvents(services_, context, request);
  }
  Reactor* GetCheckpoint(Context* context, const v1::GetCheckpointRequest* request,
                         v1::Checkpoint* response) override {
    return Unary<v1::Checkpoint>(
        context, "GetCheckpoint", response,
        [request](const Caller&, Core* core, Decision*) { return core->GetCheckpoint(*request); });
  }
  Reactor* ListCheckpoints(Context* context, const v1::ListCheckpointsRequest* request,
                           v1::ListCheckpointsResponse* response) override {
    return Unary<v1::ListCheckpointsResponse>(
        context, "ListCheckpoints", response,
        [request](const Caller&, Core* core, Decision*) { return core->ListCheckpoints(*request); });
  }
  Reactor* ReportCheckpoint(Context* context, const v1::ReportCheckpointRequest* request,
                            v1::Checkpoint* response) override {
    return Unary<v1::Checkpoint>(context, "ReportCheckpoint", response,
                                 [request](const Caller& caller, Core* core, Decision* decision) {
                                   return core->ReportCheckpoint(
                                       decision, MakeMutation(caller, "ReportCheckpoint", *request),
                                       *request);
                                 });
  }
  Reactor* GetWorker(Context* context, const v1::GetWorkerRequest* request, v1::Worker* response) override {
    return Unary<v1::Worker>(context, "GetWorker", response, [request](const Caller&, Core* core, Decision*) {
      return core->GetWorker(request->name());
    });
  }
  Reactor* ListWorkers(Context* context, const v1::ListWorkersRequest* request,
                       v1::ListWorkersResponse* response) override {
    return Unary<v1::ListWorkersResponse>(
        context, "ListWorkers", response,
        [request](const Caller&, Core* core, Decision*) { return core->ListWorkers(*request); });
  }
  Reactor* SetWorkerState(Context* context, const v1::SetWorkerStateRequest* request,
                          v1::Worker* response) override {
    return Unary<v1::Worker>(
        context, "SetWorkerState", response, [request](const Caller& caller, Core* core, Decision* decision) {
          return core->SetWorkerState(decision, MakeMutation(caller, "SetWorkerState", *request), *request);
        });
  }
  Reactor* RegisterDataset(Context* context, const v1::RegisterDatasetRequest* request,
                           v1::Dataset* response) override {
    const std::string root = services_.data_root;
    return Unary<v1::Dataset>(
        context, "RegisterDataset", response,
        [request](const Caller& caller, Core* core, Decision* decision) {
          return core->RegisterDataset(decision, MakeMutation(caller, "RegisterDataset", *request), *request);
        },
        {request->request_id(),
         [request, root] { return CheckDatasetFiles(root, request->dataset(), "dataset.path"); }});
  }
  Reactor* GetDataset(Context* context, const v1::GetDatasetRequest* request,
                      v1::Dataset* response) override {
    return Unary<v1::Dataset>(
        context, "GetDataset", response,
        [request](const Caller&, Core* core, Decision*) { return core->GetDataset(request->name()); });
  }
  Reactor* ListDatasets(Context* context, const v1::ListDatasetsRequest* request,
                        v1::ListDatasetsResponse* response) override {
    return Unary<v1::ListDatasetsResponse>(
        context, "ListDatasets", response,
        [request](const Caller&, Core* core, Decision*) { return core->ListDatasets(*request); });
  }
  Reactor* RegisterModel(Context* context, const v1::RegisterModelRequest* request,
                         v1::Model* response) override {
    const auto model = std::make_shared<v1::Model>(request->model());
    return Unary<v1::Model>(
        context, "RegisterModel", response,
        [request, model](const Caller& caller, Core* core, Decision* decision) {
          return core->RegisterModel(decision, MakeMutation(caller, "RegisterModel", *request), *model);
        },
        {request->request_id(),
         [this, model] { return ReadModelFiles(services_.checkpoint_root, model.get()); }});
  }
  Reactor* GetModel(Context* context, const v1::GetModelRequest* request, v1::Model* response) override {
    return Unary<v1::Model>(context, "GetModel", response, [request](const Caller&, Core* core, Decision*) {
      return core->GetModel(request->name());
    });
  }
  Reactor* ListModels(Context* context, const v1::ListModelsRequest* request,
                      v1::ListModelsResponse* response) override {
    return Unary<v1::ListModelsResponse>(
        context, "ListModels", response,
        [request](const Caller&, Core* core, Decision*) { return core->ListModels(*request); });
  }
  Reactor* ListPresets(Context* context, const v1::ListPresetsRequest*,
                       v1::ListPresetsResponse* response) override {
    return Unary<v1::ListPresetsResponse>(
        context, "ListPresets", response,
        [](const Caller&, Core*, Decision*) { return coordinator::ListPresets(); });
  }
  Reactor* GetServerInfo(Context* context, const v1::GetServerInfoRequest*,
                         v1::ServerInfo* response) override {
    return Unary<v1::ServerInfo>(
        context, "GetServerInfo", response,
        [this](const Caller&, Core* core, Decision*) -> absl::StatusOr<v1::ServerInfo> {
          return DescribeServer(services_, *core);
        });
  }

 private:
  template <typename Response>
  using Decide = std::function<absl::StatusOr<Response>(const Caller&, Core*, Decision*)>;

  // What a new mutation finds on disk, looked at before the executor so that nobody waits for files.
  struct DiskCheck {
    std::string request_id;
    std::function<absl::Status()> look;
  };

  // Admit, check, decide on the executor, answer after the sync.
  template <typename Response>
  Reactor* Unary(Context* context, const char* method, Response* response, Decide<Response> decide,
                 const DiskCheck& check = {}) {
    const Answer answer(services_.metrics, method, context);
    const absl::StatusOr<Caller> caller = Admit(services_, *context, method);
    if (!caller.ok()) {
      return answer.Finish(caller.status());
    }
    if (services_.executor->overloaded()) {
      return answer.Finish(Error(absl::StatusCode::kResourceExhausted, "OVERLOADED", "",
                                 "the coordinator has more to do than it can answer soon",
                                 "try again in a moment"));
    }
    const absl::Status found = check.look ? check.look() : absl::OkStatus();
    services_.executor->Call<Response>(
        [caller = *caller, decide = std::move(decide), id = check.request_id, found](
            Core* core, Decision* decision) -> absl::StatusOr<Response> {
          // One that was accepted before gets its stored reply, whatever the disk is like by now.
          if (!found.ok() && core->state().requests.count(id) == 0) {
            return found;
          }
          return decide(caller, core, decision);
        },
        [answer, response](absl::StatusOr<Response> reply) {
          const absl::Status status = reply.status();
          if (status.ok()) {
            *response = *std::move(reply);
          }
          answer.Finish(status);
        });
    return answer.reactor();
  }

  // Asks the core, then the store on the reader's thread. An empty job name means the whole cluster.
  template <typename Response>
  Reactor* Read(Context* context, const char* method, const std::string& job, Response* response,
                std::function<absl::StatusOr<Response>(const Core&)> ask,
                std::function<absl::Status(const std::string& uid, Response*)> read) {
    const Answer answer(services_.metrics, method, context);
    const absl::StatusOr<Caller> caller = Admit(services_, *context, method);
    if (!caller.ok()) {
      return answer.Finish(caller.status());
    }
    using Found = std::pair<std::string, Response>;
    services_.executor->Call<Found>(
        [job, ask = std::move(ask)](Core* core, Decision*) -> absl::StatusOr<Found> {
          Found found;
          if (!job.empty()) {
            ASSIGN_OR_RETURN(const v1::Job view, core->GetJob(job));
            found.first = view.uid();
          }
          ASSIGN_OR_RETURN(found.second, ask(*core));
          return found;
        },
        [this, answer, response, read = std::move(read)](absl::StatusOr<Found> found) {
          if (!found.ok()) {
            answer.Finish(found.status());
            return;
          }
          services_.reader->Post([answer, response, read, found = *std::move(found)]() mutable {
            *response = std::move(found.second);
            answer.Finish(read(found.first, response));
          });
        });
    return answer.reactor();
  }

  const Services services_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeCherryService(const Services& services) {
  return std::make_unique<CherryService>(services);
}

}  // namespace cherry::coordinator
