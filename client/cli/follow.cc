#include "client/cli/follow.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/interrupt.h"
#include "client/cli/job_text.h"
#include "client/cli/output.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr absl::Duration kQuiet = absl::Seconds(10);
constexpr int kBarWidth = 20;
constexpr int kMostEmptyStreams = 100;

absl::Status Detached(Context* context, const std::string& resource) {
  const std::string name = ShortJobName(resource, context->ns());
  return Error(absl::StatusCode::kCancelled, kDetached, "", absl::StrCat("detached: job ", name, " goes on"),
               absl::StrCat("`cherry watch ", name, "` comes back to it"));
}

absl::Status Detached(const v1::Worker& worker) {
  return Error(
      absl::StatusCode::kCancelled, kDetached, "",
      absl::StrCat("detached: worker ", worker.name(), " stays ", v1::Worker::State_Name(worker.state())),
      absl::StrCat("`cherry get worker ", worker.name(), "` shows what is on it"));
}

// The first of the jobs that hold a slot; empty when none does.
std::string JobOn(const v1::Worker& worker) {
  for (const v1::Slot& slot : worker.slots()) {
    if (!slot.job().empty()) {
      return slot.job();
    }
  }
  return "";
}

// Whether the newest attempt has a rank on the worker that has not been reaped.
bool IsOn(const v1::Job& job, const std::string& worker) {
  if (job.attempts().empty()) {
    return false;
  }
  const auto& ranks = job.attempts().rbegin()->ranks();
  return std::any_of(ranks.begin(), ranks.end(), [&](const v1::RankPlacement& rank) {
    return rank.worker() == worker && rank.state() != v1::RankPlacement::EXITED;
  });
}

}  // namespace

std::string WatchView::Draw(const v1::Job& job) {
  std::string text;
  if (drawn_lines_ > 0) {
    // Back to the first line of what was drawn, and clear from there.
    text = absl::StrCat("\x1b[", drawn_lines_, "A\r\x1b[J");
  }
  const std::string line = ProgressLine(job, std::min(kBarWidth, std::max(0, width_ - 60)));
  std::string block = absl::StrCat(line, "\n");
  if (train_.points.size() > 1) {
    absl::StrAppend(
        &block, Plot({train_, valid_}, {.width = std::min(width_ - 1, 100), .height = 10, .color = true}));
  }
  drawn_lines_ = static_cast<int>(std::count(block.begin(), block.end(), '\n'));
  // A line that is too long takes more than one row.
  drawn_lines_ += (DisplayWidth(line) - 1) / std::max(1, width_);
  return text + block;
}

std::string WatchView::Update(const v1::WatchJobResponse& message, absl::Time now) {
  for (const v1::MetricSample& sample : message.samples()) {
    Series* const series = sample.name() == train_.name   ? &train_
                           : sample.name() == valid_.name ? &valid_
                                                          : nullptr;
    // A restarted attempt goes over steps again: the newest values count.
    while (series != nullptr && !series->points.empty() &&
           series->points.back().first >= static_cast<double>(sample.step())) {
      series->points.pop_back();
    }
    if (series != nullptr) {
      series->points.emplace_back(static_cast<double>(sample.step()), sample.value());
    }
  }
  const v1::Job& job = message.job();
  if (terminal_) {
    return Draw(job);
  }
  const double valid = job.progress().has_valid_loss() ? job.progress().valid_loss() : -1;
  const std::string line = ProgressLine(job, 0);
  const bool due = job.state() != last_state_ || valid != last_valid_ || now - last_time_ >= kQuiet;
  if (!due || line == last_line_ || line.empty()) {
    return "";
  }
  last_state_ = job.state();
  last_valid_ = valid;
  last_time_ = now;
  last_line_ = line;
  return line + "\n";
}

