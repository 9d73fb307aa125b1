#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/context.h"
#include "client/cli/follow.h"
#include "client/cli/interrupt.h"
#include "client/cli/job_text.h"
#include "client/cli/output.h"
#include "client/cli/pipeline.h"
#include "client/cli/plot.h"
#include "client/rpc/pages.h"
#include "common/status.h"

namespace cherry::client {
namespace {

absl::StatusOr<std::vector<v1::Job>> Follow(Context* context, const NamedJobs& named, bool show) {
  if (!named.pipeline.empty()) {
    return FollowPipeline(context, named.pipeline, show);
  }
  ASSIGN_OR_RETURN(v1::Job job, FollowJob(context, named.jobs[0].name(), show));
  return std::vector<v1::Job>{std::move(job)};
}

absl::Status Watch(Context* context, const std::string& name) {
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  ASSIGN_OR_RETURN(const NamedJobs named, FindJobs(context, client, name));
  const bool show = !context->structured();
  if (show && named.pipeline.empty()) {
    context->out() << HeadLine(named.jobs[0], context->ns()) << std::endl;
  }
  const auto ended = Follow(context, named, show);
  if (absl::IsCancelled(ended.status())) {
    // Looking is all that a watch does: to stop looking is no failure.
    context->err() << Describe(ended.status()) << std::endl;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(ended.status());
  if (!show && named.pipeline.empty()) {
    RETURN_IF_ERROR(context->Print(ended->at(0)));
  } else if (!show) {
    std::vector<const google::protobuf::Message*> items;
    items.reserve(ended->size());
    for (const v1::Job& job : *ended) {
      items.push_back(&job);
    }
    RETURN_IF_ERROR(context->PrintItems(items));
  }
  return ReportOutcomes(context, *ended);
}

struct LogFlags {
  std::string job;
  int rank = 0;
  int64_t attempt = 0;
  int64_t tail = 0;
  bool follow = false;
};

absl::Status Logs(Context* context, const LogFlags& flags) {
  v1::ReadLogsRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(), context->JobResource(flags.job));
  request.set_rank(flags.rank);
  request.set_attempt(flags.attempt);
  request.set_tail_lines(flags.tail);
  request.set_follow(flags.follow);
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  const InterruptScope interrupt([client] { client->Interrupt(); });
  v1::GetJobRequest of_job;
  of_job.set_name(request.name());
  // The plain call waits for a coordinator that is away, and pins the attempt for a log that is followed.
  ASSIGN_OR_RETURN(const v1::Job job, client->GetJob(of_job));
  if (request.attempt() == 0 && job.epoch() > 0) {
    request.set_attempt(job.epoch());
  }
  const absl::Time deadline = flags.follow ? context->WaitDeadline() : absl::Now() + context->timeout();
  int64_t next = 0;
  while (true) {
    const absl::Status status = client->ReadLogs(request, deadline, [&](const v1::ReadLogsResponse& chunk) {
      const int64_t end = chunk.offset() + static_cast<int64_t>(chunk.data().size());
      if (end > next) {
        const int64_t known = std::max<int64_t>(0, next - chunk.offset());
        context->out() << chunk.data().substr(static_cast<size_t>(known)) << std::flush;
        next = end;
      }
      return true;
    });
    if (!flags.follow || !absl::IsUnavailable(status)) {
      return flags.follow && absl::IsCancelled(status) ? absl::OkStatus() : status;
    }
    // The coordinator restarts: what was shown is skipped by its offset.
    request.set_tail_lines(0);
    RETURN_IF_ERROR(client->GetJob(of_job).status());
  }
}

struct MetricFlags {
  std::string job;
  std::string name;
};

std::string MetricsCsv(const std::vector<v1::MetricSample>& samples) {
  std::string out = "name,step,value,time\n";
  for (const v1::MetricSample& sample : samples) {
    absl::StrAppendFormat(&out, "%s,%d,%.9g,%.3f\n", sample.name(), sample.step(), sample.value(),
                          sample.time());
  }
  return out;
}

// Names before the slash belong together: loss/train and loss/valid share a plot.
std::string Family(const std::string& name) { return name.substr(0, name.find('/')); }

void ShowMetrics(Context* context, const std::vector<v1::MetricSample>& samples) {
  std::map<std::string, Series> all;
  for (const v1::MetricSample& sample : samples) {
    Series& series = all[sample.name()];
    series.name = sample.name();
    series.points.emplace_back(static_cast<double>(sample.step()), sample.value());
  }
  if (context->terminal()) {
    std::map<std::string, std::vector<Series>> families;
    for (const auto& [name, series] : all) {
      families[Family(name)].push_back(series);
    }
    for (const auto& [family, members] : families) {
      context->out() << family << "\n"
                     << Plot(members,
                             {.width = std::min(context->width() - 1, 100), .height = 10, .color = true})
                     << "\n";
    }
  }
  Table table({"NAME", "POINTS", "STEPS", "FIRST", "LAST", "LOWEST", "HIGHEST"});
  for (const auto& [name, series] : all) {
    const auto [low, high] =
        std::minmax_element(series.points.begin(), series.points.end(),
                            [](const auto& a, const auto& b) { return a.second < b.second; });
    const auto number = [](double value) { return absl::StrFormat("%.5g", value); };
    table.Row({name, absl::StrCat(series.points.size()),
               absl::StrCat(series.points.front().first, "-", series.points.back().first),
               number(series.points.front().second), number(series.points.back().second), number(low->second),
               number(high->second)});
  }
  context->out() << table.Render() << std::flush;
}

absl::Status Metrics(Context* context, const MetricFlags& flags) {
  v1::ListMetricsRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(), context->JobResource(flags.job));
  request.set_metric(flags.name);
  request.set_after_step(-1);
  request.set_page_size(10000);
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  std::vector<v1::MetricSample> samples;
  RETURN_IF_ERROR(ReadPages(client, &Client::ListMetrics, request, [&](const v1::ListMetricsResponse& page) {
    samples.insert(samples.end(), page.samples().begin(), page.samples().end());
  }));
  if (context->structured()) {
    std::vector<const google::protobuf::Message*> items;
    items.reserve(samples.size());
    for (const v1::MetricSample& sample : samples) {
      items.push_back(&sample);
    }
    return context->PrintItems(items);
  }
  if (context->output() == Output::kCsv) {
    context->out() << MetricsCsv(samples) << std::flush;
  } else if (samples.empty()) {
    context->err() << "no metrics" << (flags.name.empty() ? "" : " named ") << flags.name << " yet"
                   << std::endl;
  } else {
    ShowMetrics(context, samples);
  }
  return absl::OkStatus();
}

std::string JoinWith(const google::protobuf::RepeatedPtrField<std::string>& parts,
                     absl::string_view between) {
  std::string out;
  for (const std::string& part : parts) {
    absl::StrAppend(&out, out.empty() ? "" : between, part);
  }
  return out;
}

std::string ExplainText(const v1::ExplainJobResponse& response, absl::string_view ns, bool events) {
  const std::string state = v1::Job::State_Name(response.state());
  const std::string margin(state.size() + 2, ' ');
  std::string out;
  for (const v1::PendingReason& reason : response.reasons()) {
    absl::StrAppend(&out, out.empty() ? absl::StrCat(state, "  ") : margin, TierText(reason.tier()), ": ",
                    reason.message(), ".\n");
    if (reason.blocking_jobs_size() > 0) {
      absl::StrAppend(&out, margin, "Ahead of it: ");
      for (int i = 0; i < reason.blocking_jobs_size(); ++i) {
        absl::StrAppend(&out, i == 0 ? "" : ", ", ShortJobName(reason.blocking_jobs(i), ns));
      }
      absl::StrAppend(&out, ".\n");
    }
  }
  if (out.empty()) {
    out = absl::StrCat(state, "  ", response.summary(), "\n");
  }
  if (response.would_start_size() > 0) {
    absl::StrAppend(&out, margin, "It would start: ", JoinWith(response.would_start(), ", or "), ".\n");
  }
  if (response.queue_position() > 0) {
    absl::StrAppend(&out, margin, "Place in the queue: ", response.queue_position(), ".\n");
  }
  if (events && response.state() != v1::Job::PENDING && response.recent_events_size() > 0) {
    absl::StrAppend(&out,
                    EventLines({response.recent_events().begin(), response.recent_events().end()}, ns, true));
  }
  return out;
}

absl::Status Explain(Context* context, const std::string& name) {
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  ASSIGN_OR_RETURN(const NamedJobs named, FindJobs(context, client, name));
  const bool one = named.pipeline.empty();
  std::vector<v1::ExplainJobResponse> responses;
  for (const v1::Job& job : named.jobs) {
    v1::ExplainJobRequest request;
    request.set_name(job.name());
    ASSIGN_OR_RETURN(responses.emplace_back(), client->ExplainJob(request));
  }
  if (context->structured()) {
    std::vector<const google::protobuf::Message*> items;
    items.reserve(responses.size());
    for (const v1::ExplainJobResponse& response : responses) {
      items.push_back(&response);
    }
    return one ? context->Print(*items[0]) : context->PrintItems(items);
  }
  for (size_t i = 0; i < responses.size(); ++i) {
    context->out() << (one ? "" : absl::StrCat(ShortJobName(named.jobs[i].name(), context->ns()), ": "))
                   << ExplainText(responses[i], context->ns(), one);
  }
  context->out() << std::flush;
  return absl::OkStatus();
}

void RegisterOneJob(CLI::App& app, Context* context, const std::string& name, const std::string& what,
                    absl::Status (*run)(Context*, const std::string&)) {
  auto job = std::make_shared<std::string>();
  AddCommand(app, context, name, what, absl::StrCat("cherry ", name, " ko-base"),
             [context, job, run] { return run(context, *job); })
      ->add_option("JOB", *job, "JOB or NAMESPACE/JOB, or a pipeline: all its jobs")
      ->required();
}

}  // namespace

