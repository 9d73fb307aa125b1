#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/context.h"
#include "client/cli/local_state.h"
#include "client/cli/supervisor.h"
#include "common/file.h"
#include "common/log.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr int kDefaultPort = 7070;
constexpr char kWorkerName[] = "w0";
// A worker saves a checkpoint of every rank before it goes (its own --grace is 25 s).
constexpr absl::Duration kWorkerGrace = absl::Seconds(40);
constexpr absl::Duration kCoordinatorGrace = absl::Seconds(15);
constexpr absl::Duration kStartTimeout = absl::Seconds(60);
constexpr int kCheckEveryMs = 50;

struct LocalFlags {
  int slots = 0;
  int port = 0;  // 0: not given.
};

// The last line of a log, which usually says what is wrong.
std::string LastLine(const std::string& path) {
  const auto text = ReadFile(path, 64 << 20);
  if (!text.ok()) {
    return "";
  }
  const absl::string_view stripped = absl::StripTrailingAsciiWhitespace(*text);
  return std::string(stripped.substr(stripped.rfind('\n') + 1));
}

std::string SlotsText(const v1::Worker& worker) {
  int cuda = 0;
  for (const v1::Slot& slot : worker.slots()) {
    cuda += slot.device() == v1::Resources::CUDA ? 1 : 0;
  }
  const int cpu = worker.slots_size() - cuda;
  std::vector<std::string> parts;
  if (cuda > 0) {
    parts.push_back(absl::StrCat(cuda, " cuda"));
  }
  if (cpu > 0 || cuda == 0) {
    parts.push_back(absl::StrCat(cpu, " cpu"));
  }
  return absl::StrCat(absl::StrJoin(parts, ", "), worker.slots_size() == 1 ? " slot" : " slots");
}

std::string Lines(const LocalState& state, const std::string& slots, const std::string& home) {
  return absl::StrFormat(
      "coordinator  %-16s metrics http://%s/metrics\n"
      "worker %-5s %-16s metrics http://%s/metrics\n"
      "home         %s\n"
      "page         http://%s/\n",
      state.Address(), state.Address(1), kWorkerName, slots, state.Address(2), home, state.Address(1));
}

// The worker, once it is registered and ready; none before.
absl::StatusOr<std::optional<v1::Worker>> FindWorker(Client* client) {
  ASSIGN_OR_RETURN(const v1::ListWorkersResponse response, client->ListWorkers({}));
  for (const v1::Worker& worker : response.workers()) {
    if (worker.name() == kWorkerName && worker.state() != v1::Worker::LOST) {
      return worker;
    }
  }
  return std::nullopt;
}

absl::Status NotUp(const std::string& home, const std::string& daemon, absl::string_view what) {
  const std::string log = absl::StrCat(home, "/logs/", daemon, ".log");
  const std::string last = LastLine(log);
  return Error(absl::StatusCode::kUnavailable, "NOT_STARTED", "",
               absl::StrCat(what, last.empty() ? "" : absl::StrCat("; it last said: ", last)),
               absl::StrCat("see ", log));
}

// Until coordinator and worker answer. `alive` ends when the supervisor does.
absl::StatusOr<v1::Worker> WaitUntilUp(Context* context, const LocalState& state, int alive) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                   context->ConnectTo(state.Address(), absl::Seconds(1)));
  const absl::Time deadline = absl::Now() + std::max(kStartTimeout, context->timeout());
  absl::Status coordinator = absl::UnavailableError("");
  while (absl::Now() < deadline) {
    pollfd waited{alive, POLLIN, 0};
    if (poll(&waited, 1, kCheckEveryMs) == 1) {
      return NotUp(context->home(), "supervisor", "the supervisor has ended");
    }
    const auto worker = FindWorker(client.get());
    if (worker.ok() && worker->has_value()) {
      return **worker;
    }
    coordinator = worker.status();
    if (!coordinator.ok() && !absl::IsUnavailable(coordinator) && !absl::IsUnauthenticated(coordinator)) {
      return coordinator;
    }
  }
  return coordinator.ok() ? NotUp(context->home(), "worker", "the worker does not register")
                          : NotUp(context->home(), "coordinator", "the coordinator does not answer");
}

absl::Status Running(Context* context, const LocalFlags& flags) {
  ASSIGN_OR_RETURN(const LocalState state, ReadLocalState(context->home()));
  if ((flags.port != 0 && flags.port != state.port) || (flags.slots != 0 && flags.slots != state.slots)) {
    return Error(absl::StatusCode::kAlreadyExists, "ALREADY_RUNNING", "",
                 absl::StrCat("a cluster with port ", state.port, " and ", state.slots,
                              " slots runs with home ", context->home()),
                 "`cherry local stop` first, or give another --home");
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                   context->ConnectTo(state.Address(), context->timeout()));
  ASSIGN_OR_RETURN(const auto worker, FindWorker(client.get()));
  context->out() << Lines(state, worker.has_value() ? SlotsText(*worker) : "starting", context->home())
                 << std::flush;
  return absl::OkStatus();
}

