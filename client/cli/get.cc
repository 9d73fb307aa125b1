#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands.h"
#include "client/cli/context.h"
#include "client/cli/get_tables.h"
#include "client/cli/interrupt.h"
#include "client/cli/job_file.h"
#include "client/cli/job_text.h"
#include "client/cli/output.h"
#include "client/rpc/pages.h"
#include "common/spec.h"
#include "common/status.h"

namespace cherry::client {
namespace {

struct GetFlags {
  std::string what;
  std::vector<std::string> names;
  std::vector<std::string> labels;
  std::vector<std::string> states;
  bool watch = false;
};

// Prints what was read: `rows` has a row for each of `items`, `names` what -o name shows.
template <typename Item>
absl::Status Show(Context* context, const GetFlags& flags, const std::vector<Item>& items, const Table& table,
                  const std::vector<std::string>& names) {
  if (context->structured()) {
    std::vector<const google::protobuf::Message*> messages;
    for (const Item& item : items) {
      messages.push_back(&item);
    }
    return flags.names.size() == 1 && messages.size() == 1 && flags.what != "checkpoints" &&
                   flags.what != "events"
               ? context->Print(*messages[0])
               : context->PrintItems(messages);
  }
  if (context->output() == Output::kName) {
    context->out() << absl::StrJoin(names, "\n") << (names.empty() ? "" : "\n") << std::flush;
  } else if (items.empty()) {
    context->err() << "no " << flags.what << std::endl;
  } else {
    context->out() << table.Render() << std::flush;
  }
  return absl::OkStatus();
}

// Keeps what `names` asks for, in that order; all without names. kNotFound names the first that is not there.
template <typename Item, typename NameOf>
absl::StatusOr<std::vector<Item>> Pick(const std::vector<Item>& all, const GetFlags& flags,
                                       const NameOf& name_of) {
  if (flags.names.empty()) {
    return all;
  }
  std::vector<Item> picked;
  for (const std::string& wanted : flags.names) {
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
      const std::string singular = flags.what.substr(0, flags.what.size() - 1);
      return Error(
          absl::StatusCode::kNotFound, "NOT_FOUND", singular,
          absl::StrCat("there is no ", singular, " '", wanted, "'"),
          near.empty() ? absl::StrCat("see `cherry get ", flags.what, "`") : absl::StrCat("use ", near));
    }
  }
  return picked;
}

absl::Status FillFilters(const GetFlags& flags, v1::ListJobsRequest* request) {
  for (const std::string& given : flags.labels) {
    for (const absl::string_view pair : absl::StrSplit(given, ',', absl::SkipEmpty())) {
      const std::pair<std::string, std::string> label = absl::StrSplit(pair, absl::MaxSplits('=', 1));
      if (label.first.empty() || pair.find('=') == absl::string_view::npos) {
        return InvalidField("LABEL_INVALID", "-l", absl::StrCat("-l: '", pair, "' is not key=value"),
                            "write e.g. -l team=ko");
      }
      (*request->mutable_labels())[label.first] = label.second;
    }
  }
  for (const std::string& given : flags.states) {
    for (const absl::string_view text : absl::StrSplit(given, ',', absl::SkipEmpty())) {
      v1::Job::State state;
      if (!v1::Job::State_Parse(absl::AsciiStrToUpper(text), &state) || state == 0) {
        return InvalidField(
            "VALUE_UNKNOWN", "--state", absl::StrCat("--state: '", text, "' is not a state"),
            "use pending, starting, running, paused, backoff, succeeded, failed or cancelled");
      }
      request->add_states(state);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::Job>> ReadJobs(Context* context, Client* client, const GetFlags& flags) {
  std::vector<v1::Job> jobs;
  for (const std::string& name : flags.names) {
    v1::GetJobRequest request;
    ASSIGN_OR_RETURN(*request.mutable_name(), context->JobResource(name));
    ASSIGN_OR_RETURN(jobs.emplace_back(), client->GetJob(request));
  }
  if (!flags.names.empty()) {
    return jobs;
  }
  v1::ListJobsRequest request;
  request.set_namespace_(context->ns_given() ? context->ns() : "");
  request.set_page_size(1000);
  RETURN_IF_ERROR(FillFilters(flags, &request));
  RETURN_IF_ERROR(ReadPages(client, &Client::ListJobs, request, [&](const v1::ListJobsResponse& page) {
    jobs.insert(jobs.end(), page.jobs().begin(), page.jobs().end());
  }));
  return jobs;
}

absl::Status GetJobs(Context* context, Client* client, const GetFlags& flags) {
  ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, ReadJobs(context, client, flags));
  if (context->output() == Output::kSpec) {
    for (size_t i = 0; i < jobs.size(); ++i) {
      context->out() << (i == 0 ? "" : "---\n") << JobSpecToYaml(jobs[i].spec());
    }
    context->out() << std::flush;
    return absl::OkStatus();
  }
  std::vector<std::string> names;
  for (const v1::Job& job : jobs) {
    names.push_back(ShortJobName(job.name(), context->ns()));
  }
  return Show(context, flags, jobs, JobTable(jobs, context->ns(), context->output() == Output::kWide), names);
}

absl::Status GetWorkers(Context* context, Client* client, const GetFlags& flags) {
  std::vector<v1::Worker> all;
  RETURN_IF_ERROR(ReadPages(client, &Client::ListWorkers, v1::ListWorkersRequest(),
                            [&](const v1::ListWorkersResponse& page) {
                              all.insert(all.end(), page.workers().begin(), page.workers().end());
                            }));
  ASSIGN_OR_RETURN(const std::vector<v1::Worker> workers,
                   Pick(all, flags, [](const v1::Worker& worker) { return worker.name(); }));
  std::vector<std::string> names;
  for (const v1::Worker& worker : workers) {
    names.push_back(worker.name());
  }
  return Show(context, flags, workers,
              WorkerTable(workers, context->ns(), context->output() == Output::kWide), names);
}

absl::Status GetCheckpoints(Context* context, Client* client, const GetFlags& flags) {
  std::vector<std::string> resources;
  for (const std::string& name : flags.names) {
    ASSIGN_OR_RETURN(resources.emplace_back(), context->JobResource(name));
  }
  if (flags.names.empty()) {
    ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, ReadJobs(context, client, flags));
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
            checkpoints.push_back(checkpoint);
            names.push_back(absl::StrCat(ShortJobName(resource, context->ns()), ":", checkpoint.step()));
          }
        }));
  }
  return Show(context, flags, checkpoints,
              CheckpointTable(checkpoints, names, context->output() == Output::kWide), names);
}

