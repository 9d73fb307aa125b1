#include "client/report/report.h"

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/context.h"
#include "client/cli/output.h"
#include "client/cli/pipeline.h"
#include "client/report/references.h"
#include "client/report/sections.h"
#include "client/rpc/pages.h"
#include "common/file.h"
#include "common/status.h"

namespace cherry::client {
namespace {

// A lineage may be long; a report is to be read.
constexpr int kMostOthers = 256;
constexpr int kSamplesPerPage = 10000;

struct ReportFlags {
  std::string name;
  std::string output;
};

// Reads the jobs of a report and those that they name, parents before children.
class Reader {
 public:
  // Neither is owned.
  Reader(Client* client, ReportData* data) : client_(client), data_(data) {}

  absl::Status Read(const std::vector<v1::Job>& jobs) {
    for (const v1::Job& job : jobs) {
      own_[job.name()] = &job;
    }
    for (const v1::Job& job : jobs) {
      RETURN_IF_ERROR(Add(job, false));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Add(const v1::Job& job, bool named_by_others) {
    if (!seen_.insert(job.name()).second) {
      return absl::OkStatus();
    }
    for (const Reference& reference : ReferencesOf(SpecOf(job))) {
      RETURN_IF_ERROR(AddNamed(reference.source, job));
    }
    ReportedJob reported;
    reported.job = job;
    reported.named_by_others = named_by_others;
    RETURN_IF_ERROR(ReadSamples(&reported));
    RETURN_IF_ERROR(ReadCheckpoints(&reported));
    data_->jobs.push_back(std::move(reported));
    return absl::OkStatus();
  }

  // What is gone, or has given its name to another job, is only named in the report.
  absl::Status AddNamed(const v1::SourceRef& source, const v1::Job& by) {
    const std::string name = ResourceOf(source, by);
    if (name.empty() || seen_.count(name) > 0) {
      return absl::OkStatus();
    }
    if (const auto own = own_.find(name); own != own_.end()) {
      return Add(*own->second, false);
    }
    if (others_ == kMostOthers) {
      return absl::OkStatus();
    }
    v1::GetJobRequest request;
    request.set_name(name);
    const absl::StatusOr<v1::Job> job = client_->GetJob(request);
    if (absl::IsNotFound(job.status()) ||
        (job.ok() && !source.job_uid().empty() && source.job_uid() != job->uid())) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(job.status());
    ++others_;
    return Add(*job, true);
  }

  absl::Status ReadSamples(ReportedJob* reported) {
    if (reported->job.epoch() == 0) {
      return absl::OkStatus();
    }
    v1::ListMetricsRequest request;
    request.set_name(reported->job.name());
    request.set_after_step(-1);
    request.set_page_size(kSamplesPerPage);
    for (const std::string& series : ReportedSeries(reported->job.spec().kind())) {
      request.set_metric(series);
      RETURN_IF_ERROR(
          ReadPages(client_, &Client::ListMetrics, request, [reported](const v1::ListMetricsResponse& page) {
            reported->samples.insert(reported->samples.end(), page.samples().begin(), page.samples().end());
          }));
    }
    return absl::OkStatus();
  }

  absl::Status ReadCheckpoints(ReportedJob* reported) {
    v1::ListCheckpointsRequest request;
    request.set_job(reported->job.name());
    return ReadPages(client_, &Client::ListCheckpoints, request,
                     [reported](const v1::ListCheckpointsResponse& page) {
                       reported->checkpoints.insert(reported->checkpoints.end(), page.checkpoints().begin(),
                                                    page.checkpoints().end());
                     });
  }

  Client* const client_;
  ReportData* const data_;
  std::map<std::string, const v1::Job*> own_;
  std::set<std::string> seen_;
  int others_ = 0;
};

absl::Status Report(Context* context, const ReportFlags& flags) {
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  ASSIGN_OR_RETURN(const NamedJobs named, FindJobs(context, client, flags.name));
  ReportData data;
  data.ns = context->ns();
  data.title = named.pipeline.empty()
                   ? absl::StrCat("job ", ShortJobName(named.jobs[0].name(), context->ns()))
                   : absl::StrCat("pipeline ", ShortPipelineName(named.pipeline, context->ns()));
  ASSIGN_OR_RETURN(const v1::ServerInfo server, client->GetServerInfo({}));
  data.server = server.version();
  data.time = absl::Now();
  RETURN_IF_ERROR(Reader(client, &data).Read(named.jobs));
  const std::string page = RenderReport(data);
  RETURN_IF_ERROR(WriteFileAtomically(flags.output, page));
  context->out() << flags.output << ": " << data.jobs.size() << (data.jobs.size() == 1 ? " job, " : " jobs, ")
                 << BytesText(static_cast<int64_t>(page.size())) << std::endl;
  return absl::OkStatus();
}

}  // namespace

void RegisterReport(CLI::App& app, Context* context) {
  auto flags = std::make_shared<ReportFlags>();
  CLI::App* const report = AddCommand(
      app, context, "report", "One page about a job or pipeline: verdicts, tables, curves, lineage",
      "cherry report cherry-mini --output report.html", [context, flags] { return Report(context, *flags); });
  report->add_option("NAME", flags->name, "JOB, PIPELINE or NAMESPACE/NAME")->required();
  report->add_option("--output", flags->output, "File to write, HTML that needs no other file")->required();
}

}  // namespace cherry::client
