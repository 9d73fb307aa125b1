// What is followed for long, through restarts of the coordinator: a job to its end (`watch`, `submit --wait`,
// `submit --watch`), a worker until it is empty (`worker drain --wait`), events (`get -w`).
#ifndef CHERRY_CLIENT_CLI_FOLLOW_H_
#define CHERRY_CLIENT_CLI_FOLLOW_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cherry/v1/coordinator.pb.h"
#include "client/cli/context.h"
#include "client/cli/plot.h"

namespace cherry::client {

// What a watch shows. On a terminal the last lines are drawn anew with each update, losses as a plot;
// elsewhere a line is written when the state has changed, a validation has ended, or ten seconds have passed.
// Not thread-safe.
class WatchView {
 public:
  WatchView(bool terminal, int width) : terminal_(terminal), width_(width) {}

  // The text to write for a message that arrived at `now`; may be empty.
  std::string Update(const v1::WatchJobResponse& message, absl::Time now);

 private:
  std::string Draw(const v1::Job& job);

  const bool terminal_;
  const int width_;
  Series train_{"loss/train", {}};
  Series valid_{"loss/valid", {}};
  int drawn_lines_ = 0;
  std::string last_line_;
  v1::Job::State last_state_ = v1::Job::STATE_UNSPECIFIED;
  double last_valid_ = -1;
  absl::Time last_time_ = absl::InfinitePast();
};

// Waits until the job has ended and returns it; with `show` its progress goes to out(). Lives through
// restarts of the coordinator that are shorter than --timeout (30 s). kDeadlineExceeded after --timeout where
// it was given; kCancelled after Ctrl-C, with a message that the job goes on.
absl::StatusOr<v1::Job> FollowJob(Context* context, const std::string& resource, bool show);

// Waits until no slot of the worker holds a job; `worker` is then as it is by now. Lives through restarts and
// ends like FollowJob.
absl::Status FollowWorker(Context* context, v1::Worker* worker);

inline constexpr int kEventsPerPage = 1000;

// Calls `show` with each event after `request.after_sequence`, until it fails, or until Ctrl-C or --timeout:
// that is how such a watch ends well. Lives through restarts of the coordinator that are shorter than
// --timeout (30 s).
absl::Status FollowEvents(Context* context, Client* client, v1::WatchEventsRequest request,
                          const std::function<absl::Status(const v1::Event&)>& show);

// Sets the exit code from how the job ended, and tells about a failure in one line on err().
absl::Status ReportOutcome(Context* context, const v1::Job& job);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_FOLLOW_H_
