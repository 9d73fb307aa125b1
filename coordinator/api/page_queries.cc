#include "coordinator/api/page_queries.h"

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/proto_json.h"
#include "common/status.h"
#include "coordinator/api/reads.h"

namespace cherry::coordinator {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr auto kPatience = std::chrono::seconds(5);
constexpr size_t kMostReply = size_t{16} << 20;

// What a path names, and what else was given.
struct Asked {
  const Services& services;
  std::string name;  // Resource name of the job, or the worker's; empty for neither.
  const HttpQuery& query;
};
using Answer = absl::StatusOr<std::string> (*)(const Asked&);

absl::Status SetFromText(const std::string& text, const FieldDescriptor* field, Message* request) {
  const auto* reflection = request->GetReflection();
  const auto invalid = [&](absl::string_view what, absl::string_view remedy) {
    return InvalidField("VALUE_INVALID", field->name(),
                        absl::StrCat(field->name(), ": '", text.substr(0, 80), "' is not ", what), remedy);
  };
  int64_t number = 0;
  if (field->is_map()) {  // All are of texts.
    if (!absl::StrContains(text, '=')) {
      return invalid("KEY=VALUE", "give both, for example team=ko");
    }
    const std::pair<std::string, std::string> pair = absl::StrSplit(text, absl::MaxSplits('=', 1));
    Message* entry = reflection->AddMessage(request, field);
    entry->GetReflection()->SetString(entry, field->message_type()->map_key(), pair.first);
    entry->GetReflection()->SetString(entry, field->message_type()->map_value(), pair.second);
  } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    reflection->SetString(request, field, text);
  } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    const auto* value = field->enum_type()->FindValueByName(text);
    if (value == nullptr) {
      return invalid(absl::StrCat("a ", field->enum_type()->full_name()), "give its name in upper case");
    }
    reflection->AddEnum(request, field, value);
  } else if (!absl::SimpleAtoi(text, &number)) {
    return invalid("an integer", "give digits");
  } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
    reflection->SetInt64(request, field, number);
  } else if (number != static_cast<int32_t>(number)) {
    return invalid("an integer of 32 bits", "give a smaller one");
  } else {
    reflection->SetInt32(request, field, static_cast<int32_t>(number));
  }
  return absl::OkStatus();
}

// The request with the query's parameters as its fields; `bound` is the one that the path has.
template <typename Request>
absl::StatusOr<Request> Parse(const Asked& asked, absl::string_view bound) {
  Request request;
  std::vector<std::string> known;
  for (int i = 0; i < Request::descriptor()->field_count(); ++i) {
    if (Request::descriptor()->field(i)->name() != bound) {
      known.push_back(Request::descriptor()->field(i)->name());
    }
  }
  for (const auto& [key, value] : asked.query) {
    const FieldDescriptor* field = Request::descriptor()->FindFieldByName(key);
    if (field == nullptr || key == bound) {
      return InvalidField(
          "FIELD_UNKNOWN", key.substr(0, 80),
          absl::StrCat(key.substr(0, 80), ": is not a parameter of this path"),
          known.empty() ? "leave it out" : absl::StrCat("known: ", absl::StrJoin(known, ", ")));
    }
    if (!field->is_repeated() && asked.query.count(key) > 1) {
      return InvalidField("FIELD_REPEATED", key, absl::StrCat(key, ": is given more than once"),
                          "give it once");
    }
    RETURN_IF_ERROR(SetFromText(value, field, &request));
  }
  if (const FieldDescriptor* field = Request::descriptor()->FindFieldByName(std::string(bound))) {
    request.GetReflection()->SetString(&request, field, asked.name);
  }
  return request;
}

// Asks on the executor's thread, where all decisions before are synced, and waits.
template <typename Reply>
absl::StatusOr<Reply> Ask(const Asked& asked, std::function<absl::StatusOr<Reply>(const Core&)> ask) {
  if (asked.services.executor->overloaded()) {
    return Error(absl::StatusCode::kResourceExhausted, "OVERLOADED", "",
                 "the coordinator has more to do than it can answer soon", "try again in a moment");
  }
  auto promise = std::make_shared<std::promise<absl::StatusOr<Reply>>>();
  auto future = promise->get_future();
  asked.services.executor->Call<Reply>(
      [ask = std::move(ask)](Core* core, Decision*) { return ask(*core); },
      [promise](absl::StatusOr<Reply> reply) { promise->set_value(std::move(reply)); });
  if (future.wait_for(kPatience) != std::future_status::ready) {
    return Error(absl::StatusCode::kUnavailable, "TIMED_OUT", "", "the coordinator did not answer in time",
                 "try again in a moment");
  }
  return future.get();
}

