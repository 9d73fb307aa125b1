#include "coordinator/core/submit.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/ids.h"
#include "common/model_plan.h"
#include "common/spec.h"
#include "common/status.h"
#include "coordinator/core/checkpoints.h"
#include "coordinator/core/explain.h"
#include "coordinator/core/machines.h"
#include "coordinator/core/placement.h"
#include "coordinator/core/timeline.h"

namespace cherry::coordinator {
namespace {

constexpr size_t kMostSpecBytes = 256 * 1024;
constexpr char kOriginRole[] = "origin";
constexpr char kReferenceRole[] = "sgt.reference";

// What a spec's references mean right now.
struct Sources {
  const v1::Dataset* train = nullptr;
  const v1::Dataset* valid = nullptr;
  const v1::Dataset* parent_data = nullptr;
  const v1::Dataset* reference_data = nullptr;
  std::optional<v1::ModelConfig> model;
  std::optional<v1::ModelConfig> reference_model;
  std::optional<v1::Checkpoint> checkpoint;
  std::vector<v1::JobInput> inputs;
};

std::string NamespaceOf(const v1::JobSpec& spec) {
  return spec.namespace_().empty() ? "default" : spec.namespace_();
}

// `job` or `namespace/job`.
absl::StatusOr<JobEntry*> FindSource(State* state, const v1::JobSpec& spec, v1::SourceRef* ref,
                                     absl::string_view field) {
  if (!ref->model().empty()) {
    return Error(absl::StatusCode::kUnimplemented, "MODEL_NOT_SUPPORTED", absl::StrCat(field, ".model"),
                 absl::StrCat(field, ".model: this version has no imported models"), "name a job instead");
  }
  const std::vector<std::string> parts = absl::StrSplit(ref->job(), '/');
  const JobName name{parts.size() == 2 ? parts[0] : NamespaceOf(spec), parts.back()};
  const auto uid = state->by_name.find(name.Resource());
  if (parts.size() > 2 || uid == state->by_name.end()) {
    return Error(absl::StatusCode::kNotFound, "JOB_NOT_FOUND", absl::StrCat(field, ".job"),
                 absl::StrCat(field, ".job: there is no job '", ref->job(), "'"),
                 "name a job of the same namespace, or NAMESPACE/JOB");
  }
  ref->set_job_uid(uid->second);
  return &state->jobs.at(uid->second);
}

const v1::Dataset* FindDataset(const State& state, const std::string& split) {
  const auto found = state.datasets.find(split.substr(0, split.find('/')));
  return found == state.datasets.end() ? nullptr : &found->second;
}

void AddInput(absl::string_view role, const v1::Checkpoint& checkpoint, std::vector<v1::JobInput>* inputs) {
  v1::JobInput& input = inputs->emplace_back();
  input.set_role(std::string(role));
  *input.mutable_checkpoint() = checkpoint;
}

// The weights that a selective run measures from: those it starts from, or, when it goes on with another such
// run, those that one started from.
void AddOrigin(const v1::JobSpec& spec, const JobEntry& parent, Sources* sources) {
  if (!spec.has_continue_()) {
    AddInput(kOriginRole, *sources->checkpoint, &sources->inputs);
    return;
  }
  for (const v1::JobInput& input : parent.record.inputs()) {
    if (input.role() == kOriginRole) {
      sources->inputs.push_back(input);
      return;
    }
  }
  AddInput(kOriginRole, *sources->checkpoint, &sources->inputs);
}

// What a method other than pretraining names besides: the defaults of its data, a reference model.
absl::Status LookUpMethod(State* state, v1::JobSpec* spec, const JobEntry* parent, Sources* sources) {
  if (parent != nullptr) {
    const v1::DataConfig& inherited = parent->job().resolved().data();
    if (spec->data().train().empty()) spec->mutable_data()->set_train(inherited.train());
    if (spec->data().valid().empty()) spec->mutable_data()->set_valid(inherited.valid());
    AddOrigin(*spec, *parent, sources);
  }
  if (spec->sgt().has_reference()) {
    v1::SourceRef* ref = spec->mutable_sgt()->mutable_reference();
    ASSIGN_OR_RETURN(const JobEntry* job, FindSource(state, *spec, ref, kReferenceRole));
    ASSIGN_OR_RETURN(const v1::Checkpoint checkpoint,
                     SelectCheckpoint(*job, ref->checkpoint(), absl::StrCat(kReferenceRole, ".checkpoint")));
    AddInput(kReferenceRole, checkpoint, &sources->inputs);
    sources->reference_model = job->job().resolved().model();
    sources->reference_data = FindDataset(*state, job->job().resolved().data().train());
  }
  return absl::OkStatus();
}

// Looks up everything the spec names, and writes uids into its references.
absl::StatusOr<Sources> LookUp(State* state, v1::JobSpec* spec) {
  Sources sources;
  const JobEntry* parent = nullptr;
  if (spec->model().has_like()) {
    v1::SourceRef* like = spec->mutable_model()->mutable_like();
    ASSIGN_OR_RETURN(const JobEntry* job, FindSource(state, *spec, like, "model.like"));
    sources.model = job->job().resolved().model();
  }
  const bool goes_on = spec->has_continue_();
  if (goes_on || spec->has_from()) {
    v1::SourceRef* ref = goes_on ? spec->mutable_continue_() : spec->mutable_from();
    const std::string field = goes_on ? "continue" : "from";
    ASSIGN_OR_RETURN(const JobEntry* job, FindSource(state, *spec, ref, field));
    const std::string which = goes_on && ref->checkpoint().empty() ? "latest" : ref->checkpoint();
    ASSIGN_OR_RETURN(sources.checkpoint, SelectCheckpoint(*job, which, absl::StrCat(field, ".checkpoint")));
    sources.model = job->job().resolved().model();
    sources.parent_data = FindDataset(*state, job->job().resolved().data().train());
    parent = job;
  }
  if (spec->kind() != v1::JobSpec::PRETRAIN) {
    RETURN_IF_ERROR(LookUpMethod(state, spec, parent, &sources));
  }
  sources.train = FindDataset(*state, spec->data().train());
  sources.valid = FindDataset(*state, spec->data().valid());
  return sources;
}

absl::Status CheckContinue(const v1::JobSpec& resolved, const Sources& sources) {
  if (resolved.has_continue_() && resolved.train().steps() <= sources.checkpoint->step()) {
    return InvalidField(
        "OUT_OF_RANGE", "train.steps",
        absl::StrCat("train.steps: ", resolved.train().steps(),
                     " are done already: the job goes on from step ", sources.checkpoint->step()),
        absl::StrCat("give more than ", sources.checkpoint->step()));
  }
  return absl::OkStatus();
}

absl::Status CheckNameIsFree(const State& state, const JobName& name) {
  const auto uid = state.by_name.find(name.Resource());
  if (uid != state.by_name.end() && !IsTerminal(state.jobs.at(uid->second).job().state())) {
    return Error(absl::StatusCode::kAlreadyExists, "JOB_EXISTS", "name",
                 absl::StrCat("name: '", name.job, "' is a live job of namespace ", name.ns),
                 "cancel it, wait for its end, or use generate_name");
  }
  return absl::OkStatus();
}

int64_t TokensOf(const v1::Dataset* dataset, const std::string& split_ref) {
  const std::string split_name = split_ref.substr(split_ref.find('/') + 1);
  if (dataset != nullptr) {
    for (const v1::Split& split : dataset->splits()) {
      if (split.name() == split_name) {
        return split.tokens();
      }
    }
  }
  return 0;
}

// The spec with every default and its plan, without identity.
absl::StatusOr<v1::Job> Prepare(State* state, const v1::JobSpec& spec, const NewJobIds& ids, Sources* found) {
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
  if (spec.kind() != v1::JobSpec::FUSE && spec.kind() != v1::JobSpec::EVALUATE) {
    ASSIGN_OR_RETURN(*found, LookUp(state, &named));
  }
  const Sources& sources = *found;
  SpecContext context;
  context.train = sources.train;
  context.valid = sources.valid;
  context.parent_model = sources.model ? &*sources.model : nullptr;
  context.reference_model = sources.reference_model ? &*sources.reference_model : nullptr;
  context.parent_data = sources.parent_data;
  context.reference_data = sources.reference_data;
  v1::Job job;
  ASSIGN_OR_RETURN(*job.mutable_resolved(), ResolveSpec(named, context));
  RETURN_IF_ERROR(CheckContinue(job.resolved(), sources));
  const std::vector<int> ranks = FeasibleRanks(job.resolved());
  ASSIGN_OR_RETURN(*job.mutable_plan(), PlanJob(job.resolved(), ranks.empty() ? 1 : ranks.front(),
                                                TokensOf(sources.train, job.resolved().data().train())));
  *job.mutable_spec() = spec;
  return job;
}

}  // namespace

absl::StatusOr<v1::Job> SubmitJob(State* state, Decision* decision, const Caller& caller,
                                  const v1::JobSpec& spec, const NewJobIds& ids, bool validate_only) {
  Sources sources;
  ASSIGN_OR_RETURN(v1::Job job, Prepare(state, spec, ids, &sources));
  const JobName name{job.resolved().namespace_(), job.resolved().name()};
  RETURN_IF_ERROR(CheckNameIsFree(*state, name));
  job.set_name(name.Resource());
  job.set_submitter(caller.identity);
  job.set_state(v1::Job::PENDING);
  job.set_reason("waits for slots");
  job.mutable_progress()->set_total_steps(job.resolved().train().steps());
  *job.mutable_create_time() = ToProto(decision->now);
  if (validate_only) {
    JobEntry would_be;
    would_be.job() = job;
    would_be.record.set_arrival(state->cluster.next_arrival() + 1);
    for (const v1::PendingReason& reason : PendingReasons(*state, would_be)) {
      *job.mutable_plan()->add_would_wait() = reason;
    }
    return job;
  }
  job.set_uid(ids.uid);
  state->cluster.set_next_arrival(state->cluster.next_arrival() + 1);
  JobEntry& entry = state->jobs[ids.uid];
  entry.job() = std::move(job);
  entry.record.set_arrival(state->cluster.next_arrival());
  *entry.record.mutable_pending_since() = ToProto(decision->now);
  if (sources.checkpoint.has_value()) {
    *entry.record.mutable_source() = *sources.checkpoint;
  }
  entry.record.mutable_inputs()->Assign(sources.inputs.begin(), sources.inputs.end());
  entry.shape = PlacementShape(entry.job().resolved());
  state->by_arrival[entry.record.arrival()] = ids.uid;
  state->by_name[name.Resource()] = ids.uid;
  Reindex(state, entry);
  Touch(decision, entry);
  AddEvent(state, decision, entry, "Submitted",
           {v1::CAUSE_UNSPECIFIED, absl::StrCat("by ", caller.identity)});
  decision->new_jobs.push_back(ids.uid);
  return entry.job();
}

}  // namespace cherry::coordinator
