#include "coordinator/core/sources.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/ids.h"
#include "common/spec.h"
#include "common/status.h"
#include "coordinator/core/checkpoints.h"
#include "coordinator/core/machines.h"
#include "coordinator/core/models.h"
#include "coordinator/core/references.h"

namespace cherry::coordinator {
namespace {

// A model or a job, by `name` or `namespace/name`.
absl::StatusOr<const JobEntry*> FindSource(const State& state, const DraftJobs& drafts,
                                           const v1::JobSpec& spec, v1::SourceRef* ref,
                                           absl::string_view field) {
  const bool imported = !ref->model().empty();
  const std::vector<std::string> parts = absl::StrSplit(imported ? ref->model() : ref->job(), '/');
  if (imported) {
    ASSIGN_OR_RETURN(
        const v1::Model* model,
        FindModelRecord(state, ModelResource(parts.size() == 2 ? parts[0] : NamespaceOf(spec), parts.back()),
                        absl::StrCat(field, ".model")));
    ref->set_job_uid(model->uid());
    return &state.jobs.at(model->uid());
  }
  const JobName name{parts.size() == 2 ? parts[0] : NamespaceOf(spec), parts.back()};
  if (const auto draft = drafts.find(name.Resource()); draft != drafts.end() && parts.size() <= 2) {
    ref->set_job_uid(draft->second.uid());
    return &draft->second;
  }
  const auto uid = state.by_name.find(name.Resource());
  if (parts.size() > 2 || uid == state.by_name.end()) {
    return Error(absl::StatusCode::kNotFound, "JOB_NOT_FOUND", absl::StrCat(field, ".job"),
                 absl::StrCat(field, ".job: there is no job '", ref->job(), "'"),
                 "name a job of the same namespace, or NAMESPACE/JOB");
  }
  ref->set_job_uid(uid->second);
  return &state.jobs.at(uid->second);
}

// Of a job that makes a model.
absl::StatusOr<const JobEntry*> FindModel(const State& state, const DraftJobs& drafts,
                                          const v1::JobSpec& spec, v1::SourceRef* ref,
                                          absl::string_view field) {
  ASSIGN_OR_RETURN(const JobEntry* job, FindSource(state, drafts, spec, ref, field));
  if (job->job().resolved().kind() == v1::JobSpec::EVALUATE) {
    return InvalidField("MODEL_MISMATCH", absl::StrCat(field, ".job"),
                        absl::StrCat(field, ".job: ", ref->job(), " is an evaluation, which makes no model"),
                        "name one of the jobs that it measured");
  }
  return job;
}

std::vector<const v1::Dataset*> FindDatasets(const State& state, const std::string& splits) {
  std::vector<const v1::Dataset*> datasets;
  for (const std::string& part : SplitParts(splits)) {
    const auto found = state.datasets.find(DatasetOfPart(part));
    datasets.push_back(found == state.datasets.end() ? nullptr : &found->second);
  }
  return datasets;
}

// The first of what it was trained on; of an imported model its tokenizer. Null where it is not registered
// any more.
const v1::Dataset* DataOf(const State& state, const JobEntry& job) {
  const auto model = state.model_data.find(job.uid());
  return model != state.model_data.end() ? &model->second
                                         : FindDatasets(state, job.job().resolved().data().train()).front();
}

// A step that a live job does not have yet, but will.
absl::Status CheckWillExist(const JobEntry& job, int64_t step, absl::string_view field) {
  const v1::JobSpec& resolved = job.job().resolved();
  const int64_t every = resolved.checkpoint().every_steps();
  const int64_t last = resolved.train().steps();
  if (step > 0 && (step == last || (step < last && step % every == 0))) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kNotFound, "CHECKPOINT_NOT_FOUND", field,
               absl::StrCat(field, ": ", resolved.name(), " will have no checkpoint of step ", step),
               absl::StrCat("it saves one every ", every, " steps and at step ", last));
}

// A later step is committed: this one is not coming any more. While none is, it may still be on its way.
bool HasPassed(const JobEntry& job, int64_t step) {
  const std::vector<v1::Checkpoint> committed = CommittedNewestFirst(job);
  return !committed.empty() && committed.front().step() > step;
}

// Takes a checkpoint of `job` for `role` now, where that can be told; else notes that it is awaited. What a
// live job has at this moment would depend on the moment, so only a step that it has counts.
absl::Status AddInput(absl::string_view role, const JobEntry& job, const std::string& which,
                      absl::string_view field, Sources* sources) {
  int64_t step = 0;
  const bool is_step = absl::SimpleAtoi(which, &step);
  const bool live = !IsTerminal(job.job().state());
  const bool has_it = is_step && FindCommitted(const_cast<JobEntry*>(&job), step) != nullptr;
  if (!live || has_it || (is_step && HasPassed(job, step))) {
    ASSIGN_OR_RETURN(const v1::Checkpoint checkpoint, SelectCheckpoint(job, which, field));
    if (role == kSourceRole) {
      sources->checkpoint = checkpoint;
      sources->source_step = checkpoint.step();
    } else {
      v1::JobInput& input = sources->inputs.emplace_back();
      input.set_role(std::string(role));
      *input.mutable_checkpoint() = checkpoint;
    }
    return absl::OkStatus();
  }
  if (is_step) {
    RETURN_IF_ERROR(CheckWillExist(job, step, field));
  } else {
    RETURN_IF_ERROR(CheckSelector(which, field));
  }
  if (role == kSourceRole && (is_step || which == "latest")) {
    sources->source_step = is_step ? step : job.job().resolved().train().steps();
  }
  v1::AwaitedInput& awaited = sources->awaits.emplace_back();
  awaited.set_role(std::string(role));
  awaited.set_job_uid(job.uid());
  awaited.set_job(job.job().name());
  awaited.set_checkpoint(which);
  return absl::OkStatus();
}

// The run that this one goes on with has ended, and nothing kept its origin since.
absl::Status CheckOriginIsThere(const State& state, const v1::Checkpoint& origin, absl::string_view field) {
  if (IsCommitted(state, origin)) {
    return absl::OkStatus();
  }
  return Error(
      absl::StatusCode::kNotFound, "CHECKPOINT_NOT_FOUND", field,
      absl::StrCat(field, ": the weights that this run measured from, ", origin.name(), ", are gone"),
      "use from instead of continue: it measures from the checkpoint it starts from");
}

// The weights that a selective run measures from: those it starts from, or, when it goes on with another such
// run, those that one started from.
absl::Status AddOrigin(const State& state, const v1::JobSpec& spec, const JobEntry& parent,
                       const std::string& which, absl::string_view field, Sources* sources) {
  if (spec.has_continue_() && parent.job().resolved().kind() == spec.kind()) {
    for (const v1::JobInput& input : parent.record.inputs()) {
      if (input.role() == kOriginRole) {
        RETURN_IF_ERROR(CheckOriginIsThere(state, input.checkpoint(), field));
        sources->inputs.push_back(input);
        return absl::OkStatus();
      }
    }
    for (const v1::AwaitedInput& awaited : parent.record.awaits()) {
      if (awaited.role() == kOriginRole) {
        sources->awaits.push_back(awaited);
        return absl::OkStatus();
      }
    }
  }
  return AddInput(kOriginRole, parent, which, field, sources);
}

void InheritData(const v1::DataConfig& inherited, v1::JobSpec* spec) {
  if (spec->data().train().empty()) spec->mutable_data()->set_train(inherited.train());
  if (spec->data().valid().empty()) spec->mutable_data()->set_valid(inherited.valid());
  const bool reads = spec->kind() == v1::JobSpec::FUSE || spec->kind() == v1::JobSpec::EVALUATE;
  if (reads && !spec->data().has_targets()) spec->mutable_data()->set_targets(inherited.targets());
}

// The uids of a job and of all that its weights descend from, as far as these are still known.
std::set<std::string> LineageOf(const State& state, const DraftJobs& drafts, const JobEntry& job) {
  std::set<std::string> lineage;
  std::vector<std::string> open = {job.uid()};
  while (!open.empty()) {
    const std::string uid = open.back();
    open.pop_back();
    if (uid.empty() || !lineage.insert(uid).second) {
      continue;
    }
    const JobEntry* entry = nullptr;
    if (const auto known = state.jobs.find(uid); known != state.jobs.end()) {
      entry = &known->second;
    }
    for (const auto& [name, draft] : drafts) {
      entry = draft.uid() == uid ? &draft : entry;
    }
    // What two compressions make of one model are no variants of one model.
    if (entry == nullptr || entry->job().resolved().kind() == v1::JobSpec::COMPRESS) {
      continue;
    }
    const v1::JobSpec& spec = entry->job().resolved();
    open.insert(open.end(), {spec.from().job_uid(), spec.continue_().job_uid()});
    for (const v1::SourceRef& expert : spec.experts()) {
      open.push_back(expert.job_uid());
    }
  }
  return lineage;
}

InputSource SourceOf(const State& state, const JobEntry& job, const std::string& field) {
  const v1::JobSpec& resolved = job.job().resolved();
  InputSource source;
  source.model = resolved.model();
  source.train = resolved.data().train();
  source.data = DataOf(state, job);
  source.targets = resolved.data().targets();
  source.field = field;
  return source;
}

// The parts of both, each once.
std::string JoinParts(const std::string& a, const std::string& b) {
  std::vector<std::string> parts;
  for (const std::string& text : {a, b}) {
    for (const std::string& part : SplitParts(text)) {
      if (!part.empty() && std::find(parts.begin(), parts.end(), part) == parts.end()) {
        parts.push_back(part);
      }
    }
  }
  return absl::StrJoin(parts, " + ");
}

absl::Status LookUpExperts(const State& state, const DraftJobs& drafts, v1::JobSpec* spec, Sources* sources) {
  v1::DataConfig data;
  for (int i = 0; i < spec->experts_size(); ++i) {
    const std::string role = absl::StrCat("experts[", i, "]");
    v1::SourceRef* ref = spec->mutable_experts(i);
    ASSIGN_OR_RETURN(const JobEntry* job, FindModel(state, drafts, *spec, ref, role));
    RETURN_IF_ERROR(AddInput(role, *job, ref->checkpoint(), absl::StrCat(role, ".checkpoint"), sources));
    const v1::JobSpec& resolved = job->job().resolved();
    data.set_train(JoinParts(data.train(), resolved.data().train()));
    data.set_valid(JoinParts(data.valid(), resolved.data().valid()));
    if (i > 0 && resolved.data().targets() != data.targets()) {
      return InvalidField(
          "DATA_MISMATCH", role,
          absl::StrCat(role, ": ", ref->job(), " was trained on other targets than experts[0]"),
          "give data.targets, or fuse models of the same targets");
    }
    data.set_targets(resolved.data().targets());
    sources->read.push_back(SourceOf(state, *job, role));
    sources->read.back().lineage = LineageOf(state, drafts, *job);
  }
  InheritData(data, spec);
  return absl::OkStatus();
}

// What a model started from, for an evaluation that does not say what recovery starts from.
void AddParentOf(const State& state, const JobEntry& job, Sources* sources) {
  if (!job.job().resolved().has_from()) {
    return;
  }
  if (job.record.has_source()) {
    // Nothing keeps it for a job that has ended.
    if (!IsCommitted(state, job.record.source())) {
      return;
    }
    v1::JobInput& input = sources->inputs.emplace_back();
    input.set_role(kStartRole);
    *input.mutable_checkpoint() = job.record.source();
    return;
  }
  for (const v1::AwaitedInput& awaited : job.record.awaits()) {
    if (awaited.role() == kSourceRole) {
      sources->awaits.push_back(awaited);
      sources->awaits.back().set_role(kStartRole);
    }
  }
}

// Also one of several: `evaluate.starts[0]`.
bool HasStart(const Sources& sources) {
  const auto is_start = [](const auto& input) { return absl::StartsWith(input.role(), kStartRole); };
  return std::any_of(sources.inputs.begin(), sources.inputs.end(), is_start) ||
         std::any_of(sources.awaits.begin(), sources.awaits.end(), is_start);
}

// Losses on other windows could not be compared with those of the run.
void InheritWindows(const v1::JobSpec& baseline, v1::JobSpec* spec) {
  if (!spec->train().has_sequence_length()) {
    spec->mutable_train()->set_sequence_length(baseline.train().sequence_length());
  }
  if (!spec->validation().has_max_sequences()) {
    spec->mutable_validation()->set_max_sequences(baseline.validation().max_sequences());
  }
}

absl::Status LookUpEvaluated(const State& state, const DraftJobs& drafts, v1::JobSpec* spec,
                             Sources* sources) {
  absl::Status status;
  bool inherited = false;
  std::vector<const JobEntry*> models;
  ForEachReference(spec, [&](const std::string& field, v1::SourceRef* ref) {
    if (!status.ok()) {
      return;
    }
    const absl::StatusOr<const JobEntry*> job = FindModel(state, drafts, *spec, ref, field);
    status = job.ok() ? AddInput(field, **job, ref->checkpoint(), absl::StrCat(field, ".checkpoint"), sources)
                      : job.status();
    if (!status.ok()) {
      return;
    }
    const v1::JobSpec& resolved = (*job)->job().resolved();
    if (!sources->model.has_value()) {
      // The baseline comes first.
      sources->model = resolved.model();
      sources->parent_data = DataOf(state, **job);
    }
    // From the first that one of our runs has made.
    if (!inherited && resolved.has_train()) {
      inherited = true;
      InheritData(resolved.data(), spec);
      InheritWindows(resolved, spec);
    }
    sources->read.push_back(SourceOf(state, **job, field));
    if (absl::StartsWith(field, "evaluate.models")) {
      models.push_back(*job);
    }
  });
  RETURN_IF_ERROR(status);
  for (size_t i = 0; i < models.size() && !HasStart(*sources); ++i) {
    AddParentOf(state, *models[i], sources);
    if (HasStart(*sources)) {
      sources->read.push_back(SourceOf(state, *models[i], kStartRole));
    }
  }
  return absl::OkStatus();
}

// The other model that a selective job compares with.
absl::Status LookUpReference(const State& state, const DraftJobs& drafts, v1::JobSpec* spec,
                             Sources* sources) {
  if (!spec->sgt().has_reference()) {
    return absl::OkStatus();
  }
  v1::SourceRef* ref = spec->mutable_sgt()->mutable_reference();
  ASSIGN_OR_RETURN(const JobEntry* job, FindModel(state, drafts, *spec, ref, kReferenceRole));
  RETURN_IF_ERROR(AddInput(kReferenceRole, *job, ref->checkpoint(),
                           absl::StrCat(kReferenceRole, ".checkpoint"), sources));
  sources->reference_model = job->job().resolved().model();
  sources->reference_data = DataOf(state, *job);
  return absl::OkStatus();
}

}  // namespace