absl::StatusOr<v1::Job> FollowJob(Context* context, const std::string& resource, bool show) {
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  const InterruptScope interrupt([client] { client->Interrupt(); });
  const absl::Time deadline = context->WaitDeadline();
  WatchView view(context->terminal(), context->width());
  v1::WatchJobRequest request;
  request.set_name(resource);
  // After an outage too: a series may be behind others, and what comes again is drawn over itself.
  request.set_after_step(show ? 0 : -1);
  v1::GetJobRequest name_only;
  name_only.set_name(resource);
  v1::Job last;
  int empty_streams = 0;
  while (true) {
    const absl::Status status = client->WatchJob(request, deadline, [&](const v1::WatchJobResponse& message) {
      empty_streams = 0;
      last = message.job();
      if (show) {
        context->out() << view.Update(message, absl::Now()) << std::flush;
      }
      // Samples of a job that has ended may still follow: the stream ends after the last.
      return show || !IsTerminal(last.state());
    });
    if (IsTerminal(last.state()) && (status.ok() || !show)) {
      return last;
    }
    if (absl::IsCancelled(status)) {
      return Detached(context, resource);
    }
    if (absl::IsDeadlineExceeded(status)) {
      return Error(absl::StatusCode::kDeadlineExceeded, "WAIT_TIMED_OUT", "--timeout",
                   absl::StrCat("job ", ShortJobName(resource, context->ns()), " is ", StateText(last),
                                " after ", absl::FormatDuration(context->timeout())),
                   "the job goes on; wait longer with --timeout");
    }
    if (!status.ok() && !absl::IsUnavailable(status)) {
      return status;
    }
    // Ended before the job: the coordinator restarts. A plain call waits for it, with its own retries.
    const auto job = client->GetJob(name_only);
    if (absl::IsCancelled(job.status())) {
      return Detached(context, resource);
    }
    RETURN_IF_ERROR(job.status());
    if (++empty_streams > kMostEmptyStreams) {
      return absl::InternalError("the coordinator ends the watch again and again");
    }
  }
}

absl::Status FollowWorker(Context* context, v1::Worker* worker) {
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  const InterruptScope interrupt([client] { client->Interrupt(); });
  const absl::Time deadline = context->WaitDeadline();
  v1::GetWorkerRequest again;
  again.set_name(worker->name());
  v1::WatchJobRequest request;
  request.set_after_step(-1);
  for (int empty_streams = 0; !JobOn(*worker).empty(); ++empty_streams) {
    if (empty_streams > kMostEmptyStreams) {
      return absl::InternalError("the coordinator ends the watch again and again");
    }
    // A watch begins with the job as it is: what has happened since the worker was read is not missed.
    request.set_name(JobOn(*worker));
    absl::Status status = client->WatchJob(request, deadline, [&](const v1::WatchJobResponse& message) {
      empty_streams = 0;
      return IsOn(message.job(), worker->name());
    });
    if (absl::IsCancelled(status)) {
      return Detached(*worker);
    }
    if (absl::IsDeadlineExceeded(status)) {
      return Error(
          absl::StatusCode::kDeadlineExceeded, "WAIT_TIMED_OUT", "--timeout",
          absl::StrCat("worker ", worker->name(), " still holds job ",
                       ShortJobName(request.name(), context->ns()), " after ",
                       absl::FormatDuration(context->timeout())),
          absl::StrCat("it stays ", v1::Worker::State_Name(worker->state()), "; wait longer with --timeout"));
    }
    // A job that is gone holds no slot.
    if (!status.ok() && !absl::IsUnavailable(status) && !absl::IsNotFound(status)) {
      return status;
    }
    absl::StatusOr<v1::Worker> now = client->GetWorker(again);
    if (absl::IsCancelled(now.status())) {
      return Detached(*worker);
    }
    RETURN_IF_ERROR(now.status());
    *worker = *std::move(now);
  }
  return absl::OkStatus();
}

absl::Status FollowEvents(Context* context, Client* client, v1::WatchEventsRequest request,
                          const std::function<absl::Status(const v1::Event&)>& show) {
  const InterruptScope interrupt([client] { client->Interrupt(); });
  const absl::Time deadline = context->WaitDeadline();
  for (int empty_streams = 0; empty_streams <= kMostEmptyStreams; ++empty_streams) {
    absl::Status shown;
    absl::Status status = client->WatchEvents(request, deadline, [&](const v1::Event& event) {
      empty_streams = 0;
      request.set_after_sequence(event.sequence());
      shown = show(event);
      return shown.ok();
    });
    if (shown.ok() && absl::IsUnavailable(status)) {
      // The coordinator restarts. A plain call waits for it, with its own retries.
      shown = client->GetServerInfo({}).status();
      status = absl::OkStatus();
      if (shown.ok()) {
        continue;
      }
    }
    const absl::Status& end = shown.ok() ? status : shown;
    return absl::IsCancelled(end) || absl::IsDeadlineExceeded(status) ? absl::OkStatus() : end;
  }
  return absl::InternalError("the coordinator ends the watch again and again");
}

absl::Status ReportOutcome(Context* context, const v1::Job& job) {
  const std::string name = ShortJobName(job.name(), context->ns());
  switch (job.state()) {
    case v1::Job::SUCCEEDED:
      return absl::OkStatus();
    case v1::Job::CANCELLED:
      context->set_exit_code(kExitCancelled);
      break;
    default:
      context->set_exit_code(kExitJobFailed);
  }
  const std::string why = job.failure().message().empty() ? job.reason() : job.failure().message();
  context->err() << "job " << name << " " << v1::Job::State_Name(job.state()) << (why.empty() ? "" : ": ")
                 << why << std::endl;
  return absl::OkStatus();
}

}  // namespace cherry::client