absl::Status Start(Context* context, const LocalFlags& flags) {
  const std::string home = context->home();
  ASSIGN_OR_RETURN(const auto supervisor, RunningSupervisor(home));
  if (supervisor.has_value()) {
    return Running(context, flags);
  }
  RETURN_IF_ERROR(Context::ProgramBeside("cherry-coordinator").status());
  RETURN_IF_ERROR(Context::ProgramBeside("cherry-worker").status());
  LocalState state;
  state.port = flags.port == 0 ? kDefaultPort : flags.port;
  state.slots = flags.slots;
  RETURN_IF_ERROR(CheckPortsFree(state));
  RETURN_IF_ERROR(MakeDirectories(home, 0700));
  RETURN_IF_ERROR(MakeDirectories(home + "/logs", 0700));
  ASSIGN_OR_RETURN(const std::string self, Context::ProgramBeside("cherry"));
  ASSIGN_OR_RETURN(const int alive,
                   StartInBackground({self, "local", "supervise", "--home", home, "--port",
                                      absl::StrCat(state.port), "--slots", absl::StrCat(state.slots)},
                                     home + "/logs/supervisor.log"));
  const auto worker = WaitUntilUp(context, state, alive);
  close(alive);
  if (!worker.ok()) {
    // Half a cluster is no cluster.
    const auto left = RunningSupervisor(home);
    if (left.ok() && left->has_value()) {
      Drop(StopProcess(**left, kWorkerGrace + kCoordinatorGrace));
    }
    return worker.status();
  }
  context->out() << Lines(state, SlotsText(*worker), home) << std::flush;
  return absl::OkStatus();
}

absl::Status Stop(Context* context) {
  ASSIGN_OR_RETURN(const auto supervisor, RunningSupervisor(context->home()));
  if (!supervisor.has_value()) {
    context->out() << "nothing runs with home " << context->home() << std::endl;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(StopProcess(*supervisor, std::max(context->timeout(), kWorkerGrace + kCoordinatorGrace)));
  context->out() << "stopped" << std::endl;
  return absl::OkStatus();
}

absl::Status Status(Context* context) {
  const std::string home = context->home();
  ASSIGN_OR_RETURN(const auto supervisor, RunningSupervisor(home));
  if (!supervisor.has_value()) {
    return Error(absl::StatusCode::kNotFound, "NOT_RUNNING", "",
                 absl::StrCat("nothing runs with home ", home), "`cherry local start` starts a cluster");
  }
  ASSIGN_OR_RETURN(const LocalState state, ReadLocalState(home));
  ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                   context->ConnectTo(state.Address(), absl::Seconds(5)));
  const auto worker = FindWorker(client.get());
  const std::string slots = !worker.ok()           ? "unknown"
                            : !worker->has_value() ? "not registered"
                                                   : SlotsText(**worker);
  context->out() << Lines(state, slots, home);
  const auto process = [](pid_t pid) { return pid == 0 ? std::string("restarting") : absl::StrCat(pid); };
  context->out() << "processes    supervisor " << *supervisor << ", coordinator "
                 << process(state.coordinator) << ", worker " << process(state.worker) << std::endl;
  return worker.status();
}

absl::Status RunSupervisor(Context* context, const LocalFlags& flags) {
  const std::string home = context->home();
  InitLog("supervisor");
  // Descriptor 3 tells the starter that this process lives; the daemons must not keep it open.
  if (fcntl(3, F_GETFD) >= 0) {
    fcntl(3, F_SETFD, FD_CLOEXEC);
  }
  RETURN_IF_ERROR(LockHome(home));
  LocalState state;
  state.port = flags.port;
  state.slots = flags.slots;
  ASSIGN_OR_RETURN(const std::string coordinator, Context::ProgramBeside("cherry-coordinator"));
  ASSIGN_OR_RETURN(const std::string worker, Context::ProgramBeside("cherry-worker"));
  SupervisorOptions options;
  options.daemons = {{.name = "coordinator",
                      .argv = {coordinator, "--home", home, "--listen", state.Address(), "--metrics-address",
                               state.Address(1)},
                      .log = home + "/logs/coordinator.log",
                      .grace = kCoordinatorGrace},
                     {.name = "worker",
                      .argv = {worker, "--name", kWorkerName, "--home", home, "--coordinator",
                               state.Address(), "--metrics-address", state.Address(2)},
                      .log = home + "/logs/worker.log",
                      .grace = kWorkerGrace}};
  if (state.slots > 0) {
    options.daemons[1].argv.insert(options.daemons[1].argv.end(), {"--slots", absl::StrCat(state.slots)});
  }
  options.on_change = [&](const std::vector<pid_t>& pids) {
    state.coordinator = pids[0];
    state.worker = pids[1];
    // Only for `status`: a full disk must not end the cluster.
    const absl::Status written = WriteLocalState(home, state);
    if (!written.ok()) {
      LogWarning(written.message());
    }
  };
  absl::Status ended = Supervise(options);
  RemoveLocalState(home);
  return ended;
}

}  // namespace

void RegisterLocal(CLI::App& app, Context* context) {
  CLI::App* const local =
      AddGroup(app, "local", "A coordinator and a worker on this machine, in the background",
               "cherry local start --slots 2");
  auto flags = std::make_shared<LocalFlags>();
  CLI::App* const start = AddCommand(*local, context, "start", "Start them; what dies is started again",
                                     "cherry local start --slots 2 --port 7170",
                                     [context, flags] { return Start(context, *flags); });
  start->add_option("--slots", flags->slots, "default: one for each GPU, else one")
      ->check(CLI::Range(1, 1024));
  start->add_option("--port", flags->port, "of the coordinator, 7070; metrics at the next two")
      ->check(CLI::Range(1, 65533));
  AddCommand(*local, context, "stop", "Stop them; running jobs save a checkpoint first", "cherry local stop",
             [context] { return Stop(context); });
  AddCommand(*local, context, "status", "What runs", "cherry local status",
             [context] { return Status(context); });

  auto inside = std::make_shared<LocalFlags>();
  CLI::App* const supervise = AddCommand(*local, context, "supervise", "What `start` puts in the background",
                                         "cherry local supervise --port 7070",
                                         [context, inside] { return RunSupervisor(context, *inside); });
  supervise->add_option("--slots", inside->slots);
  supervise->add_option("--port", inside->port)->required();
  supervise->group("");
}

}  // namespace cherry::client
