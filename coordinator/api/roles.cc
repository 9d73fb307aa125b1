#include "coordinator/api/roles.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace cherry::coordinator {
namespace {

constexpr unsigned kPeople = kSubmitter | kOperator;
constexpr unsigned kEyes = kPeople | kReader;

constexpr RpcRule kRules[] = {
    {"SubmitJob", kPeople, true},     {"SubmitPipeline", kPeople, true},   {"ListPipelines", kEyes, true},
    {"GetJob", kEyes, true},          {"ListJobs", kEyes, true},           {"WatchJob", kEyes, false},
    {"CancelJob", kPeople, true},     {"PauseJob", kPeople, true},         {"ResumeJob", kPeople, true},
    {"ExplainJob", kEyes, true},      {"ReadLogs", kEyes, false},          {"ListMetrics", kEyes, true},
    {"ListEvents", kEyes, true},      {"WatchEvents", kEyes, false},       {"GetCheckpoint", kEyes, true},
    {"ListCheckpoints", kEyes, true}, {"ReportCheckpoint", kPeople, true}, {"GetWorker", kEyes, true},
    {"ListWorkers", kEyes, true},     {"SetWorkerState", kOperator, true}, {"RegisterDataset", kPeople, true},
    {"GetDataset", kEyes, true},      {"ListDatasets", kEyes, true},       {"ListPresets", kEyes, true},
    {"RegisterModel", kPeople, true}, {"GetModel", kEyes, true},           {"ListModels", kEyes, true},
    {"GetServerInfo", kEyes, true},   {"Connect", kWorker, false},
};

unsigned RoleNamed(absl::string_view name) {
  if (name == "submitter") {
    return kSubmitter;
  }
  if (name == "operator") {
    return kOperator;
  }
  if (name == "reader") {
    return kReader;
  }
  return name == "worker" ? kWorker : 0U;
}

// A subject's parts; a comma in a value is escaped with a backslash.
std::vector<std::string> Parts(absl::string_view subject) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < subject.size(); ++i) {
    if (subject[i] == '\\' && i + 1 < subject.size()) {
      parts.back() += subject[++i];
    } else if (subject[i] == ',' || subject[i] == '+') {
      parts.emplace_back();
    } else {
      parts.back() += subject[i];
    }
  }
  return parts;
}

}  // namespace

absl::Span<const RpcRule> RpcRules() { return kRules; }

absl::Status Authorise(const Identity& identity, absl::string_view method) {
  for (const RpcRule& rule : kRules) {
    if (method == rule.method && (rule.roles & identity.roles) != 0) {
      return absl::OkStatus();
    }
  }
  return Error(absl::StatusCode::kPermissionDenied, "ROLE_MISSING", "",
               absl::StrCat(identity.name, " may not call ", method),
               "use a certificate whose OU is a role that may (submitter, operator, worker or reader)");
}

absl::StatusOr<Identity> IdentityFromSubject(absl::string_view subject) {
  Identity identity;
  for (const std::string& part : Parts(subject)) {
    const std::pair<std::string, std::string> pair = absl::StrSplit(part, absl::MaxSplits('=', 1));
    const std::string key(absl::StripAsciiWhitespace(pair.first));
    if (key == "CN" && identity.name.empty()) {
      identity.name = pair.second;
    } else if (key == "OU") {
      identity.roles |= RoleNamed(pair.second);
    }
  }
  if (identity.name.empty() || identity.roles == 0) {
    return Error(absl::StatusCode::kUnauthenticated, "CERTIFICATE_INVALID", "",
                 "the client's certificate names nobody, or no role",
                 "issue it with CN=NAME and OU=submitter, operator, worker or reader");
  }
  return identity;
}

}  // namespace cherry::coordinator
