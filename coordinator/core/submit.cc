#include "coordinator/core/submit.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/model_plan.h"
#include "common/spec.h"
#include "common/status.h"
#include "coordinator/core/awaited.h"
#include "coordinator/core/explain.h"
#include "coordinator/core/machines.h"
#include "coordinator/core/placement.h"
#include "coordinator/core/timeline.h"

namespace cherry::coordinator {
namespace {

constexpr size_t kMostSpecBytes = size_t{256} * 1024;

absl::Status CheckNameIsFree(const State& state, const JobName& name) {
  const auto uid = state.by_name.find(name.Resource());
  if (uid != state.by_name.end() && !IsTerminal(state.jobs.at(uid->second).job().state())) {
    return Error(absl::StatusCode::kAlreadyExists, "JOB_EXISTS", "name",
                 absl::StrCat("name: '", name.job, "' is a live job of namespace ", name.ns),
                 "cancel it, wait for its end, or use generate_name");
  }
  return absl::OkStatus();
}

// The spec with every default and its plan, without identity.
absl::StatusOr<v1::Job> Resolve(const State& state, const DraftJobs& drafts, const v1::JobSpec& spec,
                                const NewJobIds& ids, Sources* found) {
  if (spec.ByteSizeLong() > kMostSpecBytes) {
    return InvalidField("SPEC_TOO_LARGE", "spec",
                        absl::StrCat("spec: ", spec.ByteSizeLong(), " bytes are too many"),
                        absl::StrCat("keep it below ", kMostSpecBytes, " bytes"));
  }
  // Kind and form come first, so that a wrong file is not answered by what it happens to name.
  v1::JobSpec named = spec;
  if (named.name().empty() && !named.generate_name().empty()) {
    named.set_name(absl::StrCat(named.generate_name(), ids.name_suffix));
    named.clear_generate_name();
  }
  RETURN_IF_ERROR(CheckForm(named));
  ASSIGN_OR_RETURN(*found, LookUp(state, drafts, &named));
  const Sources& sources = *found;
  SpecContext context;
  context.train = sources.train;
  context.valid = sources.valid;
  context.parent_model = sources.model ? &*sources.model : nullptr;
  context.reference_model = sources.reference_model ? &*sources.reference_model : nullptr;
  context.parent_data = sources.parent_data;
  context.reference_data = sources.reference_data;
  context.inputs = sources.read;
  v1::Job job;
  ASSIGN_OR_RETURN(*job.mutable_resolved(), ResolveSpec(named, context));
  if (sources.source_step.has_value()) {
    RETURN_IF_ERROR(CheckGoesFurther(job.resolved(), *sources.source_step));
  }
  const std::vector<int> ranks = FeasibleRanks(job.resolved());
  const std::vector<std::string> parts = SplitParts(job.resolved().data().train());
  int64_t tokens = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    tokens += FindSplit(sources.train[i], parts[i])->tokens();
  }
  ASSIGN_OR_RETURN(*job.mutable_plan(), PlanJob(job.resolved(), ranks.empty() ? 1 : ranks.front(), tokens));
  *job.mutable_spec() = spec;
  return job;
}

}  // namespace

absl::StatusOr<JobEntry> PrepareJob(const State& state, const DraftJobs& drafts, absl::Time now,
                                    const Caller& caller, const v1::JobSpec& spec, const NewJobIds& ids) {
  Sources sources;
  JobEntry entry;
  ASSIGN_OR_RETURN(entry.job(), Resolve(state, drafts, spec, ids, &sources));
  v1::Job& job = entry.job();
  const JobName name{job.resolved().namespace_(), job.resolved().name()};
  RETURN_IF_ERROR(CheckNameIsFree(state, name));
  job.set_name(name.Resource());
  job.set_uid(ids.uid);
  job.set_submitter(caller.identity);
  job.set_state(v1::Job::PENDING);
  job.set_reason(sources.awaits.empty() ? "waits for slots" : "waits for the checkpoints of other jobs");
  job.mutable_progress()->set_total_steps(job.resolved().train().steps());
  *job.mutable_create_time() = ToProto(now);
  *entry.record.mutable_pending_since() = ToProto(now);
  if (sources.checkpoint.has_value()) {
    *entry.record.mutable_source() = *sources.checkpoint;
  }
  entry.record.mutable_inputs()->Assign(sources.inputs.begin(), sources.inputs.end());
  entry.record.mutable_awaits()->Assign(sources.awaits.begin(), sources.awaits.end());
  entry.shape = PlacementShape(job.resolved());
  return entry;
}

v1::Job WouldBe(const State& state, JobEntry entry) {
  entry.record.set_arrival(state.cluster.next_arrival() + 1);
  for (const v1::PendingReason& reason : PendingReasons(state, entry)) {
    *entry.job().mutable_plan()->add_would_wait() = reason;
  }
  entry.job().clear_uid();
  return entry.job();
}

v1::Job EnterJob(State* state, Decision* decision, const Caller& caller, JobEntry prepared) {
  const std::string uid = prepared.uid();
  state->cluster.set_next_arrival(state->cluster.next_arrival() + 1);
  JobEntry& entry = state->jobs[uid];
  entry = std::move(prepared);
  entry.record.set_arrival(state->cluster.next_arrival());
  state->by_arrival[entry.record.arrival()] = uid;
  state->by_name[entry.job().name()] = uid;
  Reindex(state, entry);
  Touch(decision, entry);
  AddEvent(state, decision, entry, "Submitted",
           {v1::CAUSE_UNSPECIFIED, absl::StrCat("by ", caller.identity)});
  if (entry.record.awaits().empty()) {
    decision->new_jobs.push_back(uid);
    return entry.job();
  }
  v1::Job view = entry.job();
  for (const v1::PendingReason& reason : AwaitedReasons(*state, entry)) {
    *view.add_pending() = reason;
  }
  view.set_reason(view.pending(0).message());
  return view;
}

absl::StatusOr<v1::Job> SubmitJob(State* state, Decision* decision, const Caller& caller,
                                  const v1::JobSpec& spec, const NewJobIds& ids, bool validate_only) {
  if (spec.has_matrix()) {
    return InvalidField("MATRIX_NOT_SUPPORTED", "matrix", "matrix: one job has no combinations",
                        "submit it as a pipeline (SubmitPipeline), as 'cherry submit' does");
  }
  ASSIGN_OR_RETURN(JobEntry entry, PrepareJob(*state, {}, decision->now, caller, spec, ids));
  if (validate_only) {
    return WouldBe(*state, std::move(entry));
  }
  return EnterJob(state, decision, caller, std::move(entry));
}

}  // namespace cherry::coordinator
