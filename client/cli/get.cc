#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands.h"
#include "client/cli/context.h"
#include "client/cli/follow.h"
#include "client/cli/get_events.h"
#include "client/cli/get_query.h"
#include "client/cli/get_tables.h"
#include "client/cli/job_file.h"
#include "client/cli/job_text.h"
#include "client/cli/output.h"
#include "client/cli/pipeline.h"
#include "client/rpc/pages.h"
#include "common/nearest.h"
#include "common/status.h"

namespace cherry::client {
namespace {

// A list that may be shown again and again.
struct Listing {
  GetQuery query;
  std::optional<std::string> shown;  // With -w: the content that was shown last.
};

// What people look at in an item: a worker's heartbeats are no news.
template <typename Item>
std::string ContentOf(Item item) {
  if constexpr (std::is_same_v<Item, v1::Worker>) {
    item.clear_last_seen_time();
    item.clear_roots();
  }
  if constexpr (std::is_same_v<Item, v1::Pipeline>) {
    // A map has no order of its own.
    const std::map<std::string, int> states(item.job_states().begin(), item.job_states().end());
    return absl::StrCat(item.uid(), " ", absl::StrJoin(states, ",", absl::PairFormatter(":")));
  }
  return item.SerializeAsString();
}

// With -w: whether there is something new to show, and then the line between two lists.
template <typename Item>
bool IsNew(Context* context, Listing* listing, const std::vector<Item>& items) {
  if (!listing->query.watch) {
    return true;
  }
  std::string content;
  for (const Item& item : items) {
    absl::StrAppend(&content, ContentOf(item), "\n");
  }
  if (content == listing->shown) {
    return false;
  }
  if (listing->shown.has_value() && !context->structured()) {
    context->out() << "\n";
  }
  listing->shown = std::move(content);
  return true;
}

// Prints what was read: `table` has a row for each of `items`, `names` what -o name shows.
template <typename Item>
absl::Status Show(Context* context, Listing* listing, const std::vector<Item>& items, const Table& table,
                  const std::vector<std::string>& names) {
  const GetQuery& query = listing->query;
  if (!IsNew(context, listing, items)) {
    return absl::OkStatus();
  }
  if (context->structured()) {
    std::vector<const google::protobuf::Message*> messages;
    messages.reserve(items.size());
    for (const Item& item : items) {
      messages.push_back(&item);
    }
    return query.names.size() == 1 && messages.size() == 1 && query.what != "checkpoints"
               ? context->Print(*messages[0])
               : context->PrintItems(messages);
  }
  if (context->output() == Output::kName) {
    context->out() << absl::StrJoin(names, "\n") << (names.empty() ? "" : "\n") << std::flush;
  } else if (items.empty()) {
    context->err() << "no " << query.what << std::endl;
  } else {
    context->out() << table.Render() << std::flush;
  }
  return absl::OkStatus();
}

// Keeps what `names` asks for, in that order; all without names. kNotFound names the first that is not there.
template <typename Item, typename NameOf>
absl::StatusOr<std::vector<Item>> Pick(const std::vector<Item>& all, const GetQuery& query,
                                       const NameOf& name_of) {
  if (query.names.empty()) {
    return all;
  }
  std::vector<Item> picked;
  for (const std::string& wanted : query.names) {
    std::vector<std::string> known;
    const size_t before = picked.size();
    for (const Item& item : all) {
      known.push_back(name_of(item));
      if (known.back() == wanted) {
        picked.push_back(item);
      }
    }
    if (picked.size() == before) {
      const std::string near = Nearest(wanted, known);
      const std::string singular = query.what.substr(0, query.what.size() - 1);
      return Error(
          absl::StatusCode::kNotFound, "NOT_FOUND", singular,
          absl::StrCat("there is no ", singular, " '", wanted, "'"),
          near.empty() ? absl::StrCat("see `cherry get ", query.what, "`") : absl::StrCat("use ", near));
    }
  }
  return picked;
}

absl::StatusOr<std::vector<v1::Job>> ReadJobs(Context* context, Client* client, const GetQuery& query) {
  std::vector<v1::Job> jobs;
  for (const std::string& name : query.names) {
    ASSIGN_OR_RETURN(const NamedJobs named, FindJobs(context, client, name));
    jobs.insert(jobs.end(), named.jobs.begin(), named.jobs.end());
  }
  if (!query.names.empty()) {
    return jobs;
  }
  v1::ListJobsRequest request;
  request.set_namespace_(context->ns_given() ? context->ns() : "");
  request.set_page_size(1000);
  request.mutable_labels()->insert(query.labels.begin(), query.labels.end());
  for (const std::string& state : query.what == "jobs" ? query.states : std::set<std::string>()) {
    v1::Job::State value;
    if (v1::Job::State_Parse(state, &value)) {
      request.add_states(value);
    }
  }
  RETURN_IF_ERROR(ReadPages(client, &Client::ListJobs, request, [&](const v1::ListJobsResponse& page) {
    jobs.insert(jobs.end(), page.jobs().begin(), page.jobs().end());
  }));
  return jobs;
}

absl::Status GetJobs(Context* context, Client* client, Listing* listing) {
  ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, ReadJobs(context, client, listing->query));
  if (context->output() == Output::kSpec) {
    for (size_t i = 0; i < jobs.size(); ++i) {
      context->out() << (i == 0 ? "" : "---\n") << JobSpecToYaml(jobs[i].spec());
    }
    context->out() << std::flush;
    return absl::OkStatus();
  }
  std::vector<std::string> names;
  names.reserve(jobs.size());
  for (const v1::Job& job : jobs) {
    names.push_back(ShortJobName(job.name(), context->ns()));
  }
  return Show(context, listing, jobs, JobTable(jobs, context->ns(), context->output() == Output::kWide),
              names);
}

absl::Status GetPipelines(Context* context, Client* client, Listing* listing) {
  v1::ListPipelinesRequest request;
  request.set_namespace_(context->ns_given() ? context->ns() : "");
  std::vector<v1::Pipeline> all;
  RETURN_IF_ERROR(
      ReadPages(client, &Client::ListPipelines, request, [&](const v1::ListPipelinesResponse& page) {
        all.insert(all.end(), page.pipelines().begin(), page.pipelines().end());
      }));
  const auto name_of = [&](const v1::Pipeline& pipeline) {
    return ShortPipelineName(pipeline.name(), context->ns());
  };
  ASSIGN_OR_RETURN(const std::vector<v1::Pipeline> pipelines, Pick(all, listing->query, name_of));
  std::vector<std::string> names;
  names.reserve(pipelines.size());
  for (const v1::Pipeline& pipeline : pipelines) {
    names.push_back(name_of(pipeline));
  }
  return Show(context, listing, pipelines, PipelineTable(pipelines, names), names);
}

absl::Status GetWorkers(Context* context, Client* client, Listing* listing) {
  const GetQuery& query = listing->query;
  std::vector<v1::Worker> all;
  RETURN_IF_ERROR(ReadPages(client, &Client::ListWorkers, v1::ListWorkersRequest(),
                            [&](const v1::ListWorkersResponse& page) {
                              std::copy_if(page.workers().begin(), page.workers().end(),
                                           std::back_inserter(all), [&](const v1::Worker& worker) {
                                             return query.HasLabels(worker.labels()) &&
                                                    query.HasState(v1::Worker::State_Name(worker.state()));
                                           });
                            }));
  ASSIGN_OR_RETURN(const std::vector<v1::Worker> workers,
                   Pick(all, query, [](const v1::Worker& worker) { return worker.name(); }));
  std::vector<std::string> names;
  names.reserve(workers.size());
  for (const v1::Worker& worker : workers) {
    names.push_back(worker.name());
  }
  return Show(context, listing, workers,
              WorkerTable(workers, context->ns(), context->output() == Output::kWide), names);
}

absl::Status GetCheckpoints(Context* context, Client* client, Listing* listing) {
  const GetQuery& query = listing->query;
  std::vector<std::string> resources;
  for (const std::string& name : query.names) {
    ASSIGN_OR_RETURN(resources.emplace_back(), context->JobResource(name));
  }
  if (query.names.empty()) {
    ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, ReadJobs(context, client, query));
    // A name may stand for several jobs, of which all but one have ended; the API gives the newest.
    std::set<std::string> seen;
    for (const v1::Job& job : jobs) {
      if (seen.insert(job.name()).second) {
        resources.push_back(job.name());
      }
    }
  }
  std::vector<v1::Checkpoint> checkpoints;
  std::vector<std::string> names;
  for (const std::string& resource : resources) {
    v1::ListCheckpointsRequest request;
    request.set_job(resource);
    RETURN_IF_ERROR(
        ReadPages(client, &Client::ListCheckpoints, request, [&](const v1::ListCheckpointsResponse& page) {
          for (const v1::Checkpoint& checkpoint : page.checkpoints()) {
            if (query.HasState(v1::Checkpoint::State_Name(checkpoint.state()))) {
              checkpoints.push_back(checkpoint);
              names.push_back(absl::StrCat(ShortJobName(resource, context->ns()), ":", checkpoint.step()));
            }
          }
        }));
  }
  return Show(context, listing, checkpoints,
              CheckpointTable(checkpoints, names, context->output() == Output::kWide), names);
}

