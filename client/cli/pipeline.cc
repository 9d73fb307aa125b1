#include "client/cli/pipeline.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/cli/follow.h"
#include "client/cli/interrupt.h"
#include "client/cli/job_text.h"
#include "client/cli/output.h"
#include "client/rpc/pages.h"
#include "common/ids.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr size_t kMostRows = 20;
constexpr absl::Duration kLineEvery = absl::Seconds(10);
// How soon a table is drawn again while a job steps, and how long it may be old.
constexpr absl::Duration kSoonest = absl::Seconds(1);
constexpr absl::Duration kLatest = absl::Seconds(2);

// "2 RUNNING, 1 SUCCEEDED", in the order of the states.
std::string Counts(const std::vector<v1::Job>& jobs) {
  std::map<v1::Job::State, int> counts;
  for (const v1::Job& job : jobs) {
    ++counts[job.state()];
  }
  return absl::StrJoin(counts, ", ", [](std::string* out, const auto& count) {
    absl::StrAppend(out, count.second, " ", v1::Job::State_Name(count.first));
  });
}

// Those that a table has room for: what has succeeded is left out first.
std::vector<const v1::Job*> Rows(const std::vector<v1::Job>& jobs) {
  std::vector<const v1::Job*> rows;
  for (const bool succeeded : {false, true}) {
    for (const v1::Job& job : jobs) {
      if (rows.size() < kMostRows && (job.state() == v1::Job::SUCCEEDED) == succeeded) {
        rows.push_back(&job);
      }
    }
  }
  std::sort(rows.begin(), rows.end());  // They stand in one vector: as they were.
  return rows;
}

// The one whose changes are worth waiting for; null when all have ended.
const v1::Job* Liveliest(const std::vector<v1::Job>& jobs) {
  const v1::Job* found = nullptr;
  for (const v1::Job& job : jobs) {
    const bool active = job.state() == v1::Job::RUNNING || job.state() == v1::Job::STARTING;
    if (active) {
      return &job;
    }
    if (found == nullptr && !IsTerminal(job.state())) {
      found = &job;
    }
  }
  return found;
}

absl::Status DetachedFrom(const std::string& name) {
  return Error(absl::StatusCode::kCancelled, kDetached, "",
               absl::StrCat("detached: pipeline ", name, " goes on"),
               absl::StrCat("`cherry watch ", name, "` comes back to it"));
}

absl::Status TimedOut(Context* context, const std::string& name, const std::vector<v1::Job>& jobs) {
  return Error(absl::StatusCode::kDeadlineExceeded, "WAIT_TIMED_OUT", "--timeout",
               absl::StrCat("pipeline ", name, " has ", Counts(jobs), " after ",
                            absl::FormatDuration(context->timeout())),
               "the jobs go on; wait longer with --timeout");
}

}  // namespace

std::string PipelineNameOf(const std::string& file) {
  std::string name;
  for (const char c : absl::AsciiStrToLower(std::filesystem::path(file).stem().string())) {
    const bool fits = absl::ascii_islower(c) || absl::ascii_isdigit(c);
    if (fits || (!name.empty() && name.back() != '-')) {
      name.push_back(fits ? c : '-');
    }
  }
  if (name.empty() || !absl::ascii_islower(name[0])) {
    name = absl::StrCat("pipeline-", name);
  }
  name.resize(std::min<size_t>(name.size(), 63));
  while (name.back() == '-') {
    name.pop_back();
  }
  return name;
}

std::string ShortPipelineName(absl::string_view resource, absl::string_view ns) {
  const std::vector<std::string> parts = absl::StrSplit(resource, '/');
  if (parts.size() != 4) {
    return std::string(resource);
  }
  return parts[1] == ns ? parts[3] : absl::StrCat(parts[1], "/", parts[3]);
}

absl::StatusOr<std::vector<v1::Job>> ReadPipeline(Client* client, const std::string& pipeline) {
  v1::ListJobsRequest request;
  request.set_pipeline(pipeline);
  request.set_page_size(1000);
  std::vector<v1::Job> jobs;
  RETURN_IF_ERROR(ReadPages(client, &Client::ListJobs, request, [&](const v1::ListJobsResponse& page) {
    jobs.insert(jobs.end(), page.jobs().begin(), page.jobs().end());
  }));
  std::reverse(jobs.begin(), jobs.end());  // The newest come first.
  return jobs;
}