absl::Status GetDatasets(Context* context, Client* client, const GetFlags& flags) {
  std::vector<v1::Dataset> all;
  RETURN_IF_ERROR(ReadPages(client, &Client::ListDatasets, v1::ListDatasetsRequest(),
                            [&](const v1::ListDatasetsResponse& page) {
                              all.insert(all.end(), page.datasets().begin(), page.datasets().end());
                            }));
  ASSIGN_OR_RETURN(const std::vector<v1::Dataset> datasets,
                   Pick(all, flags, [](const v1::Dataset& dataset) { return dataset.name(); }));
  std::vector<std::string> names;
  for (const v1::Dataset& dataset : datasets) {
    names.push_back(dataset.name());
  }
  return Show(context, flags, datasets, DatasetTable(datasets, context->output() == Output::kWide), names);
}

absl::Status GetPresets(Context* context, Client* client, const GetFlags& flags) {
  ASSIGN_OR_RETURN(const v1::ListPresetsResponse response, client->ListPresets({}));
  ASSIGN_OR_RETURN(const std::vector<v1::Preset> presets,
                   Pick(std::vector<v1::Preset>(response.presets().begin(), response.presets().end()), flags,
                        [](const v1::Preset& preset) { return preset.name(); }));
  std::vector<std::string> names;
  for (const v1::Preset& preset : presets) {
    names.push_back(preset.name());
  }
  return Show(context, flags, presets, PresetTable(presets), names);
}

absl::Status GetEvents(Context* context, Client* client, const GetFlags& flags) {
  std::vector<v1::Event> events;
  std::vector<std::string> subjects;
  for (const std::string& name : flags.names) {
    ASSIGN_OR_RETURN(subjects.emplace_back(), context->JobResource(name));
  }
  for (const std::string& subject : subjects.empty() ? std::vector<std::string>{""} : subjects) {
    v1::ListEventsRequest request;
    request.set_name(subject);
    RETURN_IF_ERROR(ReadPages(client, &Client::ListEvents, request, [&](const v1::ListEventsResponse& page) {
      events.insert(events.end(), page.events().begin(), page.events().end());
    }));
  }
  if (context->structured() || context->output() == Output::kName) {
    std::vector<std::string> names;
    for (const v1::Event& event : events) {
      names.push_back(absl::StrCat(event.sequence()));
    }
    return Show(context, flags, events, Table({}), names);
  }
  context->out() << EventLines(events, context->ns(), true) << std::flush;
  return absl::OkStatus();
}

