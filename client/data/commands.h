// `cherry data`, `cherry model`, `cherry checkpoint` and `cherry generate`: what reads and writes files
// beneath the roots.
#ifndef CHERRY_CLIENT_DATA_COMMANDS_H_
#define CHERRY_CLIENT_DATA_COMMANDS_H_

namespace CLI {
class App;
}

namespace cherry::client {

class Context;

// `context` is not owned and must outlive the parse.
void RegisterDataCommands(CLI::App& app, Context* context);

// Called by it, one for each file.
void RegisterDatasetCommands(CLI::App& app, Context* context);
void RegisterCheckpointCommands(CLI::App& app, Context* context);
void RegisterModelCommands(CLI::App& app, Context* context);
void RegisterGenerateCommand(CLI::App& app, Context* context);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_COMMANDS_H_
