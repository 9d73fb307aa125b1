#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/context.h"
#include "client/cli/follow.h"
#include "client/cli/job_text.h"
#include "client/cli/output.h"
#include "common/status.h"

namespace cherry::client {
namespace {

struct ControlFlags {
  std::vector<std::string> jobs;
  std::string reason;
  bool now = false;
  bool wait = false;
};

// Job after job; the first error ends it, having told what was done before.
template <typename Request>
absl::Status ForEachJob(Context* context, const ControlFlags& flags,
                        absl::StatusOr<v1::Job> (Client::*method)(Request)) {
  if (flags.jobs.size() > 1 && context->request_id_given()) {
    return InvalidField("ONE_JOB", "--request-id", "--request-id is for one job", "name the jobs one by one");
  }
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  std::vector<v1::Job> done;
  for (const std::string& name : flags.jobs) {
    Request request;
    ASSIGN_OR_RETURN(*request.mutable_name(), context->JobResource(name));
    request.set_request_id(context->RequestId());
    request.set_reason(flags.reason);
    if constexpr (requires { request.set_now(true); }) {
      request.set_now(flags.now);
    }
    ASSIGN_OR_RETURN(v1::Job job, (client->*method)(request));
    if (flags.wait && !IsTerminal(job.state())) {
      ASSIGN_OR_RETURN(job, FollowJob(context, job.name(), false));
    }
    if (!context->structured()) {
      const std::string shown = ShortJobName(job.name(), context->ns());
      context->out() << (context->output() == Output::kName
                             ? shown
                             : absl::StrCat("job ", shown, "  ", StateText(job)))
                     << std::endl;
    }
    done.push_back(std::move(job));
  }
  if (!context->structured()) {
    return absl::OkStatus();
  }
  std::vector<const google::protobuf::Message*> items;
  for (const v1::Job& job : done) {
    items.push_back(&job);
  }
  return items.size() == 1 ? context->Print(*items[0]) : context->PrintItems(items);
}

template <typename Request>
CLI::App* AddJobVerb(CLI::App& app, Context* context, const std::string& name, const std::string& what,
                     const std::string& example, std::shared_ptr<ControlFlags> flags,
                     absl::StatusOr<v1::Job> (Client::*method)(Request)) {
  CLI::App* const command = AddCommand(app, context, name, what, example, [context, flags, method] {
    return ForEachJob(context, *flags, method);
  });
  command->add_option("JOB", flags->jobs, "JOB or NAMESPACE/JOB")->required();
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
