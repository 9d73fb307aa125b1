#include "coordinator/core/pipeline.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/status.h"
#include "coordinator/core/links.h"
#include "coordinator/core/machines.h"
#include "coordinator/core/references.h"
#include "coordinator/core/timeline.h"

namespace cherry::coordinator {
namespace {

std::string PipelineResource(const std::string& ns, const std::string& name) {
  return absl::StrCat("namespaces/", ns, "/pipelines/", name);
}

bool IsLive(const State& state, const v1::PipelineRecord& record) {
  return std::any_of(record.job_uids().begin(), record.job_uids().end(), [&state](const std::string& uid) {
    const auto job = state.jobs.find(uid);
    return job != state.jobs.end() && !IsTerminal(job->second.job().state());
  });
}

absl::Status CheckRequest(const State& state, const std::string& ns,
                          const v1::SubmitPipelineRequest& request) {
  RETURN_IF_ERROR(ValidateName(request.name(), "pipeline"));
  RETURN_IF_ERROR(ValidateName(ns, "namespace"));
  if (request.jobs().empty()) {
    return InvalidField("FIELD_REQUIRED", "jobs", "jobs: the pipeline has none", "give at least one");
  }
  const auto found = state.pipeline_by_name.find(PipelineResource(ns, request.name()));
  if (found != state.pipeline_by_name.end() && IsLive(state, state.pipelines.at(found->second))) {
    return Error(absl::StatusCode::kAlreadyExists, "PIPELINE_EXISTS", "pipeline",
                 absl::StrCat("pipeline: '", request.name(), "' is a live pipeline of namespace ", ns),
                 "cancel it, wait for its end, or submit with another --name");
  }
  return absl::OkStatus();
}

absl::StatusOr<JobEntry> PrepareDraft(const State& state, const DraftJobs& before, absl::Time now,
                                      const Caller& caller, const std::string& pipeline, const Draft& draft) {
  ASSIGN_OR_RETURN(JobEntry entry, PrepareJob(state, before, now, caller, draft.spec, draft.ids));
  entry.job().set_pipeline(pipeline);
  entry.job().set_matrix(draft.matrix);
  if (!draft.matrix.empty()) {
    // What an include has added is no part of the job's name, nor of its group's.
    for (const auto& [path, value] : draft.values) {
      if (draft.axes.count(path) > 0) {
        entry.job().mutable_matrix_values()->mutable_fields()->insert({path, value});
      }
    }
  }
  entry.record.set_max_parallel(draft.max_parallel);
  return entry;
}

// The uids of a dry run are nobody's.
v1::Job WithoutUids(const std::set<std::string>& uids, v1::Job job) {
  ForEachReference(job.mutable_resolved(), [&uids](const std::string&, v1::SourceRef* ref) {
    if (uids.count(ref->job_uid()) > 0) {
      ref->clear_job_uid();
    }
  });
  return job;
}

v1::SubmitPipelineResponse Enter(State* state, Decision* decision, const Caller& caller,
                                 v1::Pipeline pipeline, const std::vector<std::string>& order,
                                 DraftJobs* prepared) {
  v1::SubmitPipelineResponse response;
  v1::PipelineRecord record;
  for (const std::string& name : order) {
    JobEntry& entry = prepared->at(name);
    entry.record.set_pipeline_uid(pipeline.uid());
    record.add_job_uids(entry.uid());
    *response.add_jobs() = EnterJob(state, decision, caller, std::move(entry));
    if (record.arrival() == 0) {
      record.set_arrival(state->cluster.next_arrival());
    }
  }
  *record.mutable_pipeline() = pipeline;
  state->pipelines[pipeline.uid()] = record;
  state->pipeline_by_name[pipeline.name()] = pipeline.uid();
  decision->changes.put_pipelines.push_back(std::move(record));
  *response.mutable_pipeline() = std::move(pipeline);
  return response;
}

}  // namespace

absl::StatusOr<v1::SubmitPipelineResponse> SubmitPipeline(State* state, Decision* decision,
                                                          const Caller& caller,
                                                          const v1::SubmitPipelineRequest& request,
                                                          const NewPipelineIds& ids) {
  const std::string ns = request.namespace_().empty() ? "default" : request.namespace_();
  RETURN_IF_ERROR(CheckRequest(*state, ns, request));
  ASSIGN_OR_RETURN(const std::vector<Draft> drafts, MakeDrafts(ns, request.jobs(), ids.next_job));
  // Everything is checked before anything is changed.
  DraftJobs prepared;
  std::vector<std::string> order;
  std::set<std::string> uids;
  v1::Pipeline pipeline;
  for (const Draft& draft : drafts) {
    auto entry = PrepareDraft(*state, prepared, decision->now, caller, request.name(), draft);
    if (!entry.ok()) {
      return Annotate(entry.status(), draft.name);
    }
    uids.insert(entry->uid());
    order.push_back(entry->job().name());
    pipeline.add_jobs(order.back());
    prepared.emplace(order.back(), *std::move(entry));
  }
  pipeline.set_name(PipelineResource(ns, request.name()));
  pipeline.set_submitter(caller.identity);
  *pipeline.mutable_create_time() = ToProto(decision->now);
  if (request.validate_only()) {
    v1::SubmitPipelineResponse response;
    for (const std::string& name : order) {
      *response.add_jobs() = WithoutUids(uids, WouldBe(*state, std::move(prepared.at(name))));
    }
    *response.mutable_pipeline() = std::move(pipeline);
    return response;
  }
  pipeline.set_uid(ids.uid);
  return Enter(state, decision, caller, std::move(pipeline), order, &prepared);
}

absl::StatusOr<const v1::PipelineRecord*> FindPipeline(const State& state, const std::string& resource) {
  const auto found = state.pipeline_by_name.find(resource);
  if (found == state.pipeline_by_name.end()) {
    return Error(absl::StatusCode::kNotFound, "PIPELINE_NOT_FOUND", "pipeline",
                 absl::StrCat("pipeline: there is no '", resource.substr(0, 200), "'"),
                 "give namespaces/NAMESPACE/pipelines/PIPELINE as it was submitted");
  }
  return &state.pipelines.at(found->second);
}

}  // namespace cherry::coordinator