absl::StatusOr<std::string> Print(const Message& message) {
  ASSIGN_OR_RETURN(std::string text, MessageToJson(message));
  if (text.size() > kMostReply) {
    return Error(absl::StatusCode::kResourceExhausted, "REPLY_TOO_LARGE", "page_size",
                 absl::StrCat("the reply has ", text.size(), " bytes, more than ", kMostReply),
                 "ask for a smaller page_size");
  }
  return text;
}

// A call that the core answers alone.
template <typename Request, typename Reply>
absl::StatusOr<std::string> FromCore(const Asked& asked, absl::string_view bound,
                                     std::function<absl::StatusOr<Reply>(const Core&, const Request&)> ask) {
  ASSIGN_OR_RETURN(const Request request, Parse<Request>(asked, bound));
  ASSIGN_OR_RETURN(const Reply reply,
                   Ask<Reply>(asked, [ask, request](const Core& core) { return ask(core, request); }));
  return Print(reply);
}

// Empty for the cluster's.
absl::StatusOr<std::string> UidOf(const Asked& asked) {
  if (asked.name.empty()) {
    return "";
  }
  ASSIGN_OR_RETURN(const v1::Job job,
                   Ask<v1::Job>(asked, [name = asked.name](const Core& core) { return core.GetJob(name); }));
  return job.uid();
}

absl::StatusOr<std::string> GetServer(const Asked& asked) {
  return FromCore<v1::GetServerInfoRequest, v1::ServerInfo>(
      asked, "",
      [services = asked.services](const Core& core, const auto&) { return DescribeServer(services, core); });
}

absl::StatusOr<std::string> ListJobs(const Asked& asked) {
  return FromCore<v1::ListJobsRequest, v1::ListJobsResponse>(
      asked, "", [](const Core& core, const auto& request) { return core.ListJobs(request); });
}

absl::StatusOr<std::string> GetJob(const Asked& asked) {
  return FromCore<v1::GetJobRequest, v1::Job>(
      asked, "name", [](const Core& core, const auto& request) { return core.GetJob(request.name()); });
}

absl::StatusOr<std::string> ExplainJob(const Asked& asked) {
  RETURN_IF_ERROR(Parse<v1::ExplainJobRequest>(asked, "name").status());
  ASSIGN_OR_RETURN(const std::string uid, UidOf(asked));
  ASSIGN_OR_RETURN(v1::ExplainJobResponse answer,
                   Ask<v1::ExplainJobResponse>(
                       asked, [name = asked.name](const Core& core) { return core.ExplainJob(name); }));
  ASSIGN_OR_RETURN(const std::vector<v1::Event> events,
                   asked.services.store->ReadLastEvents(uid, kRecentEvents));
  answer.mutable_recent_events()->Assign(events.begin(), events.end());
  return Print(answer);
}

absl::StatusOr<std::string> ListMetrics(const Asked& asked) {
  ASSIGN_OR_RETURN(const v1::ListMetricsRequest request, Parse<v1::ListMetricsRequest>(asked, "name"));
  ASSIGN_OR_RETURN(const std::string uid, UidOf(asked));
  ASSIGN_OR_RETURN(const v1::ListMetricsResponse answer, ReadMetrics(asked.services.store, uid, request));
  return Print(answer);
}

absl::StatusOr<std::string> NewestMetrics(const Asked& asked) {
  RETURN_IF_ERROR(Parse<v1::GetJobRequest>(asked, "name").status());
  ASSIGN_OR_RETURN(const std::string uid, UidOf(asked));
  ASSIGN_OR_RETURN(const std::vector<v1::MetricSample> newest, asked.services.store->ReadNewest(uid));
  v1::ListMetricsResponse answer;
  answer.mutable_samples()->Assign(newest.begin(), newest.end());
  return Print(answer);
}

