#include "coordinator/core/links.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/evaluation.h"
#include "common/matrix_value.h"
#include "common/spec_checks.h"
#include "common/status.h"
#include "coordinator/core/references.h"

namespace cherry::coordinator {
namespace {

constexpr size_t kMostShown = 8;

// Which jobs a name means: one, or all of a matrix.
using Names = std::map<std::string, std::vector<size_t>>;

std::string Listed(const std::vector<Draft>& drafts, const std::vector<size_t>& which) {
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(which.size(), kMostShown); ++i) {
    names.push_back(drafts[which[i]].name);
  }
  return absl::StrCat(absl::StrJoin(names, ", "), which.size() > kMostShown ? ", ..." : "");
}

absl::Status Duplicate(const std::string& name) {
  return InvalidField("JOB_DUPLICATE", "name", absl::StrCat("name: '", name, "' is given to two jobs"),
                      "give every job of the pipeline a name of its own");
}

absl::Status AddDocument(const std::string& ns, const v1::JobSpec& document,
                         const std::function<NewJobIds()>& next_ids, std::vector<Draft>* drafts) {
  Draft draft{document, document.name(), next_ids(), "", {}, {}, 0};
  if (draft.name.empty()) {
    draft.name = absl::StrCat(document.generate_name(), draft.ids.name_suffix);
  }
  if (!document.namespace_().empty() && document.namespace_() != ns) {
    return InvalidField(
        "NAMESPACE_DIFFERS", "namespace",
        absl::StrCat("namespace: ", document.namespace_(), " is not the ", ns, " of the pipeline"),
        "leave it out");
  }
  draft.spec.set_namespace_(ns);
  if (!document.has_matrix()) {
    drafts->push_back(std::move(draft));
    return absl::OkStatus();
  }
  if (document.name().empty() == document.generate_name().empty()) {
    return InvalidField("FIELD_REQUIRED", "name", "name: give either name or generate_name",
                        "for example name: ko-base, or generate_name: ko-");
  }
  ASSIGN_OR_RETURN(std::vector<MatrixJob> jobs, ExpandMatrix(draft.spec, draft.name));
  for (MatrixJob& job : jobs) {
    Draft& one = drafts->emplace_back();
    one.name = job.spec.name();
    one.spec = std::move(job.spec);
    one.ids = next_ids();
    one.matrix = draft.name;
    one.values = std::move(job.values);
    one.axes = AxesOf(document.matrix());
    one.max_parallel = document.matrix().max_parallel();
  }
  return absl::OkStatus();
}

absl::StatusOr<Names> NameDrafts(const std::vector<Draft>& drafts) {
  Names names;
  for (size_t i = 0; i < drafts.size(); ++i) {
    const Draft& draft = drafts[i];
    if (!names.emplace(draft.name, std::vector<size_t>{i}).second) {
      return Duplicate(draft.name);
    }
  }
  for (size_t i = 0; i < drafts.size(); ++i) {
    const std::string& matrix = drafts[i].matrix;
    if (matrix.empty()) {
      continue;
    }
    std::vector<size_t>& members = names[matrix];
    // Those of one document stand together: another that comes back to the name is another document.
    if (!members.empty() && (drafts[members.back()].matrix != matrix || members.back() + 1 != i)) {
      return Duplicate(matrix);
    }
    members.push_back(i);
  }
  return names;
}

// What an error calls a document.
std::string Label(const v1::JobSpec& document) {
  return !document.name().empty()            ? document.name()
         : !document.generate_name().empty() ? document.generate_name()
                                             : "a job without a name";
}

// The job of another matrix with the same values of the axes that both have.
absl::StatusOr<size_t> Pair(const std::vector<Draft>& drafts, const Draft& draft,
                            const std::vector<size_t>& members, const std::string& field) {
  const Draft& other = drafts[members[0]];
  std::vector<size_t> matching;
  for (const size_t member : members) {
    bool shares = false;
    bool same = true;
    for (const auto& [path, value] : drafts[member].values) {
      const auto own = draft.values.find(path);
      if (other.axes.count(path) > 0 && draft.axes.count(path) > 0 && own != draft.values.end()) {
        shares = true;
        same = same && SameValue(own->second, value);
      }
    }
    if (shares && same) {
      matching.push_back(member);
    }
  }
  if (matching.size() == 1) {
    return matching[0];
  }
  const std::string which = draft.matrix.empty() ? ", not one job"
                            : matching.empty()   ? ", and none of its jobs goes with this one"
                                                 : ", and several of its jobs go with this one";
  return InvalidField("MATRIX_AMBIGUOUS", field,
                      absl::StrCat(field, ": '", other.matrix, "' is a matrix", which),
                      absl::StrCat("name one of ", Listed(drafts, matching.empty() ? members : matching),
                                   draft.matrix.empty() ? "" : ", or give both matrices the same axes"));
}

// The name within the pipeline, or "" for a job of another namespace.
std::string LocalName(const std::string& ns, const std::string& job) {
  if (!absl::StrContains(job, "/")) {
    return job;
  }
  absl::string_view rest = job;
  return absl::ConsumePrefix(&rest, ns + "/") ? std::string(rest) : "";
}

class Linker {
 public:
  Linker(std::string ns, std::vector<Draft> drafts, Names names)
      : ns_(std::move(ns)), drafts_(std::move(drafts)), names_(std::move(names)), edges_(drafts_.size()) {
    for (size_t i = 0; i < drafts_.size(); ++i) {
      MatrixValues values = drafts_[i].values;
      if (!drafts_[i].matrix.empty() && values.erase(kSeedPath) > 0) {
        std::erase_if(values, [&](const auto& value) { return drafts_[i].axes.count(value.first) == 0; });
        groups_[MatrixJobName(drafts_[i].matrix, values)].push_back(i);
      }
    }
  }

