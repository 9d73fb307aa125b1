// Jobs, attempts and events as the commands show them.
//
// Pure functions, thread-safe.
#ifndef CHERRY_CLIENT_CLI_JOB_TEXT_H_
#define CHERRY_CLIENT_CLI_JOB_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cherry/v1/coordinator.pb.h"

namespace cherry::client {

bool IsTerminal(v1::Job::State state);

// "RUNNING"; "RUNNING, cancelling" while it is asked to stop.
std::string StateText(const v1::Job& job);
// "pretrain"
std::string KindText(const v1::JobSpec& spec);
// "2", "1-4" before it is known.
std::string RanksText(const v1::Job& job);
// "120/300", "-" before the first attempt.
std::string StepText(const v1::Job& job);
// The first reason it waits for, else its own; empty when it has succeeded.
std::string ReasonText(const v1::Job& job);
// "hang"; "" for none.
std::string CauseText(v1::Cause cause);
// "capacity"
std::string TierText(v1::PendingReason::Tier tier);
// "job ko-base  pretrain  1.4M parameters  2 ranks"
std::string HeadLine(const v1::Job& job, absl::string_view ns);

// The steps, losses, speed and time left of a running job; state and reason of any other. `bar_width` 0: no
// bar.
std::string ProgressLine(const v1::Job& job, int bar_width);

// One line each, in columns, oldest first.
std::string EventLines(const std::vector<v1::Event>& events, absl::string_view ns, bool headers);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_JOB_TEXT_H_