absl::StatusOr<std::string> ListEvents(const Asked& asked) {
  ASSIGN_OR_RETURN(const v1::ListEventsRequest request, Parse<v1::ListEventsRequest>(asked, "name"));
  ASSIGN_OR_RETURN(const std::string uid, UidOf(asked));
  ASSIGN_OR_RETURN(const v1::ListEventsResponse answer, ReadEvents(asked.services.store, uid, request));
  return Print(answer);
}

absl::StatusOr<std::string> ListCheckpoints(const Asked& asked) {
  return FromCore<v1::ListCheckpointsRequest, v1::ListCheckpointsResponse>(
      asked, "job", [](const Core& core, const auto& request) { return core.ListCheckpoints(request); });
}

absl::StatusOr<std::string> ListPipelines(const Asked& asked) {
  return FromCore<v1::ListPipelinesRequest, v1::ListPipelinesResponse>(
      asked, "", [](const Core& core, const auto& request) { return core.ListPipelines(request); });
}

absl::StatusOr<std::string> ListWorkers(const Asked& asked) {
  return FromCore<v1::ListWorkersRequest, v1::ListWorkersResponse>(
      asked, "", [](const Core& core, const auto& request) { return core.ListWorkers(request); });
}

absl::StatusOr<std::string> GetWorker(const Asked& asked) {
  return FromCore<v1::GetWorkerRequest, v1::Worker>(
      asked, "name", [](const Core& core, const auto& request) { return core.GetWorker(request.name()); });
}

absl::StatusOr<std::string> ListDatasets(const Asked& asked) {
  return FromCore<v1::ListDatasetsRequest, v1::ListDatasetsResponse>(
      asked, "", [](const Core& core, const auto& request) { return core.ListDatasets(request); });
}

struct Route {
  const char* pattern;  // "*" stands for any one part.
  const char* method;   // Whose role is asked for.
  Answer answer;
};
constexpr Route kRoutes[] = {
    {"server", "GetServerInfo", GetServer},
    {"jobs", "ListJobs", ListJobs},
    {"jobs/*/*", "GetJob", GetJob},
    {"jobs/*/*/explain", "ExplainJob", ExplainJob},
    {"jobs/*/*/metrics", "ListMetrics", ListMetrics},
    {"jobs/*/*/metrics/newest", "ListMetrics", NewestMetrics},
    {"jobs/*/*/events", "ListEvents", ListEvents},
    {"jobs/*/*/checkpoints", "ListCheckpoints", ListCheckpoints},
    {"pipelines", "ListPipelines", ListPipelines},
    {"workers", "ListWorkers", ListWorkers},
    {"workers/*", "GetWorker", GetWorker},
    {"datasets", "ListDatasets", ListDatasets},
    {"events", "ListEvents", ListEvents},
};

// What the pattern's stars stand for; none when it does not match.
std::optional<std::vector<std::string>> Match(absl::string_view pattern, absl::string_view path) {
  const std::vector<std::string> wanted = absl::StrSplit(pattern, '/');
  const std::vector<std::string> given = absl::StrSplit(path, '/');
  if (wanted.size() != given.size()) {
    return std::nullopt;
  }
  std::vector<std::string> stars;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == "*" && !given[i].empty()) {
      stars.push_back(given[i]);
    } else if (wanted[i] != given[i]) {
      return std::nullopt;
    }
  }
  return stars;
}

}  // namespace

absl::StatusOr<std::string> PageQueries::Get(const Identity& identity, absl::string_view path,
                                             const HttpQuery& query) const {
  for (const Route& route : kRoutes) {
    const auto stars = Match(route.pattern, path);
    if (!stars.has_value()) {
      continue;
    }
    RETURN_IF_ERROR(Authorise(identity, route.method));
    std::string name;
    if (stars->size() == 1) {
      name = (*stars)[0];
    } else if (stars->size() == 2) {
      name = absl::StrCat("namespaces/", (*stars)[0], "/jobs/", (*stars)[1]);
    }
    return route.answer({services_, name, query});
  }
  return Error(absl::StatusCode::kNotFound, "PATH_UNKNOWN", "",
               absl::StrCat("there is nothing at /api/v1/", path.substr(0, 200)),
               "docs/page.md lists the paths");
}

}  // namespace cherry::coordinator