void RegisterObserve(CLI::App& app, Context* context) {
  RegisterOneJob(app, context, "watch", "Live progress to the job's end, losses plotted in a terminal",
                 &Watch);
  RegisterOneJob(app, context, "explain", "Why a job is in its state, and what would change it soonest",
                 &Explain);

  auto logs = std::make_shared<LogFlags>();
  CLI::App* const log_command =
      AddCommand(app, context, "logs", "Logs of a job's trainers, also after its end",
                 "cherry logs ko-base --rank 1 -f", [context, logs] { return Logs(context, *logs); });
  log_command->add_option("JOB", logs->job, "JOB or NAMESPACE/JOB")->required();
  log_command->add_option("--rank", logs->rank, "default 0")->check(CLI::NonNegativeNumber);
  log_command->add_option("--attempt", logs->attempt, "default the newest")->check(CLI::NonNegativeNumber);
  log_command->add_option("--tail", logs->tail, "only the last N lines")->check(CLI::NonNegativeNumber);
  log_command->add_flag("-f,--follow", logs->follow, "stay to the attempt's end");

  auto metrics = std::make_shared<MetricFlags>();
  CLI::App* const metric_command =
      AddCommand(app, context, "metrics", "The recorded series of a job, plotted in a terminal",
                 "cherry metrics ko-base --name loss/train -o csv > loss.csv",
                 [context, metrics] { return Metrics(context, *metrics); });
  metric_command->add_option("JOB", metrics->job, "JOB or NAMESPACE/JOB")->required();
  metric_command->add_option("--name", metrics->name, "one series, e.g. loss/train");
}

}  // namespace cherry::client
