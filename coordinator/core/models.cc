#include "coordinator/core/models.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/model_plan.h"
#include "common/status.h"
#include "coordinator/core/paging.h"
#include "coordinator/core/placement.h"

namespace cherry::coordinator {
namespace {

constexpr int kPageDefault = 100;
constexpr int kPageMost = 1000;
constexpr size_t kMostDescription = 1024;

// As the job that would have made it.
JobEntry EntryOf(const v1::Model& model, const JobName& name) {
  JobEntry entry;
  v1::Job& job = entry.job();
  job.set_name(model.name());
  job.set_uid(model.uid());
  job.set_submitter(model.submitter());
  job.set_state(v1::Job::SUCCEEDED);
  *job.mutable_create_time() = model.create_time();
  v1::JobSpec& resolved = *job.mutable_resolved();
  resolved.set_kind(v1::JobSpec::PRETRAIN);
  resolved.set_name(name.job);
  resolved.set_namespace_(name.ns);
  *resolved.mutable_model() = model.config();
  v1::Checkpoint& checkpoint = entry.checkpoints[{0, 0}];
  checkpoint.set_name(absl::StrCat(model.name(), "/checkpoints/0"));
  checkpoint.set_job_uid(model.uid());
  checkpoint.set_path(model.path());
  checkpoint.set_bytes(model.bytes());
  checkpoint.set_manifest_hash(model.manifest_hash());
  *checkpoint.mutable_create_time() = model.create_time();
  checkpoint.set_state(v1::Checkpoint::COMMITTED);
  entry.shape = PlacementShape(resolved);
  return entry;
}

// What the data of jobs that start from it is compared with: its tokenizer, by the name that --tokenizer
// takes.
v1::Dataset TokenizerOf(const v1::Model& model, const JobName& name) {
  v1::Dataset data;
  data.set_name(absl::StrCat("model:", name.ns == "default" ? "" : name.ns + "/", name.job));
  data.set_tokenizer_hash(model.tokenizer_hash());
  return data;
}

absl::Status Enter(State* state, const v1::Model& model) {
  ASSIGN_OR_RETURN(const JobName name, ParseModelName(model.name()));
  state->jobs[model.uid()] = EntryOf(model, name);
  state->model_data[model.uid()] = TokenizerOf(model, name);
  state->models[model.name()] = model;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::Model> RegisterModel(State* state, Decision* decision, const Caller& caller,
                                        v1::Model model) {
  RETURN_IF_ERROR(Annotate(ParseModelName(model.name()).status(), "model"));
  if (!IsUuid(model.uid()) || state->jobs.count(model.uid()) > 0) {
    return InvalidField("UID_INVALID", "model.uid",
                        absl::StrCat("model.uid: '", model.uid().substr(0, 80), "' is not a new UUID"),
                        "import it again: each import has one of its own");
  }
  if (model.description().size() > kMostDescription) {
    return InvalidField("TOO_LONG", "model.description",
                        absl::StrCat("model.description: ", model.description().size(),
                                     " bytes are more than ", kMostDescription),
                        "say it shorter");
  }
  ASSIGN_OR_RETURN(const ModelShape shape, ResolveModel(model.config(), 0));
  *model.mutable_config() = ToConfig(shape);
  model.set_parameters(CountParameters(shape));
  model.set_submitter(caller.identity);
  *model.mutable_create_time() = ToProto(decision->now);
  RETURN_IF_ERROR(Enter(state, model));
  decision->changes.put_models.push_back(model);
  return model;
}

absl::StatusOr<const v1::Model*> FindModelRecord(const State& state, absl::string_view name,
                                                 absl::string_view field) {
  const auto found = state.models.find(std::string(name));
  if (found == state.models.end()) {
    return Error(absl::StatusCode::kNotFound, "MODEL_NOT_FOUND", field,
                 absl::StrCat(field, ": there is no model '", name, "'"),
                 "list them with 'cherry get models', or take it in with 'cherry model import'");
  }
  return &found->second;
}

absl::StatusOr<v1::ListModelsResponse> ListModels(const State& state, const v1::ListModelsRequest& request) {
  ASSIGN_OR_RETURN(const int size, PageSize(request.page_size(), kPageDefault, kPageMost));
  ASSIGN_OR_RETURN(const std::string after, ReadPageToken(request.namespace_(), request.page_token()));
  const std::string prefix =
      request.namespace_().empty() ? "" : absl::StrCat("namespaces/", request.namespace_(), "/");
  v1::ListModelsResponse response;
  for (auto place = state.models.upper_bound(after); place != state.models.end(); ++place) {
    if (!absl::StartsWith(place->first, prefix)) {
      continue;
    }
    if (response.models_size() == size) {
      response.set_next_page_token(MakePageToken(request.namespace_(), response.models().rbegin()->name()));
      break;
    }
    *response.add_models() = place->second;
  }
  return response;
}

void RestoreModels(State* state, std::vector<v1::Model> models) {
  // The newest of a name is entered last.
  std::stable_sort(models.begin(), models.end(), [](const v1::Model& a, const v1::Model& b) {
    return FromProto(a.create_time()) < FromProto(b.create_time());
  });
  for (const v1::Model& model : models) {
    Drop(Enter(state, model));  // Its name was parsed when it was registered.
  }
}

}  // namespace cherry::coordinator
