#include "client/cli/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <iostream>

#include "tests/unit/client/cli/app_fixture.h"

namespace cherry::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST_F(AppTest, SubmitSendsTheSpecWithDefaultsOfTheCommandLine) {
  ASSERT_EQ(Run({"submit", JobFile(), "--set", "train.steps=7", "-n", "team-a"}), 0) << err_;
  ASSERT_THAT(cluster_.submitted, SizeIs(1));
  EXPECT_EQ(cluster_.submitted[0].spec().namespace_(), "team-a");
  EXPECT_EQ(cluster_.submitted[0].spec().train().steps(), 7);
  EXPECT_THAT(cluster_.submitted[0].request_id(), SizeIs(36));
  EXPECT_FALSE(cluster_.submitted[0].validate_only());
  EXPECT_EQ(out_, "job ko-base  pretrain  1.4M parameters  2 ranks\n");
}

TEST_F(AppTest, WhereOneOfSeveralFilesIsRefusedNoneIsSubmitted) {
  Write("second.yaml", "kind: pretrain\nname: second\ndata: {train: ko/train, valid: ko/valid}\n");
  const std::vector<std::string> submit = {"submit", directory_ + "/job.yaml", directory_ + "/second.yaml"};
  cluster_.refused_name = "second";
  EXPECT_NE(Run(submit), 0);
  for (const v1::SubmitJobRequest& request : cluster_.submitted) {
    EXPECT_TRUE(request.validate_only()) << request.spec().name();
  }
  cluster_.refused_name.clear();
  cluster_.submitted.clear();
  EXPECT_EQ(Run(submit), 0);
  ASSERT_THAT(cluster_.submitted, SizeIs(4));
  EXPECT_FALSE(cluster_.submitted[2].validate_only());
  EXPECT_FALSE(cluster_.submitted[3].validate_only());
}

TEST_F(AppTest, SubmitTakesAFileAfterARepeatedOption) {
  ASSERT_EQ(Run({"submit", "--set", "train.steps=7", "--set", "train.seed=2", JobFile()}), 0) << err_;
  EXPECT_EQ(cluster_.submitted.at(0).spec().train().seed(), 2);
}

TEST_F(AppTest, SubmitSendsAFileOfSeveralJobsAsAPipelineNamedByTheFile) {
  const std::string file = Write("two.yaml", "kind: pretrain\nname: a\n---\nkind: sgt\nname: b\n");
  ASSERT_EQ(Run({"submit", file}), 0) << err_;
  ASSERT_THAT(cluster_.pipelines, SizeIs(1));
  EXPECT_EQ(cluster_.pipelines[0].name(), "two");
  EXPECT_EQ(cluster_.pipelines[0].jobs_size(), 2);
}

TEST_F(AppTest, SubmitReadsAllFilesBeforeItSendsOne) {
  const std::string bad = Write("bad.yaml", "kind: pretrain\ntrian: {}\n");
  EXPECT_EQ(Run({"submit", JobFile(), bad}), 2);
  EXPECT_THAT(cluster_.submitted, IsEmpty());
  EXPECT_THAT(err_, AllOf(StartsWith("error: "), HasSubstr("bad.yaml:2: trian: unknown key"),
                          HasSubstr("use train")));
}

TEST_F(AppTest, DryRunPrintsThePlanAndChangesNothing) {
  ASSERT_EQ(Run({"submit", JobFile(), "--dry-run"}), 0) << err_;
  EXPECT_TRUE(cluster_.submitted.at(0).validate_only());
  EXPECT_THAT(out_,
              AllOf(HasSubstr("parameters   1.4M (1437696)"), HasSubstr("memory"), HasSubstr("checkpoint")));
}