absl::Status GetDatasets(Context* context, Client* client, Listing* listing) {
  std::vector<v1::Dataset> all;
  RETURN_IF_ERROR(ReadPages(client, &Client::ListDatasets, v1::ListDatasetsRequest(),
                            [&](const v1::ListDatasetsResponse& page) {
                              all.insert(all.end(), page.datasets().begin(), page.datasets().end());
                            }));
  ASSIGN_OR_RETURN(const std::vector<v1::Dataset> datasets,
                   Pick(all, listing->query, [](const v1::Dataset& dataset) { return dataset.name(); }));
  std::vector<std::string> names;
  names.reserve(datasets.size());
  for (const v1::Dataset& dataset : datasets) {
    names.push_back(dataset.name());
  }
  return Show(context, listing, datasets, DatasetTable(datasets, context->output() == Output::kWide), names);
}

absl::Status GetModels(Context* context, Client* client, Listing* listing) {
  v1::ListModelsRequest request;
  request.set_namespace_(context->ns());
  std::vector<v1::Model> all;
  RETURN_IF_ERROR(ReadPages(client, &Client::ListModels, request, [&](const v1::ListModelsResponse& page) {
    all.insert(all.end(), page.models().begin(), page.models().end());
  }));
  const auto short_name = [](const v1::Model& model) {
    return model.name().substr(model.name().rfind('/') + 1);
  };
  ASSIGN_OR_RETURN(const std::vector<v1::Model> models, Pick(all, listing->query, short_name));
  std::vector<std::string> names;
  std::transform(models.begin(), models.end(), std::back_inserter(names), short_name);
  return Show(context, listing, models, ModelTable(models, names, context->output() == Output::kWide), names);
}