using Getter = absl::Status (*)(Context*, Client*, const GetFlags&);

const std::map<std::string, Getter>& Getters() {
  static const auto* const getters = new std::map<std::string, Getter>{
      {"jobs", &GetJobs},         {"workers", &GetWorkers}, {"checkpoints", &GetCheckpoints},
      {"datasets", &GetDatasets}, {"presets", &GetPresets}, {"events", &GetEvents}};
  return *getters;
}

// Follows by the cluster's events: each is printed, or (for the other kinds) the list again.
absl::Status Watch(Context* context, Client* client, const GetFlags& flags, Getter getter) {
  const InterruptScope interrupt([client] { client->Interrupt(); });
  v1::WatchEventsRequest request;
  if (flags.what == "events" && flags.names.size() == 1) {
    ASSIGN_OR_RETURN(*request.mutable_name(), context->JobResource(flags.names[0]));
  }
  // From what the list has shown on, so that nothing falls between the two.
  v1::ListEventsRequest past;
  past.set_name(request.name());
  RETURN_IF_ERROR(ReadPages(client, &Client::ListEvents, past, [&](const v1::ListEventsResponse& page) {
    if (page.events_size() > 0) {
      request.set_after_sequence(page.events(page.events_size() - 1).sequence());
    }
  }));
  RETURN_IF_ERROR(getter(context, client, flags));
  absl::Status shown;
  const absl::Status ended =
      client->WatchEvents(request, context->WaitDeadline(), [&](const v1::Event& event) {
        if (context->structured() && flags.what == "events") {
          shown = context->Print(event);
        } else if (flags.what == "events") {
          context->out() << EventLines({event}, context->ns(), false) << std::flush;
        } else {
          context->out() << "\n";
          shown = getter(context, client, flags);
        }
        return shown.ok();
      });
  RETURN_IF_ERROR(shown);
  // Ctrl-C and --timeout are how a watch of a list ends.
  return absl::IsCancelled(ended) || absl::IsDeadlineExceeded(ended) ? absl::OkStatus() : ended;
}

absl::Status Get(Context* context, const GetFlags& given) {
  GetFlags flags = given;
  std::vector<std::string> kinds;
  for (const auto& [kind, getter] : Getters()) {
    kinds.push_back(kind);
    if (flags.what + "s" == kind) {
      flags.what = kind;
    }
  }
  const auto getter = Getters().find(flags.what);
  if (getter == Getters().end()) {
    const std::string near = Nearest(flags.what, kinds);
    return InvalidField(
        "VALUE_UNKNOWN", "get", absl::StrCat("get: '", flags.what, "' is not a kind of thing"),
        near.empty() ? absl::StrCat("use ", absl::StrJoin(kinds, ", ")) : absl::StrCat("use ", near));
  }
  const bool spec_of_job = context->output() == Output::kSpec && flags.what == "jobs" && !flags.names.empty();
  if (context->output() == Output::kCsv || (context->output() == Output::kSpec && !spec_of_job)) {
    return InvalidField("VALUE_UNKNOWN", "--output", "--output: csv is for metrics, spec for `get job NAME`",
                        "use table, wide, json, yaml or name");
  }
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  return flags.watch ? Watch(context, client, flags, getter->second) : getter->second(context, client, flags);
}

}  // namespace

void RegisterGet(CLI::App& app, Context* context) {
  auto flags = std::make_shared<GetFlags>();
  CLI::App* const get =
      AddCommand(app, context, "get", "List jobs, workers, checkpoints, datasets, presets or events",
                 "cherry get jobs --state running -l team=ko\n"
                 "cherry get checkpoints ko-base\n"
                 "cherry get job ko-base -o spec > again.yaml",
                 [context, flags] { return Get(context, *flags); });
  get->add_option("KIND", flags->what, "jobs, workers, checkpoints, datasets, presets or events")->required();
  get->add_option("NAME", flags->names, "only these; for checkpoints and events: of these jobs");
  get->add_option("-l,--label", flags->labels, "jobs with these labels: key=value[,key=value]")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  get->add_option("--state", flags->states, "jobs in these states: running[,pending]")
      ->allow_extra_args(false);
  get->add_flag("-w,--watch", flags->watch, "stay and show what changes");
}

}  // namespace cherry::client
