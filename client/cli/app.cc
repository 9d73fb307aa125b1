#include "client/cli/app.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "common/nearest.h"
#include "common/status.h"
#include "common/version.h"

namespace cherry::client {
namespace {

// The command that the parse had come to: "cherry data prepare".
const CLI::App* Innermost(const CLI::App* app, std::string* path) {
  while (!app->get_subcommands().empty()) {
    app = app->get_subcommands().back();
    absl::StrAppend(path, " ", app->get_name());
  }
  return app;
}

std::vector<std::string> CommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* const command :
       app.get_subcommands([](const CLI::App* c) { return !c->get_group().empty(); })) {
    names.push_back(command->get_name());
  }
  return names;
}

std::vector<std::string> OptionNames(const CLI::App& command, const CLI::App& root) {
  std::vector<std::string> names;
  for (const CLI::App* const app : {&command, &root}) {
    for (const CLI::Option* const option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        names.push_back("--" + name);
      }
    }
  }
  return names;
}

// In the shape of all other errors, with the command or option that was probably meant.
absl::Status ParseProblem(const CLI::App& app, const std::vector<std::string>& args,
                          const CLI::ParseError& error) {
  std::string path = "cherry";
  const CLI::App& command = *Innermost(&app, &path);
  std::string what = error.what();
  std::replace(what.begin(), what.end(), '\n', ' ');
  std::string remedy = absl::StrCat("see `", path, " --help`");
  const bool needs_command = !CommandNames(command).empty();
  const auto word = std::find_if(args.begin(), args.end(), [&](const std::string& arg) {
    const bool option = absl::StartsWith(arg, "-") && arg.size() > 1;
    if (needs_command) {
      return !option && !absl::StrContains(absl::StrCat(path, " "), absl::StrCat(" ", arg, " "));
    }
    return option && absl::StrContains(what, arg);
  });
  if (needs_command && word != args.end()) {
    what = absl::StrCat("there is no command '", path.substr(std::min<size_t>(7, path.size())),
                        path.size() > 7 ? " " : "", *word, "'");
    const std::string near = Nearest(*word, CommandNames(command));
    remedy = near.empty() ? remedy : absl::StrCat("use `", path, " ", near, "`, or ", remedy);
  } else if (word != args.end()) {
    const std::string near = Nearest(word->substr(0, word->find('=')), OptionNames(command, app));
    remedy = near.empty() ? remedy : absl::StrCat("use ", near, ", or ", remedy);
  }
  return InvalidField("USAGE", "", what, remedy);
}

}  // namespace

void BuildApp(CLI::App& app, Context* context, const std::vector<Registrar>& more) {
  app.name("cherry");
  app.description("Cherry: training of compute-efficient language models");
  app.fallthrough();
  app.require_subcommand(1);
  app.set_version_flag("--version", absl::StrCat("cherry ", kVersion));
  app.footer("Example:\n  cherry local start --slots 2\n  cherry submit examples/pretrain.yaml --watch");
  context->AddGlobalOptions(app);
  RegisterSubmit(app, context);
  RegisterGet(app, context);
  RegisterDescribe(app, context);
  RegisterObserve(app, context);
  RegisterReport(app, context);
  RegisterControl(app, context);
  for (const Registrar& registrar : more) {
    registrar(app, context);
  }
  RegisterLocal(app, context);
  RegisterAbout(app, context);
}

int RunCherry(const std::vector<std::string>& args, const Surroundings& surroundings) {
  Context context(surroundings.out, surroundings.err, surroundings.terminal, surroundings.factory);
  CLI::App app;
  BuildApp(app, &context, surroundings.more);
  try {
    // CLI11 takes them last first.
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::Success& help) {
    return app.exit(help, *surroundings.out, *surroundings.err);
  } catch (const CLI::ParseError& error) {
    context.set_result(ParseProblem(app, args, error));
  }
  const absl::Status& result = context.result();
  if (!result.ok()) {
    surroundings.out->flush();
    *surroundings.err << FormatError(result) << std::flush;
    return ExitCodeOf(result);
  }
  return context.exit_code().value_or(kExitOk);
}

}  // namespace cherry::client
