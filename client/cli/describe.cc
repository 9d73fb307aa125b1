#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/commands.h"
#include "client/cli/context.h"
#include "client/cli/evaluation_text.h"
#include "client/cli/get_tables.h"
#include "client/cli/job_file.h"
#include "client/cli/job_text.h"
#include "client/cli/output.h"
#include "client/cli/plan_text.h"
#include "client/rpc/pages.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr size_t kTimelineEvents = 30;

struct DescribeFlags {
  std::string what;
  std::string name;
};

class Page {
 public:
  void Line(absl::string_view key, absl::string_view value) {
    if (!value.empty()) {
      absl::StrAppendFormat(&text_, "%-12s %s\n", absl::StrCat(key, ":"), value);
    }
  }
  // Indented below a headline; nothing for an empty body.
  void Section(absl::string_view title, absl::string_view body) {
    if (!body.empty()) {
      const std::string stripped(absl::StripTrailingAsciiWhitespace(body));
      absl::StrAppend(&text_, title, ":\n  ", absl::StrReplaceAll(stripped, {{"\n", "\n  "}}), "\n");
    }
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string ChargesText(const v1::Charges& charges) {
  return absl::StrFormat(
      "slot-seconds: %.1f productive, %.1f checkpoints, %.1f restarts, %.1f lost work, %.1f idle",
      charges.productive(), charges.checkpoint(), charges.restart(), charges.lost_work(),
      charges.idle_allocated());
}

std::string PendingText(const v1::Job& job) {
  std::string out;
  for (const v1::PendingReason& reason : job.pending()) {
    absl::StrAppend(&out, TierText(reason.tier()), ": ", reason.message(), "\n");
    if (!reason.remedy().empty()) {
      absl::StrAppend(&out, "  would start with ", reason.remedy(), "\n");
    }
  }
  return out;
}

void DescribeHead(const v1::Job& job, absl::string_view ns, Page* page) {
  page->Line("name", ShortJobName(job.name(), ns));
  page->Line("uid", job.uid());
  page->Line("kind", KindText(job.spec()));
  page->Line("state", absl::StrCat(StateText(job), job.reason().empty() ? "" : "  ", job.reason()));
  page->Line("progress", job.has_progress() && !IsTerminal(job.state()) ? ProgressLine(job, 0) : "");
  page->Line("submitted", absl::StrCat(TimeText(job.create_time()),
                                       job.submitter().empty() ? "" : absl::StrCat(" by ", job.submitter())));
  page->Line("started", job.has_start_time() ? TimeText(job.start_time()) : "");
  page->Line("ended", job.has_end_time() ? TimeText(job.end_time()) : "");
  page->Line("pipeline", job.pipeline());
  page->Line("failures", absl::StrCat(job.failures(), " of ", job.resolved().limits().retries(), " charged"));
  page->Line("retries at",
             job.has_backoff_until() && job.state() == v1::Job::BACKOFF ? TimeText(job.backoff_until()) : "");
}

absl::Status DescribeJob(Context* context, Client* client, const std::string& name) {
  v1::GetJobRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(), context->JobResource(name));
  ASSIGN_OR_RETURN(const v1::Job job, client->GetJob(request));
  if (context->structured()) {
    return context->Print(job);
  }
  v1::ListEventsRequest of_job;
  of_job.set_name(job.name());
  std::vector<v1::Event> events;
  RETURN_IF_ERROR(ReadPages(client, &Client::ListEvents, of_job, [&](const v1::ListEventsResponse& page) {
    events.insert(events.end(), page.events().begin(), page.events().end());
  }));
  v1::ListCheckpointsRequest checkpoints_request;
  checkpoints_request.set_job(job.name());
  std::vector<v1::Checkpoint> checkpoints;
  std::vector<std::string> references;
  RETURN_IF_ERROR(ReadPages(client, &Client::ListCheckpoints, checkpoints_request,
                            [&](const v1::ListCheckpointsResponse& page) {
                              for (const v1::Checkpoint& checkpoint : page.checkpoints()) {
                                checkpoints.push_back(checkpoint);
                                references.push_back(absl::StrCat(name, ":", checkpoint.step()));
                              }
                            }));
  Page page;
  DescribeHead(job, context->ns(), &page);
  page.Section("waits for", PendingText(job));
  page.Section("spec", JobSpecToYaml(job.has_resolved() ? job.resolved() : job.spec()));
  page.Section("plan", job.has_plan() ? PlanText(job.plan(), 0) : "");
  page.Section("evaluation", job.has_evaluation() ? EvaluationText(job.evaluation(), context->ns()) : "");
  page.Section("attempts", job.attempts_size() > 0 ? AttemptTable(job).Render() : "");
  page.Section("checkpoints",
               checkpoints.empty() ? "" : CheckpointTable(checkpoints, references, true).Render());
  page.Line("charges", job.has_charges() ? ChargesText(job.charges()) : "");
  const size_t skipped = events.size() > kTimelineEvents ? events.size() - kTimelineEvents : 0;
  events.erase(events.begin(), events.begin() + static_cast<int64_t>(skipped));
  page.Section(skipped > 0
                   ? absl::StrCat("timeline, last ", kTimelineEvents, " (all: cherry get events ", name, ")")
                   : "timeline",
               events.empty() ? "" : EventLines(events, context->ns(), true));
  context->out() << page.text() << std::flush;
  return absl::OkStatus();
}

absl::Status DescribeWorker(Context* context, Client* client, const std::string& name) {
  v1::GetWorkerRequest request;
  request.set_name(name);
  ASSIGN_OR_RETURN(const v1::Worker worker, client->GetWorker(request));
  if (context->structured()) {
    return context->Print(worker);
  }
  Page page;
  page.Line("name", worker.name());
  page.Line("state", v1::Worker::State_Name(worker.state()));
  page.Line("address", worker.address());
  page.Line("metrics", worker.metrics_address());
  page.Line("version", worker.version());
  page.Line("incarnation", worker.incarnation());
  page.Line("registered", TimeText(worker.register_time()));
  page.Line("seen", TimeText(worker.last_seen_time()));
  page.Line("failures", absl::StrCat(worker.recent_failures(), " within the last hour"));
  page.Line("labels", absl::StrJoin(worker.labels(), ", ", absl::PairFormatter("=")));
  Table slots({"SLOT", "DEVICE", "CORES", "MEMORY", "GPU", "JOB"});
  for (const v1::Slot& slot : worker.slots()) {
    slots.Row({absl::StrCat(slot.index()), absl::AsciiStrToLower(v1::Resources::Device_Name(slot.device())),
               absl::StrJoin(slot.cores(), ","),
               slot.memory_bytes() > 0 ? BytesText(slot.memory_bytes()) : "-",
               slot.gpu_name().empty() ? "-" : absl::StrCat(slot.gpu_name(), " ", slot.gpu_uuid()),
               slot.job().empty() ? "-" : ShortJobName(slot.job(), context->ns())});
  }
  page.Section("slots", slots.Render());
  Table roots({"ROOT", "ID", "FREE", "SIZE"});
  for (const v1::Root& root : worker.roots()) {
    roots.Row({root.kind(), root.id(), BytesText(root.free_bytes()), BytesText(root.size_bytes())});
  }
  page.Section("roots", roots.empty() ? "" : roots.Render());
  context->out() << page.text() << std::flush;
  return absl::OkStatus();
}

absl::Status DescribeCheckpoint(Context* context, Client* client, const std::string& reference) {
  const size_t colon = reference.find(':');
  v1::GetCheckpointRequest request;
  ASSIGN_OR_RETURN(*request.mutable_job(), context->JobResource(reference.substr(0, colon)));
  request.set_checkpoint(colon == std::string::npos ? "best" : reference.substr(colon + 1));
  ASSIGN_OR_RETURN(const v1::Checkpoint checkpoint, client->GetCheckpoint(request));
  if (context->structured()) {
    return context->Print(checkpoint);
  }
  Page page;
  page.Line("name", absl::StrCat(ShortJobName(request.job(), context->ns()), ":", checkpoint.step()));
  page.Line("state", v1::Checkpoint::State_Name(checkpoint.state()));
  page.Line("detail", checkpoint.detail());
  page.Line("path", checkpoint.path());
  page.Line("size", absl::StrFormat("%s (%d bytes)", BytesText(checkpoint.bytes()), checkpoint.bytes()));
  page.Line("loss", checkpoint.has_loss() ? absl::StrFormat("%.4f", checkpoint.loss()) : "");
  page.Line("valid", checkpoint.has_valid_loss() ? absl::StrFormat("%.4f", checkpoint.valid_loss()) : "");
  page.Line("best", checkpoint.best() ? "yes" : "no");
  page.Line("pinned", checkpoint.pinned() ? "yes" : "no");
  page.Line("attempt", absl::StrCat(checkpoint.epoch()));
  page.Line("next sample", absl::StrCat(checkpoint.sample_cursor()));
  page.Line("manifest", checkpoint.manifest_hash());
  page.Line("saved", TimeText(checkpoint.create_time()));
  context->out() << page.text() << std::flush;
  return absl::OkStatus();
}

absl::Status Run(Context* context, const DescribeFlags& flags) {
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  if (flags.what == "job" || flags.what == "jobs") {
    return DescribeJob(context, client, flags.name);
  }
  if (flags.what == "worker" || flags.what == "workers") {
    return DescribeWorker(context, client, flags.name);
  }
  if (flags.what == "checkpoint" || flags.what == "checkpoints") {
    return DescribeCheckpoint(context, client, flags.name);
  }
  return InvalidField("VALUE_UNKNOWN", "describe",
                      absl::StrCat("describe: '", flags.what, "' is not a kind of thing"),
                      "use job, worker or checkpoint");
}

}  // namespace

void RegisterDescribe(CLI::App& app, Context* context) {
  auto flags = std::make_shared<DescribeFlags>();
  CLI::App* const describe =
      AddCommand(app, context, "describe", "Everything about one job, worker or checkpoint",
                 "cherry describe job ko-base\ncherry describe checkpoint ko-base:latest",
                 [context, flags] { return Run(context, *flags); });
  describe->add_option("KIND", flags->what, "job, worker or checkpoint")->required();
  describe->add_option("NAME", flags->name, "of the job or worker; JOB[:best|latest|STEP] for a checkpoint")
      ->required();
}

}  // namespace cherry::client