std::string NamespaceOf(const v1::JobSpec& spec) {
  return spec.namespace_().empty() ? "default" : spec.namespace_();
}

absl::StatusOr<Sources> LookUp(const State& state, const DraftJobs& drafts, v1::JobSpec* spec) {
  Sources sources;
  const bool method = spec->kind() != v1::JobSpec::PRETRAIN;
  if (spec->model().has_like()) {
    v1::SourceRef* like = spec->mutable_model()->mutable_like();
    ASSIGN_OR_RETURN(const JobEntry* job, FindModel(state, drafts, *spec, like, "model.like"));
    sources.model = job->job().resolved().model();
  }
  const bool goes_on = spec->has_continue_();
  if (goes_on || spec->has_from()) {
    v1::SourceRef* ref = goes_on ? spec->mutable_continue_() : spec->mutable_from();
    const std::string field = goes_on ? "continue" : "from";
    ASSIGN_OR_RETURN(const JobEntry* job, FindModel(state, drafts, *spec, ref, field));
    if (goes_on && !ref->model().empty()) {
      return InvalidField("FIELD_NOT_ALLOWED", "continue.model",
                          absl::StrCat("continue.model: ", ref->model(),
                                       " is an imported model, without an optimizer to go on with"),
                          "use from: it starts from the weights alone");
    }
    const std::string which = goes_on && ref->checkpoint().empty() ? "latest" : ref->checkpoint();
    const std::string at = field + ".checkpoint";
    RETURN_IF_ERROR(AddInput(kSourceRole, *job, which, at, &sources));
    sources.model = job->job().resolved().model();
    sources.parent_data = DataOf(state, *job);
    if (method) {
      InheritData(job->job().resolved().data(), spec);
      RETURN_IF_ERROR(AddOrigin(state, *spec, *job, which, at, &sources));
    }
  }
  if (method) {
    RETURN_IF_ERROR(LookUpReference(state, drafts, spec, &sources));
  }
  if (spec->kind() == v1::JobSpec::FUSE) {
    RETURN_IF_ERROR(LookUpExperts(state, drafts, spec, &sources));
  } else if (spec->kind() == v1::JobSpec::EVALUATE) {
    RETURN_IF_ERROR(LookUpEvaluated(state, drafts, spec, &sources));
  }
  sources.train = FindDatasets(state, spec->data().train());
  sources.valid = FindDatasets(state, spec->data().valid());
  return sources;
}

absl::Status CheckGoesFurther(const v1::JobSpec& resolved, int64_t source_step) {
  if (resolved.has_continue_() && resolved.train().steps() <= source_step) {
    return InvalidField("OUT_OF_RANGE", "train.steps",
                        absl::StrCat("train.steps: ", resolved.train().steps(),
                                     " are done already: the job goes on from step ", source_step),
                        absl::StrCat("give more than ", source_step));
  }
  return absl::OkStatus();
}

}  // namespace cherry::coordinator