TEST_F(AppTest, SubmitNamesTheFileInTheCoordinatorsRefusal) {
  cluster_.failure =
      InvalidField("BATCH_NOT_DIVISIBLE", "train.global_batch_size",
                   "train.global_batch_size: 10 is not a multiple of micro_batch_size * ranks = 8",
                   "use 8 or 16, or change train.micro_batch_size");
  EXPECT_EQ(Run({"submit", JobFile()}), 2);
  std::string line = err_;
  line.erase(std::remove(line.begin(), line.end(), '\n'), line.end());
  EXPECT_THAT(line,
              AllOf(HasSubstr("job.yaml: train.global_batch_size: 10 is not"), HasSubstr("8: use 8 or 16")));
  EXPECT_LE(std::count(err_.begin(), err_.end(), '\n'), 3);
}

TEST_F(AppTest, ErrorsTakeThreeLinesAtMost) {
  cluster_.failure =
      InvalidField("X", "y", std::string(400, 'a') + " " + std::string(300, 'b'), "do\nsomething else");
  EXPECT_EQ(Run({"get", "jobs"}), 2);
  EXPECT_LE(std::count(err_.begin(), err_.end(), '\n'), 3);
}

struct CodeCase {
  absl::StatusCode code;
  int exit;
};

TEST_F(AppTest, ExitCodesFollowTheKindOfError) {
  for (const CodeCase& one : std::vector<CodeCase>{{absl::StatusCode::kInvalidArgument, 2},
                                                   {absl::StatusCode::kFailedPrecondition, 2},
                                                   {absl::StatusCode::kAlreadyExists, 2},
                                                   {absl::StatusCode::kUnavailable, 3},
                                                   {absl::StatusCode::kNotFound, 4},
                                                   {absl::StatusCode::kPermissionDenied, 5},
                                                   {absl::StatusCode::kUnauthenticated, 5},
                                                   {absl::StatusCode::kResourceExhausted, 5},
                                                   {absl::StatusCode::kDeadlineExceeded, 6},
                                                   {absl::StatusCode::kCancelled, 7},
                                                   {absl::StatusCode::kInternal, 1}}) {
    cluster_.failure = absl::Status(one.code, "what");
    EXPECT_EQ(Run({"get", "jobs"}), one.exit) << one.code;
    EXPECT_THAT(err_, StartsWith("error: what")) << one.code;
    EXPECT_THAT(out_, IsEmpty());
  }
}

TEST_F(AppTest, WaitEndsWithTheJobsOutcome) {
  for (const auto& [state, exit] : std::vector<std::pair<v1::Job::State, int>>{
           {v1::Job::SUCCEEDED, 0}, {v1::Job::FAILED, 1}, {v1::Job::CANCELLED, 7}}) {
    v1::Job job = AddJob("ko-base", state);
    job.mutable_failure()->set_message("rank 1: train.bin is too short");
    cluster_.watches = {{{Message(job)}, absl::OkStatus()}};
    cluster_.watched.clear();
    EXPECT_EQ(Run({"submit", JobFile(), "--wait"}), exit) << err_;
    if (state == v1::Job::FAILED) {
      EXPECT_EQ(err_, "job ko-base FAILED: rank 1: train.bin is too short\n");
    }
  }
}

TEST_F(AppTest, WaitLivesThroughARestartOfTheCoordinator) {
  v1::Job job = AddJob("ko-base", v1::Job::RUNNING);
  v1::WatchJobResponse first = Message(job);
  first.add_samples()->set_step(120);
  job.set_state(v1::Job::SUCCEEDED);
  cluster_.watches = {
      {{first}, absl::UnavailableError("gone")}, {{}, absl::OkStatus()}, {{Message(job)}, absl::OkStatus()}};
  EXPECT_EQ(Run({"submit", JobFile(), "--watch"}), 0) << err_;
  ASSERT_THAT(cluster_.watched, SizeIs(3));
  EXPECT_EQ(cluster_.watched[0].after_step(), 0);
  EXPECT_EQ(cluster_.watched[2].after_step(), 0);  // A series may have been behind.
}