  // Rewrites the references of every draft, and notes them.
  absl::Status Link() {
    for (size_t i = 0; i < drafts_.size(); ++i) {
      absl::Status status = Annotate(ExpandModels(&drafts_[i].spec), drafts_[i].name);
      ForEachReference(&drafts_[i].spec, [&](const std::string& field, v1::SourceRef* ref) {
        if (status.ok()) {
          status = Annotate(LinkOne(i, field, ref), drafts_[i].name);
        }
      });
      RETURN_IF_ERROR(status);
    }
    return absl::OkStatus();
  }

  // Parents first, else in the order of the documents.
  absl::StatusOr<std::vector<Draft>> Order() {
    marks_.assign(drafts_.size(), Mark::kNew);
    for (size_t i = 0; i < drafts_.size(); ++i) {
      RETURN_IF_ERROR(Visit(i, ""));
    }
    return std::move(ordered_);
  }

 private:
  enum class Mark { kNew, kOpen, kDone };
  struct Edge {
    std::string field;
    size_t parent;
  };

  // The jobs that a name means in an evaluation where it means several: a whole matrix, or those that differ
  // in their seed alone, by their common beginning.
  std::vector<size_t> Group(const std::string& job) const {
    const std::string name = LocalName(ns_, job);
    const auto found = names_.find(name);
    if (found != names_.end()) {
      return drafts_[found->second[0]].matrix == name ? found->second : std::vector<size_t>();
    }
    const auto group = groups_.find(name);
    return group == groups_.end() ? std::vector<size_t>() : group->second;
  }

  using Refs = google::protobuf::RepeatedPtrField<v1::SourceRef>;

  // Whether `ref` means several jobs, which are added to `refs` then.
  bool Expand(const v1::SourceRef& ref, Refs* refs) const {
    const std::vector<size_t> group = Group(ref.job());
    for (const size_t member : group) {
      v1::SourceRef* const one = refs->Add();
      *one = ref;
      one->set_job(drafts_[member].name);
    }
    return !group.empty();
  }

