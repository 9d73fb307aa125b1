#include "coordinator/core/queries.h"

#include <algorithm>
#include <optional>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/model_plan.h"
#include "common/status.h"
#include "coordinator/core/explain.h"
#include "coordinator/core/paging.h"
#include "coordinator/core/pipeline.h"
#include "coordinator/core/placement.h"
#include "coordinator/core/worker_registry.h"

namespace cherry::coordinator {
namespace {

constexpr int kPageDefault = 100;
constexpr int kPageMost = 1000;
constexpr size_t kPageBytes = size_t{4} << 20;  // A page ends early beyond it; a message has at most 16 MiB.

std::string ArgumentsOf(const v1::ListJobsRequest& request) {
  const std::map<std::string, std::string> labels(request.labels().begin(), request.labels().end());
  return absl::StrCat(request.namespace_(), "|", absl::StrJoin(request.states(), ","), "|",
                      absl::StrJoin(labels, ",", absl::PairFormatter("=")), "|", request.pipeline());
}

bool IsListed(const v1::Job& job, const v1::ListJobsRequest& request) {
  if (!request.namespace_().empty() && job.resolved().namespace_() != request.namespace_()) {
    return false;
  }
  if (!request.states().empty() &&
      std::find(request.states().begin(), request.states().end(), job.state()) == request.states().end()) {
    return false;
  }
  for (const auto& [key, value] : request.labels()) {
    const auto label = job.resolved().labels().find(key);
    if (label == job.resolved().labels().end() || label->second != value) {
      return false;
    }
  }
  return true;
}

// A page of a map that is ordered by the name that the token holds.
template <typename Map, typename Add>
absl::StatusOr<std::string> NamedPage(const Map& map, int64_t asked, const std::string& token,
                                      const Add& add) {
  ASSIGN_OR_RETURN(const int size, PageSize(asked, kPageDefault, kPageMost));
  ASSIGN_OR_RETURN(const std::string after, ReadPageToken("", token));
  int count = 0;
  std::string last;
  for (auto place = map.upper_bound(after); place != map.end(); ++place) {
    if (count++ == size) {
      return MakePageToken("", last);
    }
    last = place->first;
    add(place->second);
  }
  return "";
}

}  // namespace

absl::StatusOr<v1::ListJobsResponse> ListJobs(const State& state, const v1::ListJobsRequest& request) {
  const std::string arguments = ArgumentsOf(request);
  ASSIGN_OR_RETURN(const int size, PageSize(request.page_size(), kPageDefault, kPageMost));
  ASSIGN_OR_RETURN(const std::string position, ReadPageToken(arguments, request.page_token()));
  std::optional<std::set<std::string>> members;
  if (!request.pipeline().empty()) {
    ASSIGN_OR_RETURN(const v1::PipelineRecord* pipeline, FindPipeline(state, request.pipeline()));
    members.emplace(pipeline->job_uids().begin(), pipeline->job_uids().end());
  }
  int64_t before = 0;
  auto place = state.by_arrival.end();
  if (absl::SimpleAtoi(position, &before)) {
    place = state.by_arrival.lower_bound(before);
  }
  v1::ListJobsResponse response;
  size_t bytes = 0;
  while (place != state.by_arrival.begin()) {
    --place;
    const JobEntry& entry = state.jobs.at(place->second);
    if ((members.has_value() && members->count(entry.uid()) == 0) || !IsListed(entry.job(), request)) {
      continue;
    }
    if (response.jobs_size() == size || bytes > kPageBytes) {
      response.set_next_page_token(MakePageToken(arguments, absl::StrCat(place->first + 1)));
      break;
    }
    *response.add_jobs() = JobView(state, entry);
    bytes += response.jobs().rbegin()->ByteSizeLong();
  }
  return response;
}

absl::StatusOr<v1::ListPipelinesResponse> ListPipelines(const State& state,
                                                        const v1::ListPipelinesRequest& request) {
  ASSIGN_OR_RETURN(const int size, PageSize(request.page_size(), kPageDefault, kPageMost));
  ASSIGN_OR_RETURN(const std::string position, ReadPageToken(request.namespace_(), request.page_token()));
  int64_t before = 0;
  const bool first = !absl::SimpleAtoi(position, &before);
  const std::string prefix = absl::StrCat("namespaces/", request.namespace_(), "/");
  std::map<int64_t, const v1::PipelineRecord*> by_arrival;
  for (const auto& [uid, record] : state.pipelines) {
    if ((first || record.arrival() < before) &&
        (request.namespace_().empty() || absl::StartsWith(record.pipeline().name(), prefix))) {
      by_arrival[record.arrival()] = &record;
    }
  }
  v1::ListPipelinesResponse response;
  for (auto place = by_arrival.rbegin(); place != by_arrival.rend(); ++place) {
    if (response.pipelines_size() == size) {
      response.set_next_page_token(MakePageToken(request.namespace_(), absl::StrCat(place->first + 1)));
      break;
    }
    v1::Pipeline* pipeline = response.add_pipelines();
    *pipeline = place->second->pipeline();
    for (const std::string& uid : place->second->job_uids()) {
      if (const auto job = state.jobs.find(uid); job != state.jobs.end()) {
        ++(*pipeline->mutable_job_states())[v1::Job::State_Name(job->second.job().state())];
      }
    }
  }
  return response;
}

absl::StatusOr<v1::ListCheckpointsResponse> ListCheckpoints(const JobEntry& entry,
                                                            const v1::ListCheckpointsRequest& request) {
  ASSIGN_OR_RETURN(const int size, PageSize(request.page_size(), kPageDefault, kPageMost));
  ASSIGN_OR_RETURN(const std::string position, ReadPageToken(request.job(), request.page_token()));
  int64_t skip = 0;
  if (!position.empty() && !absl::SimpleAtoi(position, &skip)) {
    skip = 0;
  }
  v1::ListCheckpointsResponse response;
  for (const auto& [key, checkpoint] : entry.checkpoints) {
    if (checkpoint.state() == v1::Checkpoint::DELETED || key.first <= skip - 1) {
      continue;
    }
    if (response.checkpoints_size() >= size && response.checkpoints().rbegin()->step() != key.first) {
      response.set_next_page_token(MakePageToken(request.job(), absl::StrCat(key.first)));
      break;
    }
    *response.add_checkpoints() = checkpoint;
  }
  return response;
}

absl::StatusOr<v1::ListWorkersResponse> ListWorkers(const State& state,
                                                    const v1::ListWorkersRequest& request) {
  v1::ListWorkersResponse response;
  ASSIGN_OR_RETURN(
      *response.mutable_next_page_token(),
      NamedPage(state.workers, request.page_size(), request.page_token(),
                [&](const WorkerEntry& worker) { *response.add_workers() = WorkerView(state, worker); }));
  return response;
}

absl::StatusOr<v1::ListDatasetsResponse> ListDatasets(const State& state,
                                                      const v1::ListDatasetsRequest& request) {
  v1::ListDatasetsResponse response;
  ASSIGN_OR_RETURN(*response.mutable_next_page_token(),
                   NamedPage(state.datasets, request.page_size(), request.page_token(),
                             [&](const v1::Dataset& dataset) { *response.add_datasets() = dataset; }));
  return response;
}

absl::StatusOr<v1::ListPresetsResponse> ListPresets() {
  // Where the vocabulary comes from the dataset, the smallest one that is usual stands in for it.
  constexpr int64_t kUsualVocabulary = 2048;
  constexpr int64_t kUsualLength = 1024;
  v1::ListPresetsResponse response;
  for (const std::string& name : PresetNames()) {
    v1::Preset* preset = response.add_presets();
    preset->set_name(name);
    ASSIGN_OR_RETURN(*preset->mutable_model(), PresetConfig(name));
    ASSIGN_OR_RETURN(const ModelShape shape, ResolveModel(preset->model(), kUsualVocabulary));
    preset->set_parameters(CountParameters(shape));
    preset->set_active_parameters(CountActiveParameters(shape));
    preset->set_flops_per_token(FlopsPerToken(shape, kUsualLength));
  }
  return response;
}

Census Count(const State& state) {
  Census census;
  for (const auto& [arrival, uid] : state.by_arrival) {
    const v1::Job& job = state.jobs.at(uid).job();
    ++census.jobs[{absl::AsciiStrToLower(v1::JobSpec::Kind_Name(job.resolved().kind())),
                   v1::Job::State_Name(job.state()), job.resolved().namespace_()}];
  }
  for (const auto& [name, worker] : state.workers) {
    ++census.workers[v1::Worker::State_Name(worker.worker().state())];
    const bool available = WhyUnavailable(state, worker).empty();
    for (const v1::Slot& slot : worker.worker().slots()) {
      const bool used = worker.occupants.count(slot.index()) > 0;
      ++census.slots[used ? "used" : available ? "free" : "unavailable"];
    }
  }
  return census;
}

}  // namespace cherry::coordinator