TEST_F(AppTest, WatchShowsEverySampleOfAJobThatHasEnded) {
  v1::Job job = AddJob("ko-base", v1::Job::SUCCEEDED);
  v1::WatchJobResponse first = Message(job), second = Message(job);
  for (int step = 0; step < 40; ++step) {
    v1::MetricSample* const sample = (step < 20 ? first : second).add_samples();
    sample->set_name("loss/train");
    sample->set_step(step);
    sample->set_value(step < 20 ? 8.0 : 1.25);
  }
  // The stream breaks between the two, and begins again.
  cluster_.watches = {{{first}, absl::UnavailableError("gone")}, {{first, second}, absl::OkStatus()}};
  EXPECT_EQ(Run({"watch", "ko-base"}, true), 0) << err_;
  EXPECT_THAT(cluster_.watched, SizeIs(2));
  EXPECT_THAT(out_, HasSubstr("1.25"));
}

TEST_F(AppTest, WaitThatIsInterruptedSaysThatTheJobGoesOn) {
  AddJob("ko-base", v1::Job::RUNNING);
  cluster_.watches = {{{}, absl::CancelledError("interrupted")}};
  EXPECT_EQ(Run({"submit", JobFile(), "--wait"}), 7);
  EXPECT_THAT(err_, StartsWith("detached: job ko-base goes on"));
  cluster_.watched.clear();
  EXPECT_EQ(Run({"watch", "ko-base"}), 0);
  EXPECT_THAT(err_, StartsWith("detached: job ko-base goes on"));
}

TEST_F(AppTest, WaitThatTimesOutSaysInWhichState) {
  const v1::Job job = AddJob("ko-base", v1::Job::PENDING);
  cluster_.watches = {{{Message(job)}, absl::DeadlineExceededError("late")}};
  EXPECT_EQ(Run({"submit", JobFile(), "--wait", "--timeout", "5s"}), 6);
  EXPECT_THAT(err_, HasSubstr("job ko-base is PENDING after 5s"));
}

TEST_F(AppTest, WatchWritesPlainLinesWhereThereIsNoTerminal) {
  v1::Job job = AddJob("ko-base", v1::Job::RUNNING);
  job.mutable_progress()->set_valid_loss(4.77);
  job.mutable_progress()->set_tokens_per_second(15900);
  job.mutable_progress()->mutable_eta()->set_seconds(38);
  const v1::WatchJobResponse running = Message(job);
  job.set_state(v1::Job::SUCCEEDED);
  cluster_.watches = {{{running, running, Message(job)}, absl::OkStatus()}};
  EXPECT_EQ(Run({"watch", "ko-base"}), 0);
  EXPECT_EQ(out_,
            "job ko-base  pretrain  2 ranks\n"
            "step  120/300  loss 4.81  valid 4.77  15.9k tok/s  eta 0:38\n"
            "SUCCEEDED  step  120/300  loss 4.81  valid 4.77\n");
}

TEST_F(AppTest, WatchRedrawsOnATerminalWithBarAndPlot) {
  v1::Job job = AddJob("ko-base", v1::Job::RUNNING);
  v1::WatchJobResponse running = Message(job);
  for (int step = 0; step < 50; ++step) {
    v1::MetricSample* const sample = running.add_samples();
    sample->set_name("loss/train");
    sample->set_step(step);
    sample->set_value(8.0 - 0.05 * step);
  }
  job.set_state(v1::Job::SUCCEEDED);
  cluster_.watches = {{{running, Message(job)}, absl::OkStatus()}};
  EXPECT_EQ(Run({"watch", "ko-base"}, true), 0);
  EXPECT_THAT(out_,
              AllOf(HasSubstr("███"), HasSubstr("loss/train"), HasSubstr("\x1b["), HasSubstr("SUCCEEDED")));
}

TEST_F(AppTest, FlagsMayStandBeforeAndAfterTheCommand) {
  EXPECT_EQ(Run({"--coordinator", "127.0.0.1:9000", "get", "jobs", "--timeout", "2s", "-o", "name"}), 0)
      << err_;
  EXPECT_EQ(cluster_.options.address, "127.0.0.1:9000");
  EXPECT_EQ(cluster_.options.timeout, absl::Seconds(2));
  EXPECT_EQ(cluster_.options.token_file, directory_ + "/token");
  EXPECT_FALSE(cluster_.options.token_required);
}