absl::StatusOr<NamedJobs> FindJobs(Context* context, Client* client, const std::string& name) {
  v1::GetJobRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(), context->JobResource(name));
  absl::StatusOr<v1::Job> job = client->GetJob(request);
  NamedJobs named;
  if (job.ok()) {
    named.jobs.push_back(*std::move(job));
    return named;
  }
  if (!absl::IsNotFound(job.status())) {
    return job.status();
  }
  ASSIGN_OR_RETURN(const JobName parts, ParseJobName(request.name()));
  named.pipeline = absl::StrCat("namespaces/", parts.ns, "/pipelines/", parts.job);
  absl::StatusOr<std::vector<v1::Job>> jobs = ReadPipeline(client, named.pipeline);
  if (absl::IsNotFound(jobs.status())) {
    return job.status();
  }
  RETURN_IF_ERROR(jobs.status());
  named.jobs = *std::move(jobs);
  return named;
}

std::string PipelineView::Draw(const std::vector<v1::Job>& jobs) {
  Table table({"NAME", "KIND", "STATE", "STEP", "LOSS", "VALID", "REASON"});
  const std::vector<const v1::Job*> rows = Rows(jobs);
  for (const v1::Job* job : rows) {
    const v1::Progress& progress = job->progress();
    table.Row({ShortJobName(job->name(), ns_), KindText(job->spec()), StateText(*job), StepText(*job),
               progress.has_loss() ? LossText(progress.loss()) : "-",
               progress.has_valid_loss() ? LossText(progress.valid_loss()) : "-", ReasonText(*job)});
  }
  std::string text = drawn_lines_ > 0 ? absl::StrCat("\x1b[", drawn_lines_, "A\r\x1b[J") : "";
  std::string block = table.Render();
  if (rows.size() < jobs.size()) {
    absl::StrAppend(&block, "... and ", jobs.size() - rows.size(), " more: ", Counts(jobs), "\n");
  }
  drawn_lines_ = 0;
  for (const absl::string_view line : absl::StrSplit(block, '\n', absl::SkipEmpty())) {
    // A line that is too long takes more than one row.
    drawn_lines_ += 1 + std::max(0, DisplayWidth(line) - 1) / std::max(1, width_);
  }
  return text + block;
}

std::string PipelineView::Update(const std::vector<v1::Job>& jobs, absl::Time now) {
  if (terminal_) {
    return Draw(jobs);
  }
  std::string text;
  for (const v1::Job& job : jobs) {
    Told& told = told_[job.name()];
    const bool due = job.state() == v1::Job::RUNNING && now - told.time >= kLineEvery;
    std::string line = absl::StrCat(ShortJobName(job.name(), ns_), "  ", ProgressLine(job, 0), "\n");
    if ((job.state() == told.state && !due) || line == told.line) {
      continue;
    }
    text += line;
    told = {job.state(), std::move(line), now};
  }
  return text;
}

absl::StatusOr<std::vector<v1::Job>> FollowPipeline(Context* context, const std::string& pipeline,
                                                    bool show) {
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  const InterruptScope interrupt([client] { client->Interrupt(); });
  const absl::Time deadline = context->WaitDeadline();
  const std::string name = pipeline.substr(pipeline.rfind('/') + 1);
  PipelineView view(context->ns(), context->terminal(), context->width());
  while (true) {
    absl::StatusOr<std::vector<v1::Job>> jobs = ReadPipeline(client, pipeline);
    if (absl::IsCancelled(jobs.status())) {
      return DetachedFrom(name);
    }
    RETURN_IF_ERROR(jobs.status());
    const absl::Time read = absl::Now();
    if (show) {
      context->out() << view.Update(*jobs, read) << std::flush;
    }
    const v1::Job* const live = Liveliest(*jobs);
    if (live == nullptr) {
      return jobs;
    }
    if (read >= deadline) {
      return TimedOut(context, name, *jobs);
    }
    // Until something has happened to one job; others are looked at meanwhile now and then.
    v1::WatchJobRequest request;
    request.set_name(live->name());
    request.set_after_step(-1);
    const absl::Status status = client->WatchJob(
        request, std::min(deadline, read + kLatest), [&](const v1::WatchJobResponse& message) {
          return message.job().state() == live->state() && absl::Now() - read < kSoonest;
        });
    if (absl::IsCancelled(status)) {
      return DetachedFrom(name);
    }
    if (!status.ok() && !absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) {
      return status;
    }
  }
}

absl::Status ReportOutcomes(Context* context, const std::vector<v1::Job>& jobs) {
  bool failed = false;
  for (const v1::Job& job : jobs) {
    RETURN_IF_ERROR(ReportOutcome(context, job));
    failed = failed || job.state() == v1::Job::FAILED;
  }
  if (failed) {
    context->set_exit_code(kExitJobFailed);
  }
  return absl::OkStatus();
}

}  // namespace cherry::client
