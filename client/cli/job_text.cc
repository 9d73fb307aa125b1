#include "client/cli/job_text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "client/cli/output.h"
#include "client/cli/plot.h"

namespace cherry::client {
namespace {

const v1::JobSpec& SpecOf(const v1::Job& job) { return job.has_resolved() ? job.resolved() : job.spec(); }

int64_t TotalSteps(const v1::Job& job) {
  return job.progress().total_steps() > 0 ? job.progress().total_steps() : SpecOf(job).train().steps();
}

}  // namespace

bool IsTerminal(v1::Job::State state) {
  return state == v1::Job::SUCCEEDED || state == v1::Job::FAILED || state == v1::Job::CANCELLED;
}

std::string StateText(const v1::Job& job) {
  std::string state = v1::Job::State_Name(job.state());
  if (IsTerminal(job.state()) || job.state() == v1::Job::PAUSED) {
    return state;
  }
  switch (job.intent()) {
    case v1::Job::CANCEL:
      return state + ", cancelling";
    case v1::Job::PAUSE:
      return state + ", pausing";
    default:
      return state;
  }
}

std::string KindText(const v1::JobSpec& spec) {
  return absl::AsciiStrToLower(v1::JobSpec::Kind_Name(spec.kind()));
}

std::string RanksText(const v1::Job& job) {
  if (job.plan().ranks() > 0) {
    return absl::StrCat(job.plan().ranks());
  }
  const v1::RankRange& range = SpecOf(job).resources().ranks();
  if (range.min() == range.max()) {
    return absl::StrCat(std::max(1, range.min()));
  }
  return absl::StrCat(range.min(), "-", range.max());
}

std::string StepText(const v1::Job& job) {
  if (!job.has_progress() || (job.progress().step() == 0 && job.epoch() == 0)) {
    return "-";
  }
  return absl::StrCat(job.progress().step(), "/", TotalSteps(job));
}

std::string ReasonText(const v1::Job& job) {
  if (job.state() == v1::Job::PENDING && job.pending_size() > 0) {
    return job.pending(0).message();
  }
  // Success needs no reason.
  if (job.state() == v1::Job::SUCCEEDED) {
    return "";
  }
  if (!job.reason().empty()) {
    return job.reason();
  }
  return job.failure().message();
}

std::string CauseText(v1::Cause cause) {
  if (cause == v1::CAUSE_UNSPECIFIED) {
    return "";
  }
  // "CAUSE_OUT_OF_MEMORY"
  return absl::StrReplaceAll(absl::AsciiStrToLower(v1::Cause_Name(cause).substr(6)), {{"_", " "}});
}

std::string TierText(v1::PendingReason::Tier tier) {
  return absl::AsciiStrToLower(v1::PendingReason::Tier_Name(tier));
}

std::string HeadLine(const v1::Job& job, absl::string_view ns) {
  const std::string ranks = RanksText(job);
  std::string line = absl::StrCat("job ", ShortJobName(job.name(), ns), "  ", KindText(SpecOf(job)));
  if (job.plan().parameters() > 0) {
    absl::StrAppend(&line, "  ", CountText(static_cast<double>(job.plan().parameters())), " parameters");
  }
  return absl::StrCat(line, "  ", ranks, ranks == "1" ? " rank" : " ranks");
}

std::string ProgressLine(const v1::Job& job, int bar_width) {
  const v1::Progress& progress = job.progress();
  const bool running = job.state() == v1::Job::RUNNING;
  std::string line;
  if (!running || job.intent() != v1::Job::RUN) {
    absl::StrAppend(&line, StateText(job), "  ");
  }
  if (progress.step() > 0) {
    const std::string total = absl::StrCat(TotalSteps(job));
    absl::StrAppendFormat(&line, "step %*d/%s", static_cast<int>(total.size() + 1), progress.step(), total);
    if (bar_width > 0 && TotalSteps(job) > 0) {
      absl::StrAppend(
          &line, " ",
          Bar(static_cast<double>(progress.step()) / static_cast<double>(TotalSteps(job)), bar_width));
    }
    if (progress.has_loss()) {
      absl::StrAppend(&line, "  loss ", LossText(progress.loss()));
    }
    if (progress.has_valid_loss()) {
      absl::StrAppend(&line, "  valid ", LossText(progress.valid_loss()));
    }
  }
  if (running && progress.tokens_per_second() > 0) {
    absl::StrAppend(&line, "  ", CountText(progress.tokens_per_second()), " tok/s");
  }
  if (running && progress.has_eta()) {
    absl::StrAppend(&line, "  eta ", ClockText(ToDuration(progress.eta())));
  }
  if (IsTerminal(job.state()) && job.has_start_time() && job.has_end_time()) {
    absl::StrAppend(&line, "  in ", ClockText(ToTime(job.end_time()) - ToTime(job.start_time())));
  }
  if (!running && !ReasonText(job).empty()) {
    absl::StrAppend(&line, "  ", ReasonText(job));
  }
  return std::string(absl::StripAsciiWhitespace(line));
}

std::string EventLines(const std::vector<v1::Event>& events, absl::string_view ns, bool headers) {
  Table table({"TIME", "SUBJECT", "TYPE", "STATE", "CAUSE", "ACTOR", "MESSAGE"});
  for (const v1::Event& event : events) {
    std::string state = event.to_state();
    if (!event.from_state().empty() && !state.empty() && event.from_state() != state) {
      state = absl::StrCat(event.from_state(), " -> ", state);
    }
    table.Row({TimeText(event.time()), ShortJobName(event.subject(), ns), event.type(), state,
               CauseText(event.cause()), event.actor(), event.message()});
  }
  return table.Render(headers);
}

}  // namespace cherry::client
