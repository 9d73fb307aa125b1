#include "worker/agent/exit_cause.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "common/exit_codes.h"

namespace cherry::worker {
namespace {

using ::testing::HasSubstr;

RankEnd Code(int code) {
  RankEnd end;
  end.exit.code = code;
  return end;
}

RankEnd Signal(int signal) {
  RankEnd end;
  end.exit.signalled = true;
  end.exit.signal = signal;
  return end;
}

RankEnd Finished(RankEnd end, v1::Cause cause, const std::string& message = "") {
  end.finished.emplace();
  end.finished->set_cause(cause);
  end.finished->set_message(message);
  return end;
}

TEST(ExitCauseTest, EveryExitCodeHasItsCause) {
  const std::pair<int, v1::Cause> table[] = {{kExitUser, v1::CAUSE_USER},
                                             {kExitOutOfMemory, v1::CAUSE_OUT_OF_MEMORY},
                                             {kExitHardware, v1::CAUSE_HARDWARE},
                                             {kExitPeerLost, v1::CAUSE_PLATFORM},
                                             {kExitIo, v1::CAUSE_USER},
                                             {kExitResume, v1::CAUSE_STOPPED},
                                             {1, v1::CAUSE_USER},
                                             {kExitDone, v1::CAUSE_PLATFORM}};
  for (const auto& [code, cause] : table) {
    const v1::Failure failure = ClassifyEnd(Code(code));
    EXPECT_EQ(failure.cause(), cause) << code;
    EXPECT_EQ(failure.exit_code(), code);
    EXPECT_FALSE(failure.message().empty()) << code;
  }
}

TEST(ExitCauseTest, SuccessNeedsTheWordAndTheCode) {
  EXPECT_EQ(ClassifyEnd(Finished(Code(0), v1::CAUSE_SUCCEEDED)).cause(), v1::CAUSE_SUCCEEDED);
  EXPECT_EQ(ClassifyEnd(Code(0)).cause(), v1::CAUSE_PLATFORM);
}

TEST(ExitCauseTest, TellsTheTrainersMessageElseTheLastErrorLine) {
  RankEnd end = Code(kExitUser);
  end.exit.last_error = "error: loss is not finite";
  EXPECT_THAT(ClassifyEnd(end).message(), HasSubstr("loss is not finite"));
  EXPECT_EQ(ClassifyEnd(Finished(end, v1::CAUSE_USER, "step 3: loss is nan")).message(),
            "step 3: loss is nan");
}

TEST(ExitCauseTest, PeerLossIsNamed) {
  EXPECT_THAT(ClassifyEnd(Code(kExitPeerLost)).message(), HasSubstr("peer lost"));
}

TEST(ExitCauseTest, KillFromOutsideIsOutOfMemoryOnlyWithEvidence) {
  EXPECT_EQ(ClassifyEnd(Signal(SIGKILL)).cause(), v1::CAUSE_PLATFORM);
  RankEnd end = Signal(SIGKILL);
  end.exit.oom_evidence = true;
  EXPECT_EQ(ClassifyEnd(end).cause(), v1::CAUSE_OUT_OF_MEMORY);
}

TEST(ExitCauseTest, CrashIsTheJobsFaultAndNamesItsSignal) {
  const v1::Failure failure = ClassifyEnd(Signal(SIGSEGV));
  EXPECT_EQ(failure.cause(), v1::CAUSE_USER);
  EXPECT_EQ(failure.signal(), SIGSEGV);
  EXPECT_THAT(failure.message(), HasSubstr("SIGSEGV"));
}

TEST(ExitCauseTest, OurKillsCarryTheirReason) {
  const std::pair<EndReason, v1::Cause> table[] = {
      {EndReason::kStop, v1::CAUSE_STOPPED},       {EndReason::kStale, v1::CAUSE_STOPPED},
      {EndReason::kShutdown, v1::CAUSE_PREEMPTED}, {EndReason::kHang, v1::CAUSE_HANG},
      {EndReason::kPeer, v1::CAUSE_PLATFORM},      {EndReason::kOffline, v1::CAUSE_PLATFORM},
      {EndReason::kProtocol, v1::CAUSE_PLATFORM}};
  for (const auto& [reason, cause] : table) {
    RankEnd end = Signal(SIGKILL);
    end.killed = reason;
    end.detail = "why";
    EXPECT_EQ(ClassifyEnd(end).cause(), cause) << static_cast<int>(reason);
    EXPECT_EQ(ClassifyEnd(end).message(), "why");
  }
}

TEST(ExitCauseTest, EndBeforeOurKillArrivedKeepsItsOwnCause) {
  RankEnd end = Code(kExitUser);
  end.killed = EndReason::kStop;
  EXPECT_EQ(ClassifyEnd(end).cause(), v1::CAUSE_USER);
}

TEST(ExitCauseTest, FinishedWorkOutlivesACrashOnTheWayOut) {
  EXPECT_EQ(ClassifyEnd(Finished(Signal(SIGSEGV), v1::CAUSE_SUCCEEDED)).cause(), v1::CAUSE_SUCCEEDED);
}

TEST(ExitCauseTest, ProgramThatCannotStartIsThePlatforms) {
  RankEnd end;
  end.exit.start_error = "/x/cherry-trainer: No such file or directory";
  EXPECT_EQ(ClassifyEnd(end).cause(), v1::CAUSE_PLATFORM);
  EXPECT_THAT(ClassifyEnd(end).message(), HasSubstr("/x/cherry-trainer"));
}

}  // namespace
}  // namespace cherry::worker
