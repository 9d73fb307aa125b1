// cherry model import
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/context.h"
#include "client/data/commands.h"
#include "client/data/model_import.h"
#include "client/data/progress.h"
#include "common/file.h"
#include "common/ids.h"
#include "common/status.h"

namespace cherry::client {
namespace {

struct ModelFlags {
  ImportOptions import;
};

// The root must be there: making one would hide that a mount is missing.
absl::Status CheckRoot(const std::string& root) {
  if (Exists(root)) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kNotFound, "ROOT_NOT_MOUNTED", "checkpoint-root",
               absl::StrCat("the checkpoint root ", root, " is not on this machine"),
               "run this where it is mounted, or give --checkpoint-root");
}

absl::Status RunImport(const std::shared_ptr<ModelFlags>& flags, Context* context) {
  ImportOptions options = flags->import;
  options.ns = context->ns();
  if (options.checkpoint_root.empty()) {
    options.checkpoint_root = context->checkpoint_root();
  }
  RETURN_IF_ERROR(CheckRoot(options.checkpoint_root));
  std::error_code ignored;
  const std::string source = std::filesystem::absolute(options.source, ignored).lexically_normal().string();
  ASSIGN_OR_RETURN(v1::Model model, ImportModel(options));
  model.set_description(absl::StrCat("imported from ", source).substr(0, 1000));
  v1::RegisterModelRequest request;
  *request.mutable_model() = model;
  request.set_request_id(context->RequestId());
  ASSIGN_OR_RETURN(Client * client, context->Connect());
  absl::StatusOr<v1::Model> registered = client->RegisterModel(request);
  if (!registered.ok()) {
    // One that may have been registered although no answer came keeps its files.
    if (!absl::IsUnavailable(registered.status()) && !absl::IsDeadlineExceeded(registered.status())) {
      Drop(RemoveTree(absl::StrCat(options.checkpoint_root, "/", model.path())));
    }
    return registered.status();
  }
  if (context->structured()) {
    return context->Print(*registered);
  }
  context->out() << absl::StrFormat("model %s  %s parameters, %s, %s\nuse it as  from: {model: %s}\n",
                                    options.name, Grouped(registered->parameters()), registered->dtype(),
                                    HumanBytes(registered->bytes()), options.name);
  return absl::OkStatus();
}

}  // namespace

void RegisterModelCommands(CLI::App& app, Context* context) {
  CLI::App* group =
      AddGroup(app, "model", "Take models from elsewhere", "cherry model import Qwen2.5-0.5B --name qwen");
  auto flags = std::make_shared<ModelFlags>();
  CLI::App* command = AddCommand(
      *group, context, "import", "Take in a Hugging Face directory (Llama, Qwen2, Qwen3)",
      "cherry model import Qwen2.5-0.5B --name qwen", [flags, context] { return RunImport(flags, context); });
  command
      ->add_option("DIR", flags->import.source,
                   "Directory with config.json, safetensors and tokenizer.json, as save_pretrained writes it")
      ->required();
  command->add_option("--name", flags->import.name, "Name of the model; one of that name is superseded")
      ->required();
  command->add_option("--checkpoint-root", flags->import.checkpoint_root,
                      "Where checkpoints lie (default: HOME/checkpoints)");
}

}  // namespace cherry::client