  absl::Status ExpandModels(v1::JobSpec* spec) const {
    if (!spec->has_evaluate()) {
      return absl::OkStatus();
    }
    v1::EvaluateConfig* const evaluate = spec->mutable_evaluate();
    evaluate->clear_baselines();
    evaluate->clear_starts();
    Expand(evaluate->baseline(), evaluate->mutable_baselines());
    Expand(evaluate->start(), evaluate->mutable_starts());
    Refs models;
    for (const v1::SourceRef& model : evaluate->models()) {
      if (!Expand(model, &models)) {
        *models.Add() = model;
      }
      // One matrix at a time: a long list of large ones is not written out first.
      RETURN_IF_ERROR(CheckInteger("evaluate.models (number of)", models.size(), 1, kMostEvaluated));
    }
    evaluate->mutable_models()->Swap(&models);
    return absl::OkStatus();
  }

  absl::Status LinkOne(size_t draft, const std::string& field, v1::SourceRef* ref) {
    if (ref->job().empty()) {
      return absl::OkStatus();
    }
    const auto found = names_.find(LocalName(ns_, ref->job()));
    if (found == names_.end()) {
      return absl::OkStatus();  // An existing job, or none: told where it is looked up.
    }
    size_t parent = found->second[0];
    if (drafts_[parent].matrix == found->first) {
      ASSIGN_OR_RETURN(parent, Pair(drafts_, drafts_[draft], found->second, field));
    }
    ref->set_job(drafts_[parent].name);
    edges_[draft].push_back({field, parent});
    return absl::OkStatus();
  }

  absl::Status Visit(size_t draft, const std::string& field) {
    if (marks_[draft] == Mark::kDone) {
      return absl::OkStatus();
    }
    path_.push_back(draft);
    if (marks_[draft] == Mark::kOpen) {
      return Cycle(field);
    }
    marks_[draft] = Mark::kOpen;
    for (const Edge& edge : edges_[draft]) {
      RETURN_IF_ERROR(Visit(edge.parent, edge.field));
    }
    marks_[draft] = Mark::kDone;
    path_.pop_back();
    ordered_.push_back(drafts_[draft]);
    return absl::OkStatus();
  }

  // The path ends with a job that it has met before.
  absl::Status Cycle(const std::string& field) const {
    std::vector<std::string> names;
    for (auto place = std::find(path_.begin(), path_.end(), path_.back()); place != path_.end(); ++place) {
      names.push_back(drafts_[*place].name);
    }
    return InvalidField("PIPELINE_CYCLE", field,
                        absl::StrCat(field, ": ", absl::StrJoin(names, " -> "),
                                     names.size() == 2 ? " names itself" : " is a cycle"),
                        "let one of them start from something else");
  }

  const std::string ns_;
  std::vector<Draft> drafts_;
  const Names names_;
  Names groups_;  // Jobs of a matrix that differ in their seed alone, by their name without it.
  std::vector<std::vector<Edge>> edges_;  // By draft.
  std::vector<Mark> marks_;
  std::vector<size_t> path_;
  std::vector<Draft> ordered_;
};

}  // namespace

absl::StatusOr<std::vector<Draft>> MakeDrafts(
    const std::string& ns, const google::protobuf::RepeatedPtrField<v1::JobSpec>& documents,
    const std::function<NewJobIds()>& next_ids) {
  std::vector<Draft> drafts;
  std::set<std::string> given;
  for (const v1::JobSpec& document : documents) {
    if (!document.name().empty() && !given.insert(document.name()).second) {
      return Duplicate(document.name());
    }
    RETURN_IF_ERROR(Annotate(AddDocument(ns, document, next_ids, &drafts), Label(document)));
    if (drafts.size() > kMostPipelineJobs) {
      return InvalidField("TOO_MANY_JOBS", "jobs",
                          absl::StrCat("jobs: the pipeline has more than ", kMostPipelineJobs, " of them"),
                          "submit it in parts");
    }
  }
  ASSIGN_OR_RETURN(Names names, NameDrafts(drafts));
  Linker linker(ns, std::move(drafts), std::move(names));
  RETURN_IF_ERROR(linker.Link());
  return linker.Order();
}

}  // namespace cherry::coordinator
