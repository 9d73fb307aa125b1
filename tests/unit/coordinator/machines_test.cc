#include "coordinator/core/machines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>

#include "common/file.h"

namespace cherry::coordinator {
namespace {

using ::testing::HasSubstr;

constexpr JobEvent kJobEvents[] = {JobEvent::kPlaced,   JobEvent::kFirstStep, JobEvent::kSucceeded,
                                   JobEvent::kFailed,   JobEvent::kCancelled, JobEvent::kPaused,
                                   JobEvent::kRequeued, JobEvent::kBackedOff, JobEvent::kBackoffOver,
                                   JobEvent::kResumed};
constexpr AttemptEvent kAttemptEvents[] = {AttemptEvent::kFirstStep, AttemptEvent::kStop,
                                           AttemptEvent::kReaped};

// The legal table once more, by hand: state by event, '.' where nothing may happen.
TEST(JobMachine, EveryStateMeetsEveryEvent) {
  struct Row {
    v1::Job::State from;
    const char* to;  // One letter for each of kJobEvents.
  };
  // P ending, S tarting, R unning, A paused, B ackoff, U succeeded, F ailed, C ancelled.
  const Row rows[] = {
      {v1::Job::PENDING, "S..FCA...."},
      {v1::Job::STARTING, ".RUFCAPB.."},
      {v1::Job::RUNNING, "..UFCAPB.."},
      {v1::Job::PAUSED, "...FC....P"},
      {v1::Job::BACKOFF, "....CA..P."},
      {v1::Job::SUCCEEDED, ".........."},
      {v1::Job::FAILED, ".........."},
      {v1::Job::CANCELLED, ".........."},
      {v1::Job::STATE_UNSPECIFIED, ".........."},
  };
  const std::string letters = "?PSRABUFC";  // By number of state.
  for (const Row& row : rows) {
    for (size_t i = 0; i < std::size(kJobEvents); ++i) {
      const auto next = Next(row.from, kJobEvents[i]);
      const char letter = next.has_value() ? letters[*next] : '.';
      EXPECT_EQ(letter, row.to[i]) << v1::Job::State_Name(row.from) << " on " << EventName(kJobEvents[i]);
    }
  }
}

TEST(AttemptMachine, EveryStateMeetsEveryEvent) {
  using v1::Attempt;
  const auto next = [](Attempt::State from, AttemptEvent event) {
    return Next(from, event).value_or(Attempt::STATE_UNSPECIFIED);
  };
  const Attempt::State expected[5][3] = {
      {Attempt::STATE_UNSPECIFIED, Attempt::STATE_UNSPECIFIED, Attempt::STATE_UNSPECIFIED},
      {Attempt::RUNNING, Attempt::STOPPING, Attempt::ENDED},
      {Attempt::STATE_UNSPECIFIED, Attempt::STOPPING, Attempt::ENDED},
      {Attempt::STATE_UNSPECIFIED, Attempt::STOPPING, Attempt::ENDED},
      {Attempt::STATE_UNSPECIFIED, Attempt::STATE_UNSPECIFIED, Attempt::STATE_UNSPECIFIED},
  };
  for (int from = 0; from < 5; ++from) {
    for (int event = 0; event < 3; ++event) {
      EXPECT_EQ(next(static_cast<Attempt::State>(from), kAttemptEvents[event]), expected[from][event])
          << from << " on " << EventName(kAttemptEvents[event]);
    }
  }
}

TEST(JobMachine, TerminalStatesHaveNoWayOut) {
  for (const JobTransition& row : JobTable()) {
    EXPECT_FALSE(IsTerminal(row.from)) << v1::Job::State_Name(row.from);
  }
}

TEST(JobMachine, NoRowIsGivenTwice) {
  std::set<std::pair<int, int>> seen;
  for (const JobTransition& row : JobTable()) {
    EXPECT_TRUE(seen.insert({row.from, static_cast<int>(row.event)}).second);
  }
}

TEST(Machines, PrintsItsTablesForTheDocumentation) {
  const std::string text = TablesAsMarkdown();
  EXPECT_THAT(text, HasSubstr("| PENDING | placed | STARTING |"));
  EXPECT_THAT(text, HasSubstr("| STOPPING | reaped | ENDED |"));
}

TEST(Machines, TheDocumentationShowsTheTablesAsTheyAre) {
  const char* source = std::getenv("CHERRY_SOURCE");
  ASSERT_NE(source, nullptr) << "run by ctest, or set CHERRY_SOURCE";
  const absl::StatusOr<std::string> page = ReadFile(std::string(source) + "/docs/states.md");
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(*page, HasSubstr(TablesAsMarkdown()));
}

}  // namespace
}  // namespace cherry::coordinator
