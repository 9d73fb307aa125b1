#include "client/cli/get_query.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/nearest.h"
#include "common/status.h"

namespace cherry::client {
namespace {

struct Kind {
  std::string name;
  bool labels;                      // Things have labels, or belong to one that has.
  bool watch;                       // Events tell of changes.
  std::vector<std::string> states;  // Empty: things have none.
};

const std::vector<Kind>& Kinds() {
  static const auto* const kinds = new std::vector<Kind>{
      {"checkpoints", true, true, {"committed", "corrupt"}},
      {"datasets", false, false, {}},
      {"events", false, true, {}},
      {"jobs",
       true,
       true,
       {"pending", "starting", "running", "paused", "backoff", "succeeded", "failed", "cancelled"}},
      {"pipelines", false, true, {}},
      {"models", false, false, {}},
      {"presets", false, false, {}},
      {"workers", true, true, {"ready", "cordoned", "draining", "lost"}},
  };
  return *kinds;
}

// "committed or corrupt", "ready, cordoned, draining or lost"
std::string Choices(const std::vector<std::string>& words) {
  return absl::StrCat(absl::StrJoin(words.begin(), words.end() - 1, ", "), " or ", words.back());
}

absl::StatusOr<Kind> FindKind(const std::string& what) {
  std::vector<std::string> names;
  for (const Kind& kind : Kinds()) {
    if (what == kind.name || what + "s" == kind.name) {
      return kind;
    }
    names.push_back(kind.name);
  }
  const std::string near = Nearest(what, names);
  return InvalidField("VALUE_UNKNOWN", "get", absl::StrCat("get: '", what, "' is not a kind of thing"),
                      absl::StrCat("use ", near.empty() ? Choices(names) : near));
}

absl::Status Meaningless(absl::string_view flag, absl::string_view why, absl::string_view remedy) {
  return InvalidField("FLAG_WITHOUT_MEANING", flag, absl::StrCat(flag, ": ", why), remedy);
}

absl::Status CheckMeaning(const GetFlags& flags, const Kind& kind, Output output) {
  if (!flags.labels.empty() && !kind.labels) {
    return Meaningless("-l", absl::StrCat(kind.name, " have no labels"),
                       "leave it out; jobs and workers have labels, checkpoints those of their job");
  }
  if (!flags.states.empty() && kind.states.empty()) {
    return Meaningless("--state", absl::StrCat(kind.name, " have no state"),
                       "leave it out; jobs, workers and checkpoints have one");
  }
  if (flags.watch && !kind.watch) {
    return Meaningless("-w", absl::StrCat("nothing tells when ", kind.name, " change"),
                       absl::StrCat("leave it out and run `cherry get ", kind.name, "` again"));
  }
  if (flags.watch && output == Output::kSpec) {
    return Meaningless("-w", "the spec of a job never changes", "leave out -w, or -o spec");
  }
  // The names of checkpoints are those of their jobs, so a state says more.
  const bool named = !flags.names.empty();
  const bool by_state = !flags.states.empty() && kind.name != "checkpoints";
  if (named && (!flags.labels.empty() || by_state)) {
    return Meaningless(flags.labels.empty() ? "--state" : "-l", "does not go with names",
                       absl::StrCat("give names, or choose ", kind.name, " by -l and --state"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, std::string>> ReadLabels(const GetFlags& flags) {
  std::map<std::string, std::string> labels;
  for (const std::string& given : flags.labels) {
    for (const absl::string_view pair : absl::StrSplit(given, ',', absl::SkipEmpty())) {
      const std::pair<std::string, std::string> label = absl::StrSplit(pair, absl::MaxSplits('=', 1));
      if (label.first.empty() || pair.find('=') == absl::string_view::npos) {
        return InvalidField("LABEL_INVALID", "-l", absl::StrCat("-l: '", pair, "' is not key=value"),
                            "write e.g. -l team=ko");
      }
      labels[label.first] = label.second;
    }
  }
  return labels;
}

absl::StatusOr<std::set<std::string>> ReadStates(const GetFlags& flags, const Kind& kind) {
  std::set<std::string> states;
  for (const std::string& given : flags.states) {
    for (const absl::string_view text : absl::StrSplit(given, ',', absl::SkipEmpty())) {
      const std::string state = absl::AsciiStrToLower(text);
      if (std::find(kind.states.begin(), kind.states.end(), state) == kind.states.end()) {
        return InvalidField("VALUE_UNKNOWN", "--state",
                            absl::StrCat("--state: '", text, "' is not a state of ", kind.name),
                            absl::StrCat("use ", Choices(kind.states)));
      }
      states.insert(absl::AsciiStrToUpper(state));
    }
  }
  return states;
}

absl::Status CheckOutput(const GetFlags& flags, const Kind& kind, Output output) {
  const bool spec_of_job = output == Output::kSpec && kind.name == "jobs" && !flags.names.empty();
  if (output == Output::kCsv || (output == Output::kSpec && !spec_of_job)) {
    return InvalidField("VALUE_UNKNOWN", "--output", "--output: csv is for metrics, spec for `get job NAME`",
                        "use table, wide, json, yaml or name");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GetQuery> MakeQuery(const GetFlags& flags, Output output) {
  ASSIGN_OR_RETURN(const Kind kind, FindKind(flags.what));
  RETURN_IF_ERROR(CheckOutput(flags, kind, output));
  RETURN_IF_ERROR(CheckMeaning(flags, kind, output));
  GetQuery query;
  query.what = kind.name;
  query.names = flags.names;
  ASSIGN_OR_RETURN(query.labels, ReadLabels(flags));
  ASSIGN_OR_RETURN(query.states, ReadStates(flags, kind));
  query.watch = flags.watch;
  return query;
}

}  // namespace cherry::client
