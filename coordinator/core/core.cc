#include "coordinator/core/core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/spec.h"
#include "common/status.h"
#include "coordinator/core/awaited.h"
#include "coordinator/core/checkpoints.h"
#include "coordinator/core/control.h"
#include "coordinator/core/explain.h"
#include "coordinator/core/machines.h"
#include "coordinator/core/models.h"
#include "coordinator/core/placement.h"
#include "coordinator/core/scheduler.h"
#include "coordinator/core/timeline.h"
#include "coordinator/core/worker_registry.h"

namespace cherry::coordinator {
namespace {

// Lookups change nothing; they share the code that hands out entries to change.
absl::StatusOr<const JobEntry*> Find(const State& state, const std::string& name) {
  ASSIGN_OR_RETURN(const JobEntry* entry, FindByName(const_cast<State*>(&state), name));
  return entry;
}

absl::Status NoWorker(const std::string& name) {
  return Error(absl::StatusCode::kNotFound, "WORKER_NOT_FOUND", "name",
               absl::StrCat("there is no worker '", name, "'"), "list them with 'cherry get workers'");
}

absl::Status CheckDataset(const v1::Dataset& dataset) {
  RETURN_IF_ERROR(ValidateName(dataset.name(), "dataset.name"));
  for (const v1::Split& split : dataset.splits()) {
    RETURN_IF_ERROR(ValidateName(split.name(), "dataset.splits.name"));
  }
  if (dataset.splits().empty()) {
    return InvalidField("FIELD_REQUIRED", "dataset.splits", "dataset.splits: none is given",
                        "register at least the split train");
  }
  if (dataset.bytes_per_token() != 2 && dataset.bytes_per_token() != 4) {
    return InvalidField(
        "OUT_OF_RANGE", "dataset.bytes_per_token",
        absl::StrCat("dataset.bytes_per_token: ", dataset.bytes_per_token(), " is neither 2 nor 4"),
        "prepare it again with 'cherry data prepare'");
  }
  if (dataset.vocab() < 1) {
    return InvalidField("OUT_OF_RANGE", "dataset.vocab",
                        absl::StrCat("dataset.vocab: ", dataset.vocab(), " is not positive"),
                        "give the size of the tokenizer's vocabulary");
  }
  return absl::OkStatus();
}

bool SameButForTime(v1::Dataset a, v1::Dataset b) {
  a.clear_create_time();
  b.clear_create_time();
  return a.SerializeAsString() == b.SerializeAsString();
}

// A live job must not find other data under the name it was checked against.
absl::Status CheckNotInUse(const State& state, const v1::Dataset& dataset) {
  const auto known = state.datasets.find(dataset.name());
  if (known == state.datasets.end() || SameButForTime(known->second, dataset)) {
    return absl::OkStatus();
  }
  for (const auto& [uid, entry] : state.jobs) {
    if (NamesDataset(entry.job().resolved().data(), dataset.name()) && !IsTerminal(entry.job().state())) {
      return Error(absl::StatusCode::kFailedPrecondition, "DATASET_IN_USE", "dataset.name",
                   absl::StrCat("dataset.name: '", dataset.name(), "' has other content and is used by ",
                                entry.job().name()),
                   "use another name, or wait for the job's end");
    }
  }
  return absl::OkStatus();
}

// What is told is kept for as long as the job.
absl::Status CheckReason(const std::string& reason, absl::string_view field) {
  constexpr size_t kMost = 1024;
  if (reason.size() <= kMost) {
    return absl::OkStatus();
  }
  return InvalidField("TOO_LONG", field,
                      absl::StrCat(field, ": ", reason.size(), " bytes are more than ", kMost),
                      "say it shorter");
}

}  // namespace

Core::Core(Config config) { state_.config = std::move(config); }

template <typename Reply, typename Decide>
absl::StatusOr<Reply> Core::Mutate(Decision* decision, const Mutation& mutation, const Decide& decide) {
  decision->actor = mutation.caller.identity;
  ASSIGN_OR_RETURN(const bool repeated, IsRepeated(state_, decision, mutation));
  if (repeated) {
    return Reply();
  }
  ASSIGN_OR_RETURN(Reply reply, decide());
  RememberReply(&state_, decision, mutation, reply.SerializeAsString());
  return reply;
}

template <typename Decide>
absl::StatusOr<v1::Job> Core::ChangeJob(Decision* decision, const Mutation& mutation, const std::string& name,
                                        const Decide& decide) {
  return Mutate<v1::Job>(decision, mutation, [&]() -> absl::StatusOr<v1::Job> {
    ASSIGN_OR_RETURN(JobEntry * entry, FindByName(&state_, name));
    RETURN_IF_ERROR(CheckMayChange(mutation.caller, *entry));
    RETURN_IF_ERROR(decide(entry));
    return JobView(state_, *entry);
  });
}

absl::StatusOr<v1::SubmitJobResponse> Core::SubmitJob(Decision* decision, const Mutation& mutation,
                                                      const v1::SubmitJobRequest& request,
                                                      const NewJobIds& ids) {
  const auto submit = [&]() -> absl::StatusOr<v1::SubmitJobResponse> {
    v1::SubmitJobResponse response;
    ASSIGN_OR_RETURN(*response.mutable_job(),
                     coordinator::SubmitJob(&state_, decision, mutation.caller, request.spec(), ids,
                                            request.validate_only()));
    return response;
  };
  return request.validate_only() ? submit() : Mutate<v1::SubmitJobResponse>(decision, mutation, submit);
}

absl::StatusOr<v1::SubmitPipelineResponse> Core::SubmitPipeline(Decision* decision, const Mutation& mutation,
                                                                const v1::SubmitPipelineRequest& request,
                                                                const NewPipelineIds& ids) {
  const auto submit = [&] {
    return coordinator::SubmitPipeline(&state_, decision, mutation.caller, request, ids);
  };
  return request.validate_only() ? submit() : Mutate<v1::SubmitPipelineResponse>(decision, mutation, submit);
}

absl::StatusOr<v1::Job> Core::CancelJob(Decision* decision, const Mutation& mutation,
                                        const v1::CancelJobRequest& request) {
  RETURN_IF_ERROR(CheckReason(request.reason(), "reason"));
  return ChangeJob(decision, mutation, request.name(), [&](JobEntry* entry) {
    return coordinator::CancelJob(&state_, decision, entry, request.reason(), request.now());
  });
}

absl::StatusOr<v1::Job> Core::PauseJob(Decision* decision, const Mutation& mutation,
                                       const v1::PauseJobRequest& request) {
  RETURN_IF_ERROR(CheckReason(request.reason(), "reason"));
  return ChangeJob(decision, mutation, request.name(), [&](JobEntry* entry) {
    return coordinator::PauseJob(&state_, decision, entry, request.reason());
  });
}

absl::StatusOr<v1::Job> Core::ResumeJob(Decision* decision, const Mutation& mutation,
                                        const v1::ResumeJobRequest& request) {
  RETURN_IF_ERROR(CheckReason(request.reason(), "reason"));
  return ChangeJob(decision, mutation, request.name(), [&](JobEntry* entry) {
    return coordinator::ResumeJob(&state_, decision, entry, request.reason());
  });
}

absl::StatusOr<v1::Checkpoint> Core::ReportCheckpoint(Decision* decision, const Mutation& mutation,
                                                      const v1::ReportCheckpointRequest& request) {
  RETURN_IF_ERROR(CheckReason(request.detail(), "detail"));
  return Mutate<v1::Checkpoint>(decision, mutation, [&]() -> absl::StatusOr<v1::Checkpoint> {
    ASSIGN_OR_RETURN(JobEntry * entry, FindByName(&state_, request.job()));
    RETURN_IF_ERROR(CheckMayChange(mutation.caller, *entry));
    v1::Checkpoint* checkpoint = FindCommitted(entry, request.step());
    if (checkpoint == nullptr) {
      return SelectCheckpoint(*entry, absl::StrCat(request.step()), "step");
    }
    if (request.corrupt()) {
      MarkCorrupt(&state_, decision, entry, checkpoint, request.detail());
    } else {
      AddEvent(&state_, decision, *entry, "CheckpointVerified",
               {v1::CAUSE_UNSPECIFIED, absl::StrCat("step ", request.step())});
    }
    return *checkpoint;
  });
}

absl::StatusOr<v1::Worker> Core::SetWorkerState(Decision* decision, const Mutation& mutation,
                                                const v1::SetWorkerStateRequest& request) {
  return Mutate<v1::Worker>(decision, mutation, [&]() -> absl::StatusOr<v1::Worker> {
    WorkerEntry* worker = FindWorker(&state_, request.name());
    if (worker == nullptr) {
      return NoWorker(request.name());
    }
    RETURN_IF_ERROR(SetDesiredState(&state_, decision, worker, request.state()));
    return WorkerView(state_, *worker);
  });
}

absl::StatusOr<v1::Dataset> Core::RegisterDataset(Decision* decision, const Mutation& mutation,
                                                  const v1::RegisterDatasetRequest& request) {
  return Mutate<v1::Dataset>(decision, mutation, [&]() -> absl::StatusOr<v1::Dataset> {
    RETURN_IF_ERROR(CheckDataset(request.dataset()));
    RETURN_IF_ERROR(CheckNotInUse(state_, request.dataset()));
    v1::Dataset& dataset = state_.datasets[request.dataset().name()];
    dataset = request.dataset();
    *dataset.mutable_create_time() = ToProto(decision->now);
    decision->changes.put_datasets.push_back(dataset);
    return dataset;
  });
}

absl::StatusOr<v1::Model> Core::RegisterModel(Decision* decision, const Mutation& mutation,
                                              const v1::Model& model) {
  return Mutate<v1::Model>(decision, mutation, [&] {
    return coordinator::RegisterModel(&state_, decision, mutation.caller, model);
  });
}

absl::StatusOr<v1::Job> Core::GetJob(const std::string& name) const {
  ASSIGN_OR_RETURN(const JobEntry* entry, Find(state_, name));
  return JobView(state_, *entry);
}

absl::StatusOr<v1::Job> Core::GetJobByUid(const std::string& uid) const {
  const auto found = state_.jobs.find(uid);
  if (found == state_.jobs.end()) {
    return Error(absl::StatusCode::kNotFound, "JOB_NOT_FOUND", "uid",
                 absl::StrCat("there is no job of uid ", uid), "");
  }
  return JobView(state_, found->second);
}

absl::StatusOr<v1::ListJobsResponse> Core::ListJobs(const v1::ListJobsRequest& request) const {
  return coordinator::ListJobs(state_, request);
}

absl::StatusOr<v1::ListPipelinesResponse> Core::ListPipelines(const v1::ListPipelinesRequest& request) const {
  return coordinator::ListPipelines(state_, request);
}

absl::StatusOr<v1::ExplainJobResponse> Core::ExplainJob(const std::string& name) const {
  ASSIGN_OR_RETURN(const JobEntry* entry, Find(state_, name));
  return Explain(state_, *entry);
}

absl::StatusOr<v1::Checkpoint> Core::GetCheckpoint(const v1::GetCheckpointRequest& request) const {
  if (ParseModelName(request.job()).ok()) {
    ASSIGN_OR_RETURN(const v1::Model* model, FindModelRecord(state_, request.job(), "job"));
    return SelectCheckpoint(state_.jobs.at(model->uid()), request.checkpoint(), "checkpoint");
  }
  ASSIGN_OR_RETURN(const JobEntry* entry, Find(state_, request.job()));
  return SelectCheckpoint(*entry, request.checkpoint(), "checkpoint");
}

absl::StatusOr<v1::ListCheckpointsResponse> Core::ListCheckpoints(
    const v1::ListCheckpointsRequest& request) const {
  ASSIGN_OR_RETURN(const JobEntry* entry, Find(state_, request.job()));
  return coordinator::ListCheckpoints(*entry, request);
}

absl::StatusOr<v1::Worker> Core::GetWorker(const std::string& name) const {
  const auto worker = state_.workers.find(name);
  if (worker == state_.workers.end()) {
    return NoWorker(name);
  }
  return WorkerView(state_, worker->second);
}

absl::StatusOr<v1::ListWorkersResponse> Core::ListWorkers(const v1::ListWorkersRequest& request) const {
  return coordinator::ListWorkers(state_, request);
}

absl::StatusOr<v1::Dataset> Core::GetDataset(const std::string& name) const {
  const auto dataset = state_.datasets.find(name);
  if (dataset == state_.datasets.end()) {
    return Error(absl::StatusCode::kNotFound, "DATASET_NOT_FOUND", "name",
                 absl::StrCat("there is no dataset '", name, "'"),
                 "list them with 'cherry get datasets', or prepare it with 'cherry data prepare'");
  }
  return dataset->second;
}

absl::StatusOr<v1::ListDatasetsResponse> Core::ListDatasets(const v1::ListDatasetsRequest& request) const {
  return coordinator::ListDatasets(state_, request);
}

absl::StatusOr<v1::Model> Core::GetModel(const std::string& name) const {
  ASSIGN_OR_RETURN(const v1::Model* model, FindModelRecord(state_, name, "name"));
  return *model;
}

absl::StatusOr<v1::ListModelsResponse> Core::ListModels(const v1::ListModelsRequest& request) const {
  return coordinator::ListModels(state_, request);
}

absl::Status Core::RegisterWorker(Decision* decision, int64_t connection, const v1::Register& hello) {
  return coordinator::RegisterWorker(&state_, decision, connection, hello);
}

void Core::HandleWorkerMessage(Decision* decision, int64_t connection, const std::string& worker,
                               const v1::WorkerMessage& message) {
  coordinator::HandleWorkerMessage(&state_, decision, connection, worker, message);
}

void Core::Disconnect(int64_t connection, const std::string& worker) {
  coordinator::Disconnect(&state_, connection, worker);
}

void Core::CheckpointRemoved(Decision* decision, const CheckpointKey& key) {
  JobEntry* entry = FindJob(&state_, key.uid);
  if (entry == nullptr) {
    return;
  }
  const auto place = entry->checkpoints.find({key.step, key.epoch});
  if (place != entry->checkpoints.end() && place->second.state() == v1::Checkpoint::DELETED) {
    entry->checkpoints.erase(place);
    decision->changes.delete_checkpoints.push_back(key);
  }
}

void Core::EpochCollected(Decision* decision, const std::string& uid, int64_t epoch) {
  JobEntry* entry = FindJob(&state_, uid);
  if (entry == nullptr) {
    return;
  }
  auto* epochs = entry->record.mutable_uncollected_epochs();
  epochs->erase(std::remove(epochs->begin(), epochs->end(), epoch), epochs->end());
  Touch(decision, *entry);
}

void Core::Tick(Decision* decision) {
  ExpireLeases(&state_, decision);
  CheckDeadlines(&state_, decision);
  ExpireRequests(&state_, decision);
}

absl::Time Core::NextDeadline() const {
  return std::min({NextLease(state_), NextJobDeadline(state_), NextRequestExpiry(state_)});
}

void Core::Finish(Decision* decision) {
  decision->actor = "coordinator";  // Whoever asked, what follows from it is our own.
  SettleAwaited(&state_, decision);
  if (decision->dirty_queue) {
    Schedule(&state_, decision);
  } else {
    for (const std::string& uid : decision->new_jobs) {
      ScheduleNew(&state_, decision, &state_.jobs.at(uid));
    }
  }
  for (const std::string& uid : decision->dirty_jobs) {
    decision->changes.put_jobs.push_back(state_.jobs.at(uid).record);
    decision->actions.push_back(JobChanged{uid});
  }
  for (const std::string& name : decision->dirty_workers) {
    decision->changes.put_workers.push_back(state_.workers.at(name).record);
  }
  for (const auto& [uid, key] : decision->dirty_checkpoints) {
    const JobEntry& entry = state_.jobs.at(uid);
    const auto checkpoint = entry.checkpoints.find(key);
    if (checkpoint != entry.checkpoints.end()) {
      decision->changes.put_checkpoints.push_back(checkpoint->second);
    }
  }
  decision->dirty_jobs.clear();
  decision->dirty_workers.clear();
  decision->dirty_checkpoints.clear();
  if (!decision->changes.empty()) {
    state_.cluster.set_wall_nanos(absl::ToUnixNanos(decision->now));
    decision->changes.cluster = state_.cluster;
  }
}

}  // namespace cherry::coordinator
