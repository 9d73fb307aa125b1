#include "client/cli/get_events.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/follow.h"
#include "client/cli/job_text.h"
#include "client/rpc/pages.h"
#include "common/status.h"

namespace cherry::client {
namespace {

// Which events are asked for. The coordinator picks those of one job; those of several, or of a namespace,
// are picked here out of one list, so that they stay in order.
struct Scope {
  std::string name;
  std::set<std::string> uids;
  std::string prefix;

  bool Holds(const v1::Event& event) const {
    return (uids.empty() || uids.count(event.job_uid()) > 0) && absl::StartsWith(event.subject(), prefix);
  }
};

absl::StatusOr<Scope> ScopeOf(Context* context, Client* client, const GetQuery& query) {
  Scope scope;
  if (query.names.empty()) {
    scope.prefix = context->ns_given() ? absl::StrCat("namespaces/", context->ns(), "/") : "";
    return scope;
  }
  if (query.names.size() == 1) {
    ASSIGN_OR_RETURN(scope.name, context->JobResource(query.names[0]));
    return scope;
  }
  for (const std::string& name : query.names) {
    v1::GetJobRequest request;
    ASSIGN_OR_RETURN(*request.mutable_name(), context->JobResource(name));
    ASSIGN_OR_RETURN(const v1::Job job, client->GetJob(request));
    scope.uids.insert(job.uid());
  }
  return scope;
}

absl::Status ShowAll(Context* context, const std::vector<v1::Event>& events) {
  if (context->structured()) {
    std::vector<const google::protobuf::Message*> items;
    items.reserve(events.size());
    for (const v1::Event& event : events) {
      items.push_back(&event);
    }
    return context->PrintItems(items);
  }
  if (context->output() == Output::kName) {
    for (const v1::Event& event : events) {
      context->out() << event.sequence() << "\n";
    }
  } else {
    context->out() << EventLines(events, context->ns(), true);
  }
  context->out() << std::flush;
  return absl::OkStatus();
}

absl::Status ShowNext(Context* context, const v1::Event& event) {
  if (context->structured()) {
    return context->Print(event);
  }
  if (context->output() == Output::kName) {
    context->out() << event.sequence() << std::endl;
  } else {
    context->out() << EventLines({event}, context->ns(), false) << std::flush;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status GetEvents(Context* context, Client* client, const GetQuery& query) {
  ASSIGN_OR_RETURN(const Scope scope, ScopeOf(context, client, query));
  v1::ListEventsRequest past;
  past.set_name(scope.name);
  past.set_page_size(kEventsPerPage);
  v1::WatchEventsRequest next;
  next.set_name(scope.name);
  std::vector<v1::Event> events;
  RETURN_IF_ERROR(ReadPages(client, &Client::ListEvents, past, [&](const v1::ListEventsResponse& page) {
    for (const v1::Event& event : page.events()) {
      next.set_after_sequence(event.sequence());
      if (scope.Holds(event)) {
        events.push_back(event);
      }
    }
  }));
  RETURN_IF_ERROR(ShowAll(context, events));
  if (!query.watch) {
    return absl::OkStatus();
  }
  return FollowEvents(context, client, std::move(next), [&](const v1::Event& event) {
    return scope.Holds(event) ? ShowNext(context, event) : absl::OkStatus();
  });
}

}  // namespace cherry::client
