#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/context.h"
#include "client/cli/follow.h"
#include "client/cli/job_text.h"
#include "client/cli/output.h"
#include "client/cli/pipeline.h"
#include "common/status.h"

namespace cherry::client {
namespace {

struct ControlFlags {
  std::vector<std::string> jobs;
  std::string reason;
  bool now = false;
  bool wait = false;
};

template <typename Request>
using Verb = absl::StatusOr<v1::Job> (Client::*)(Request);

template <typename Request>
absl::StatusOr<v1::Job> Ask(Context* context, Client* client, const ControlFlags& flags,
                            const std::string& resource, Verb<Request> method) {
  Request request;
  request.set_name(resource);
  request.set_request_id(context->RequestId());
  request.set_reason(flags.reason);
  if constexpr (requires { request.set_now(true); }) {
    request.set_now(flags.now);
  }
  return (client->*method)(request);
}

// Whether the verb means something for this job of a pipeline: what has ended, or is not paused, is passed
// by.
template <typename Request>
bool Concerns(const v1::Job& job) {
  return !IsTerminal(job.state()) &&
         (!std::is_same_v<Request, v1::ResumeJobRequest> || job.intent() == v1::Job::PAUSE);
}

// All jobs of the pipeline that `name` stands for, children first: so each tells who has asked, not what it
// waited for. NOT_FOUND as for the job.
template <typename Request>
absl::StatusOr<std::vector<v1::Job>> AskPipeline(Context* context, Client* client, const ControlFlags& flags,
                                                 const std::string& name, Verb<Request> method) {
  ASSIGN_OR_RETURN(const NamedJobs named, FindJobs(context, client, name));
  if (context->request_id_given()) {
    return InvalidField("ONE_JOB", "--request-id",
                        absl::StrCat("--request-id is for one job, and ", name, " is a pipeline"),
                        "name its jobs one by one");
  }
  std::vector<v1::Job> done;
  for (auto job = named.jobs.rbegin(); job != named.jobs.rend(); ++job) {
    if (!Concerns<Request>(*job)) {
      continue;
    }
    absl::StatusOr<v1::Job> changed = Ask(context, client, flags, job->name(), method);
    if (InfoOf(changed.status()).reason() == "JOB_ENDED") {
      continue;  // Meanwhile.
    }
    RETURN_IF_ERROR(changed.status());
    done.push_back(*std::move(changed));
  }
  if (done.empty()) {
    context->err() << "pipeline " << name << ": nothing to do, as no job of it "
                   << (std::is_same_v<Request, v1::ResumeJobRequest> ? "is paused" : "is live") << std::endl;
  }
  std::reverse(done.begin(), done.end());
  return done;
}

void PrintDone(Context* context, const v1::Job& job) {
  if (!context->structured()) {
    const std::string shown = ShortJobName(job.name(), context->ns());
    context->out() << (context->output() == Output::kName ? shown
                                                          : absl::StrCat("job ", shown, "  ", StateText(job)))
                   << std::endl;
  }
}

// Job after job; the first error ends it, having told what was done before.
template <typename Request>
absl::Status ForEachJob(Context* context, const ControlFlags& flags, Verb<Request> method) {
  if (flags.jobs.size() > 1 && context->request_id_given()) {
    return InvalidField("ONE_JOB", "--request-id", "--request-id is for one job", "name the jobs one by one");
  }
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  std::vector<v1::Job> done;
  bool one = flags.jobs.size() == 1;
  for (const std::string& name : flags.jobs) {
    ASSIGN_OR_RETURN(const std::string resource, context->JobResource(name));
    std::vector<v1::Job> changed(1);
    absl::StatusOr<v1::Job> job = Ask(context, client, flags, resource, method);
    if (job.ok()) {
      changed[0] = *std::move(job);
    } else if (absl::IsNotFound(job.status())) {
      ASSIGN_OR_RETURN(changed, AskPipeline(context, client, flags, name, method));
      one = false;
    } else {
      return job.status();
    }
    for (v1::Job& each : changed) {
      if (flags.wait && !IsTerminal(each.state())) {
        ASSIGN_OR_RETURN(each, FollowJob(context, each.name(), false));
      }
      PrintDone(context, each);
      done.push_back(std::move(each));
    }
  }
  if (!context->structured()) {
    return absl::OkStatus();
  }
  std::vector<const google::protobuf::Message*> items;
  items.reserve(done.size());
  for (const v1::Job& job : done) {
    items.push_back(&job);
  }
  return one ? context->Print(*items[0]) : context->PrintItems(items);
}

template <typename Request>
CLI::App* AddJobVerb(CLI::App& app, Context* context, const std::string& name, const std::string& what,
                     const std::string& example, const std::shared_ptr<ControlFlags>& flags,
                     Verb<Request> method) {
  CLI::App* const command = AddCommand(app, context, name, what, example, [context, flags, method] {
    return ForEachJob(context, *flags, method);
  });
  command->add_option("JOB", flags->jobs, "JOB or NAMESPACE/JOB, or a pipeline: all its jobs")->required();
  command->add_option("--reason", flags->reason, "kept in the job's timeline");
  return command;
}

struct WorkerFlags {
  std::string name;
  bool wait = false;
};

absl::Status SetWorker(Context* context, const WorkerFlags& flags, v1::Worker::State state) {
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  v1::SetWorkerStateRequest request;
  request.set_name(flags.name);
  request.set_state(state);
  request.set_request_id(context->RequestId());
  ASSIGN_OR_RETURN(v1::Worker worker, client->SetWorkerState(request));
  if (flags.wait) {
    RETURN_IF_ERROR(FollowWorker(context, &worker));
  }
  if (context->structured()) {
    return context->Print(worker);
  }
  context->out() << "worker " << worker.name() << "  " << v1::Worker::State_Name(worker.state()) << std::endl;
  return absl::OkStatus();
}

void AddWorkerVerb(CLI::App& group, Context* context, const std::string& name, const std::string& what,
                   v1::Worker::State state) {
  auto flags = std::make_shared<WorkerFlags>();
  CLI::App* const command =
      AddCommand(group, context, name, what, absl::StrCat("cherry worker ", name, " w0"),
                 [context, flags, state] { return SetWorker(context, *flags, state); });
  command->add_option("NAME", flags->name, "of the worker")->required();
  if (state != v1::Worker::READY) {
    command->add_flag("--wait", flags->wait, "until none of its slots holds a job");
  }
}

}  // namespace

void RegisterControl(CLI::App& app, Context* context) {
  auto cancel = std::make_shared<ControlFlags>();
  CLI::App* const command =
      AddJobVerb(app, context, "cancel", "End jobs, after a last checkpoint",
                 "cherry cancel ko-base --reason 'wrong data'", cancel, &Client::CancelJob);
  command->add_flag("--now", cancel->now, "skip the last checkpoint");
  command->add_flag("--wait", cancel->wait, "until they have ended");
  AddJobVerb(app, context, "pause", "Give a job's slots back; it goes on with `resume`",
             "cherry pause ko-base", std::make_shared<ControlFlags>(), &Client::PauseJob);
  AddJobVerb(app, context, "resume", "Let paused jobs go on", "cherry resume ko-base",
             std::make_shared<ControlFlags>(), &Client::ResumeJob);

  CLI::App* const worker =
      AddGroup(app, "worker", "Take a worker out of service and back", "cherry worker cordon w0");
  AddWorkerVerb(*worker, context, "cordon", "Place nothing new on it", v1::Worker::CORDONED);
  AddWorkerVerb(*worker, context, "drain", "Move its jobs away, after a checkpoint", v1::Worker::DRAINING);
  AddWorkerVerb(*worker, context, "uncordon", "Put it back in service", v1::Worker::READY);
}

}  // namespace cherry::client
