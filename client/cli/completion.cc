#include "client/cli/completion.h"

#include <CLI/CLI.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/status.h"

namespace cherry::client {
namespace {

std::vector<const CLI::App*> Commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

std::vector<std::string> Options(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* const option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      names.push_back("--" + name);
    }
  }
  return names;
}

// A case for each command: what may follow it.
void AppendCases(const CLI::App& app, const std::string& path, std::string* out) {
  for (const CLI::App* const command : Commands(app)) {
    const std::string full = absl::StrCat(path, path.empty() ? "" : " ", command->get_name());
    std::vector<std::string> words;
    for (const CLI::App* const below : Commands(*command)) {
      words.push_back(below->get_name());
    }
    const std::vector<std::string> options = Options(*command);
    words.insert(words.end(), options.begin(), options.end());
    absl::StrAppend(out, "    '", full, "') choices='", absl::StrJoin(words, " "), "' ;;\n");
    AppendCases(*command, full, out);
  }
}

std::string CommandPaths(const CLI::App& app, const std::string& path) {
  std::string out;
  for (const CLI::App* const command : Commands(app)) {
    const std::string full = absl::StrCat(path, path.empty() ? "" : " ", command->get_name());
    absl::StrAppend(&out, "|", full, CommandPaths(*command, full));
  }
  return out;
}

// What needs the coordinator is asked with a short deadline, so that a shell never hangs.
constexpr char kBash[] = R"bash(# Completion for cherry. In ~/.bashrc: source <(cherry completion bash)
_cherry() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} sofar='' word choices='' i
  local known='@PATHS@|'
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    [[ $word == -* ]] && continue
    [[ $known == *"|${sofar:+$sofar }$word|"* ]] && sofar="${sofar:+$sofar }$word"
  done
  case $previous in
    -o|--output)
      case $sofar in report|'checkpoint export') COMPREPLY=(); return ;; esac
      choices='table wide json yaml name' ;;
    --home|--token-file|--tls-*) COMPREPLY=(); return ;;
    --state)
      case " ${COMP_WORDS[*]} " in
        *' worker'*) choices='ready cordoned draining lost' ;;
        *' checkpoint'*) choices='committed corrupt' ;;
        *) choices='pending starting running paused backoff succeeded failed cancelled' ;;
      esac ;;
  esac
  if [[ -z $choices ]]; then case $sofar in
    '') choices='@TOP@' ;;
@CASES@  esac; fi
  case "$sofar $previous" in
    'get get') choices='jobs pipelines workers checkpoints datasets models presets events' ;;
    'describe describe') choices='job worker checkpoint' ;;
    'completion completion') choices='bash zsh' ;;
    'submit '*|'data prepare '*) [[ $current == -* ]] || { COMPREPLY=(); return; } ;;
  esac
  case "$sofar" in
    watch|logs|metrics|explain|report|cancel|pause|resume|resubmit|generate)
      [[ $current == -* ]] || choices="$choices $(cherry get jobs -o name --timeout 1s 2> /dev/null)" ;;
  esac
  [[ $current == -* ]] && choices="$choices @GLOBAL@"
  COMPREPLY=($(compgen -W "$choices" -- "$current"))
}
# Where there is nothing to choose from, files: the shell's own way knows spaces and slashes.
complete -o default -F _cherry cherry
)bash";

}  // namespace

absl::StatusOr<std::string> CompletionScript(const CLI::App& app, const std::string& shell) {
  if (shell != "bash" && shell != "zsh") {
    return InvalidField("VALUE_UNKNOWN", "completion",
                        absl::StrCat("completion: no script for '", shell, "'"), "use bash or zsh");
  }
  std::vector<std::string> top;
  for (const CLI::App* const command : Commands(app)) {
    top.push_back(command->get_name());
  }
  std::string cases;
  AppendCases(app, "", &cases);
  const std::string bash = absl::StrReplaceAll(kBash, {{"@PATHS@", CommandPaths(app, "")},
                                                       {"@TOP@", absl::StrJoin(top, " ")},
                                                       {"@GLOBAL@", absl::StrJoin(Options(app), " ")},
                                                       {"@CASES@", cases}});
  if (shell == "bash") {
    return bash;
  }
  return absl::StrCat("#compdef cherry\n# In ~/.zshrc: source <(cherry completion zsh)\n",
                      "(( $+functions[compdef] )) || { autoload -U +X compinit && compinit -u }\n",
                      "autoload -U +X bashcompinit && bashcompinit\n", bash);
}

}  // namespace cherry::client
