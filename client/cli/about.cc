#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/completion.h"
#include "client/cli/context.h"
#include "common/status.h"
#include "common/version.h"

namespace cherry::client {
namespace {

absl::Status Version(Context* context, bool server) {
  context->out() << "cherry " << kVersion << " (API " << kApiMajor << ")" << std::endl;
  if (!server) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  ASSIGN_OR_RETURN(const v1::ServerInfo info, client->GetServerInfo({}));
  context->out() << "cherry-coordinator " << info.version() << " (API " << info.api_major() << ")"
                 << std::endl;
  return absl::OkStatus();
}

}  // namespace

void RegisterAbout(CLI::App& app, Context* context) {
  auto shell = std::make_shared<std::string>();
  AddCommand(app, context, "completion", "A completion script for a shell",
             "source <(cherry completion bash)",
             [context, shell, &app] {
               ASSIGN_OR_RETURN(const std::string script, CompletionScript(app, *shell));
               context->out() << script << std::flush;
               return absl::OkStatus();
             })
      ->add_option("SHELL", *shell, "bash or zsh")
      ->required();

  auto server = std::make_shared<bool>(false);
  AddCommand(app, context, "version", "The version of this program", "cherry version --server",
             [context, server] { return Version(context, *server); })
      ->add_flag("--server", *server, "the coordinator's too");
}

}  // namespace cherry::client