TEST_F(AppTest, TheCoordinatorComesFromTheFlagThenTheEnvironmentThenTheHome) {
  EXPECT_EQ(Run({"get", "jobs"}), 0);
  EXPECT_EQ(cluster_.options.address, "127.0.0.1:7070");
  Write("local.address", "127.0.0.1:7170\n");
  EXPECT_EQ(Run({"get", "jobs"}), 0);
  EXPECT_EQ(cluster_.options.address, "127.0.0.1:7170");
  setenv("CHERRY_COORDINATOR", "127.0.0.1:7270", 1);
  EXPECT_EQ(Run({"get", "jobs"}), 0);
  EXPECT_EQ(cluster_.options.address, "127.0.0.1:7270");
  unsetenv("CHERRY_COORDINATOR");
}

TEST_F(AppTest, TheTokenOfThisMachineStaysOnIt) {
  EXPECT_EQ(
      Run({"get", "jobs", "--coordinator", "far:7070", "--tls-ca", "c", "--tls-cert", "d", "--tls-key", "e"}),
      0);
  EXPECT_EQ(cluster_.options.token_file, "");
}

TEST_F(AppTest, RefusesBadFlagsByName) {
  for (const auto& [args, text] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"get", "jobs", "--timeout", "soon"}, "--timeout: 'soon'"},
           {{"get", "jobs", "--timeout", "0s"}, "--timeout: 0s"},
           {{"get", "jobs", "--coordinator", "nowhere"}, "--coordinator: 'nowhere' is not HOST:PORT"},
           {{"get", "jobs", "-n", "Team"}, "--namespace: 'Team'"},
           {{"get", "jbos"}, "use jobs"},
           {{"cancel", "Ko_Base"}, "name: 'Ko_Base'"},
           {{"sbumit", "a.yaml"}, "use `cherry submit`"},
           {{"local", "strat"}, "use `cherry local start`"},
           {{"submit", "a.yaml", "--wathc"}, "use --watch"},
           {{"submit"}, "FILE"},
           {{"submit", "/absent.yaml"}, "/absent.yaml"},
           {{"cancel", "a", "b", "--request-id", "1"}, "one job"},
           {{"completion", "fish"}, "use bash or zsh"},
           {{}, "cherry --help"}}) {
    EXPECT_EQ(Run(args), 2) << text;
    EXPECT_THAT(err_, AllOf(StartsWith("error: "), HasSubstr(text)));
    EXPECT_THAT(out_, IsEmpty());
  }
}

void EachCommand(const CLI::App& app, const std::function<void(const CLI::App&)>& visit) {
  for (const CLI::App* const command : app.get_subcommands([](const CLI::App*) { return true; })) {
    visit(*command);
    EachCommand(*command, visit);
  }
}

TEST_F(AppTest, EveryCommandsHelpHasAnExample) {
  Context context(&std::cout, &std::cerr, false);
  CLI::App app;
  BuildApp(app, &context, {});
  int commands = 0;
  EachCommand(app, [&](const CLI::App& command) {
    ++commands;
    const std::string help = command.help();
    const size_t example = help.find("Example:\n  ");
    ASSERT_NE(example, std::string::npos) << command.get_name();
    EXPECT_THAT(help.substr(example), HasSubstr("cherry "));
    EXPECT_THAT(command.get_description(), Not(IsEmpty())) << command.get_name();
  });
  EXPECT_GE(commands, 20);
  EXPECT_EQ(Run({"submit", "--help"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("Example:"), HasSubstr("--dry-run")));
}

TEST_F(AppTest, VersionOfBothSides) {
  EXPECT_EQ(Run({"version", "--server"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("cherry 0.1.0"), HasSubstr("9.9.9")));
  EXPECT_EQ(Run({"--version"}), 0);
}

}  // namespace
}  // namespace cherry::client