absl::Status GetPresets(Context* context, Client* client, Listing* listing) {
  ASSIGN_OR_RETURN(const v1::ListPresetsResponse response, client->ListPresets({}));
  ASSIGN_OR_RETURN(const std::vector<v1::Preset> presets,
                   Pick(std::vector<v1::Preset>(response.presets().begin(), response.presets().end()),
                        listing->query, [](const v1::Preset& preset) { return preset.name(); }));
  std::vector<std::string> names;
  names.reserve(presets.size());
  for (const v1::Preset& preset : presets) {
    names.push_back(preset.name());
  }
  return Show(context, listing, presets, PresetTable(presets), names);
}

using Getter = absl::Status (*)(Context*, Client*, Listing*);

Getter GetterOf(const std::string& what) {
  static const auto* const getters = new std::map<std::string, Getter>{
      {"jobs", &GetJobs},         {"workers", &GetWorkers}, {"checkpoints", &GetCheckpoints},
      {"datasets", &GetDatasets}, {"models", &GetModels},   {"pipelines", &GetPipelines},
      {"presets", &GetPresets}};
  return getters->at(what);
}

// The list again after each of the cluster's events that changes what it shows.
absl::Status WatchList(Context* context, Client* client, Listing* listing, Getter getter) {
  v1::WatchEventsRequest next;
  // From before the list was read on, so that nothing falls between the two.
  v1::ListEventsRequest past;
  past.set_page_size(kEventsPerPage);
  RETURN_IF_ERROR(ReadPages(client, &Client::ListEvents, past, [&](const v1::ListEventsResponse& page) {
    if (page.events_size() > 0) {
      next.set_after_sequence(page.events(page.events_size() - 1).sequence());
    }
  }));
  RETURN_IF_ERROR(getter(context, client, listing));
  return FollowEvents(context, client, std::move(next),
                      [&](const v1::Event&) { return getter(context, client, listing); });
}

absl::Status Get(Context* context, const GetFlags& flags) {
  Listing listing;
  ASSIGN_OR_RETURN(listing.query, MakeQuery(flags, context->output()));
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  if (listing.query.what == "events") {
    return GetEvents(context, client, listing.query);
  }
  const Getter getter = GetterOf(listing.query.what);
  return flags.watch ? WatchList(context, client, &listing, getter) : getter(context, client, &listing);
}

}  // namespace

void RegisterGet(CLI::App& app, Context* context) {
  auto flags = std::make_shared<GetFlags>();
  CLI::App* const get = AddCommand(
      app, context, "get", "List jobs, pipelines, workers, checkpoints, datasets, models, presets or events",
      "cherry get jobs --state running -l team=ko\n"
      "cherry get checkpoints ko-base\n"
      "cherry get job ko-base -o spec > again.yaml",
      [context, flags] { return Get(context, *flags); });
  get->add_option("KIND", flags->what,
                  "jobs, pipelines, workers, checkpoints, datasets, models, presets or events")
      ->required();
  get->add_option("NAME", flags->names, "only these; for checkpoints and events: of these jobs");
  get->add_option("-l,--label", flags->labels,
                  "jobs or workers with these labels, or checkpoints of such jobs: key=value[,key=value]")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  get->add_option("--state", flags->states, "jobs, workers or checkpoints in these states: running[,pending]")
      ->allow_extra_args(false);
  get->add_flag("-w,--watch", flags->watch, "stay and show what changes");
}

}  // namespace cherry::client
