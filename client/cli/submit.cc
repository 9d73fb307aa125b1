#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <iterator>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/context.h"
#include "client/cli/follow.h"
#include "client/cli/job_file.h"
#include "client/cli/job_text.h"
#include "client/cli/output.h"
#include "client/cli/pipeline.h"
#include "client/cli/plan_text.h"
#include "common/file.h"
#include "common/status.h"

namespace cherry::client {
namespace {

struct SubmitFlags {
  std::vector<std::string> files;
  std::vector<std::string> set;
  std::string name;
  bool dry_run = false;
  bool wait = false;
  bool watch = false;
};

// One request: the jobs of one file. `source` begins the messages of errors.
struct Submission {
  std::string source;
  std::string pipeline;  // Name, for several jobs and for a matrix.
  std::vector<v1::JobSpec> jobs;
};

// What came of it.
struct Submitted {
  std::string pipeline;  // Resource name, of a pipeline.
  std::vector<v1::Job> jobs;
};

absl::StatusOr<std::string> ReadJobFile(const std::string& file) {
  if (file == "-") {
    std::string text(std::istreambuf_iterator<char>(std::cin), {});
    return text;
  }
  auto text = ReadFile(file, kMaxJobFileBytes + 1);
  if (!text.ok()) {
    return InvalidField("FILE_UNREADABLE", "FILE", text.status().message(), "name a job file");
  }
  return text;
}

absl::Status ApplyFlags(const Context& context, const SubmitFlags& flags, Submission* submission) {
  for (v1::JobSpec& spec : submission->jobs) {
    for (const std::string& assignment : flags.set) {
      RETURN_IF_ERROR(SetField(assignment, &spec));
    }
    if (context.ns_given() && !spec.namespace_().empty() && spec.namespace_() != context.ns()) {
      return InvalidField("NAMESPACE_DIFFERS", "namespace",
                          absl::StrCat(submission->source, ": namespace: ", spec.namespace_(), " is not the ",
                                       context.ns(), " of --namespace"),
                          "leave one of them out");
    }
    if (spec.namespace_().empty()) {
      spec.set_namespace_(context.ns());
    }
  }
  if (submission->jobs.size() > 1 || submission->jobs[0].has_matrix()) {
    submission->pipeline = flags.name.empty() ? PipelineNameOf(submission->source) : flags.name;
  } else if (!flags.name.empty()) {
    submission->jobs[0].clear_generate_name();
    submission->jobs[0].set_name(flags.name);
  }
  return absl::OkStatus();
}

// Names the file in front of the coordinator's message, where the message is about the file.
absl::Status InFile(const Submission& submission, const absl::Status& status) {
  const bool about_spec = absl::IsInvalidArgument(status) || !InfoOf(status).field().empty();
  return about_spec && !submission.source.empty() ? Annotate(status, submission.source) : status;
}

absl::StatusOr<Submitted> Send(Context* context, const SubmitFlags& flags, const Submission& submission) {
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  Submitted submitted;
  if (submission.pipeline.empty()) {
    v1::SubmitJobRequest request;
    *request.mutable_spec() = submission.jobs[0];
    request.set_request_id(context->RequestId());
    request.set_validate_only(flags.dry_run);
    auto response = client->SubmitJob(request);
    if (!response.ok()) {
      return InFile(submission, response.status());
    }
    submitted.jobs.push_back(std::move(*response->mutable_job()));
    return submitted;
  }
  v1::SubmitPipelineRequest request;
  request.set_name(submission.pipeline);
  request.set_namespace_(submission.jobs[0].namespace_());
  request.mutable_jobs()->Assign(submission.jobs.begin(), submission.jobs.end());
  request.set_request_id(context->RequestId());
  request.set_validate_only(flags.dry_run);
  auto response = client->SubmitPipeline(request);
  if (!response.ok()) {
    return InFile(submission, response.status());
  }
  submitted.pipeline = response->pipeline().name();
  submitted.jobs.assign(std::make_move_iterator(response->mutable_jobs()->begin()),
                        std::make_move_iterator(response->mutable_jobs()->end()));
  return submitted;
}

absl::Status PrintSubmitted(Context* context, const SubmitFlags& flags, const std::vector<v1::Job>& jobs) {
  if (context->structured()) {
    std::vector<const google::protobuf::Message*> items;
    items.reserve(jobs.size());
    for (const v1::Job& job : jobs) {
      items.push_back(&job);
    }
    return items.size() == 1 ? context->Print(*items[0]) : context->PrintItems(items);
  }
  for (const v1::Job& job : jobs) {
    if (context->output() == Output::kName) {
      context->out() << ShortJobName(job.name(), context->ns()) << "\n";
      continue;
    }
    context->out() << HeadLine(job, context->ns()) << "\n";
    if (flags.dry_run) {
      context->out() << PlanText(job.plan(), 2);
      continue;
    }
    for (const v1::PendingReason& reason : job.pending()) {
      if (reason.tier() != v1::PendingReason::QUEUE) {
        context->out() << "waits: " << reason.message()
                       << (reason.remedy().empty() ? ""
                                                   : absl::StrCat("; would start with ", reason.remedy()))
                       << "\n";
      }
    }
  }
  context->out() << std::flush;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::Job>> Follow(Context* context, const Submitted& submitted, bool show) {
  if (!submitted.pipeline.empty()) {
    return FollowPipeline(context, submitted.pipeline, show);
  }
  std::vector<v1::Job> ended;
  for (const v1::Job& job : submitted.jobs) {
    ASSIGN_OR_RETURN(ended.emplace_back(), FollowJob(context, job.name(), show));
  }
  return ended;
}

// Prints what was made and, where asked, stays to the end.
absl::Status Finish(Context* context, const SubmitFlags& flags, const std::vector<Submitted>& all) {
  const bool stay = (flags.wait || flags.watch) && !flags.dry_run;
  std::vector<v1::Job> jobs;
  for (const Submitted& submitted : all) {
    jobs.insert(jobs.end(), submitted.jobs.begin(), submitted.jobs.end());
  }
  // With -o json and a wait, the job is printed once: as it ended.
  if (!stay || !context->structured()) {
    RETURN_IF_ERROR(PrintSubmitted(context, flags, jobs));
  }
  if (!stay) {
    return absl::OkStatus();
  }
  std::vector<v1::Job> ended;
  for (const Submitted& submitted : all) {
    const bool show = flags.watch && context->output() == Output::kTable;
    ASSIGN_OR_RETURN(const std::vector<v1::Job> some, Follow(context, submitted, show));
    ended.insert(ended.end(), some.begin(), some.end());
  }
  if (context->structured()) {
    RETURN_IF_ERROR(PrintSubmitted(context, flags, ended));
  }
  return ReportOutcomes(context, ended);
}

absl::Status Submit(Context* context, const SubmitFlags& flags) {
  if (flags.files.size() > 1 && (context->request_id_given() || !flags.name.empty())) {
    return InvalidField("ONE_FILE", "--request-id", "--request-id and --name are for one file",
                        "submit the files one by one");
  }
  // Everything is read, and asked about, before anything is submitted: a mistake in the last file submits
  // nothing.
  std::vector<Submission> submissions;
  for (const std::string& file : flags.files) {
    Submission submission;
    submission.source = file == "-" ? "stdin" : file;
    ASSIGN_OR_RETURN(const std::string text, ReadJobFile(file));
    ASSIGN_OR_RETURN(submission.jobs, ParseJobFile(text, submission.source));
    RETURN_IF_ERROR(ApplyFlags(*context, flags, &submission));
    submissions.push_back(std::move(submission));
  }
  if (submissions.size() > 1) {
    SubmitFlags check = flags;
    check.dry_run = true;
    for (const Submission& submission : submissions) {
      RETURN_IF_ERROR(Send(context, check, submission).status());
    }
  }
  std::vector<Submitted> all;
  for (const Submission& submission : submissions) {
    ASSIGN_OR_RETURN(all.emplace_back(), Send(context, flags, submission));
  }
  return Finish(context, flags, all);
}

absl::Status Resubmit(Context* context, const SubmitFlags& flags) {
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  v1::GetJobRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(), context->JobResource(flags.files[0]));
  ASSIGN_OR_RETURN(const v1::Job job, client->GetJob(request));
  Submission submission;
  submission.jobs = {job.spec()};
  v1::JobSpec& spec = submission.jobs[0];
  if (!spec.generate_name().empty()) {
    spec.clear_name();
  }
  RETURN_IF_ERROR(ApplyFlags(*context, flags, &submission));
  ASSIGN_OR_RETURN(Submitted sent, Send(context, flags, submission));
  return Finish(context, flags, {std::move(sent)});
}

void AddSubmitFlags(CLI::App* command, SubmitFlags* flags) {
  command->add_option("--set", flags->set, "change a field: path=value, e.g. train.steps=20; repeatable")
      ->allow_extra_args(false)
      ->type_name("PATH=VALUE");
  command->add_option("--name", flags->name,
                      "name of the job; of the pipeline for a file with several jobs or a matrix");
  command->add_flag("--dry-run", flags->dry_run, "print the plan and change nothing");
  command->add_flag("--wait", flags->wait, "wait for the end; exit 1 where the job failed");
  command->add_flag("--watch", flags->watch, "the same, and show progress");
}

}  // namespace

void RegisterSubmit(CLI::App& app, Context* context) {
  auto flags = std::make_shared<SubmitFlags>();
  CLI::App* const submit = AddCommand(app, context, "submit", "Submit jobs or pipelines from files",
                                      "cherry submit examples/pretrain.yaml --set train.steps=100 --watch\n"
                                      "cherry submit examples/pretrain.yaml --dry-run",
                                      [context, flags] { return Submit(context, *flags); });
  submit->add_option("FILE", flags->files, "job files; - reads standard input")->required();
  AddSubmitFlags(submit, flags.get());

  auto again = std::make_shared<SubmitFlags>();
  CLI::App* const resubmit =
      AddCommand(app, context, "resubmit", "Submit the spec of an earlier job again, changed where asked",
                 "cherry resubmit ko-base --set train.optimizer.learning_rate=5e-4",
                 [context, again] { return Resubmit(context, *again); });
  resubmit->add_option("JOB", again->files, "the earlier job")->required()->expected(1);
  AddSubmitFlags(resubmit, again.get());
}

}  // namespace cherry::client
