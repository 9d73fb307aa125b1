// The commands of `cherry` that speak to the coordinator. Each function adds its commands to `app`; `context`
// is not owned and must outlive the parse.
#ifndef CHERRY_CLIENT_CLI_COMMANDS_H_
#define CHERRY_CLIENT_CLI_COMMANDS_H_

namespace CLI {
class App;
}

namespace cherry::client {

class Context;

void RegisterSubmit(CLI::App& app, Context* context);    // submit, resubmit
void RegisterGet(CLI::App& app, Context* context);       // get
void RegisterDescribe(CLI::App& app, Context* context);  // describe
void RegisterObserve(CLI::App& app, Context* context);   // watch, logs, metrics, explain
void RegisterReport(CLI::App& app, Context* context);    // report
void RegisterControl(CLI::App& app, Context* context);   // cancel, pause, resume, worker
void RegisterLocal(CLI::App& app, Context* context);     // local
void RegisterAbout(CLI::App& app, Context* context);     // completion, version

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_COMMANDS_H_
