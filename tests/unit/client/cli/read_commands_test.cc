// The commands that show or change single jobs and workers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/client/cli/app_fixture.h"

namespace cherry::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(AppTest, GetJobsPrintsATableOfAllPages) {
  AddJob("ko-base", v1::Job::RUNNING);
  v1::Job& big = AddJob("big", v1::Job::PENDING);
  big.clear_progress();
  big.add_pending()->set_message("needs 16 slots, the cluster has 2");
  EXPECT_EQ(Run({"get", "jobs"}), 0);
  EXPECT_THAT(out_, StartsWith("NAME     KIND      STATE    RANKS  STEP     LOSS  AGE  REASON\n"
                               "ko-base  pretrain  RUNNING  2      120/300  4.81"));
  EXPECT_THAT(out_, HasSubstr("big      pretrain  PENDING  2      -        -     -    needs 16 slots"));
  EXPECT_EQ(cluster_.listed.at(0).namespace_(), "");
}

TEST_F(AppTest, GetTakesFilters) {
  EXPECT_EQ(Run({"get", "jobs", "-n", "a", "-l", "team=ko,tier=1", "--state", "running,pending"}), 0);
  const v1::ListJobsRequest& request = cluster_.listed.at(0);
  EXPECT_EQ(request.namespace_(), "a");
  EXPECT_EQ(request.labels().at("tier"), "1");
  EXPECT_EQ(request.states_size(), 2);
  EXPECT_EQ(Run({"get", "jobs", "--state", "runing"}), 2);
  EXPECT_EQ(Run({"get", "jobs", "-l", "team"}), 2);
}

TEST_F(AppTest, EveryOutputFormatOfAList) {
  AddJob("ko-base", v1::Job::RUNNING);
  EXPECT_EQ(Run({"get", "jobs", "-o", "name"}), 0);
  EXPECT_EQ(out_, "ko-base\n");
  EXPECT_EQ(Run({"get", "jobs", "-o", "json"}), 0);
  const auto json = nlohmann::json::parse(out_);
  EXPECT_EQ(json["items"][0]["progress"]["total_steps"], "300");
  EXPECT_EQ(json["items"][0]["state"], "RUNNING");
  EXPECT_EQ(Run({"get", "jobs", "-o", "yaml"}), 0);
  EXPECT_THAT(
      out_,
      StartsWith("items:\n  - name: namespaces/default/jobs/ko-base\n    spec:\n      kind: PRETRAIN\n"));
  EXPECT_THAT(out_, HasSubstr("total_steps: \"300\""));
  EXPECT_EQ(Run({"get", "jobs", "-o", "wide"}), 0);
  EXPECT_THAT(out_, HasSubstr("PRIORITY"));
  EXPECT_EQ(Run({"get", "job", "ko-base", "-o", "json"}), 0);
  EXPECT_EQ(nlohmann::json::parse(out_)["name"], "namespaces/default/jobs/ko-base");
  EXPECT_EQ(Run({"get", "job", "ko-base", "-o", "spec"}), 0);
  EXPECT_EQ(out_, "kind: pretrain\nname: ko-base\n");
  EXPECT_EQ(Run({"get", "jobs", "-o", "xml"}), 2);
  EXPECT_EQ(Run({"get", "workers", "-o", "spec"}), 2);
}

TEST_F(AppTest, AnEmptyListIsValidJson) {
  EXPECT_EQ(Run({"get", "jobs", "-o", "json"}), 0);
  EXPECT_EQ(nlohmann::json::parse(out_)["items"].size(), 0u);
  EXPECT_EQ(Run({"get", "jobs"}), 0);
  EXPECT_THAT(out_, IsEmpty());
  EXPECT_EQ(err_, "no jobs\n");
}

TEST_F(AppTest, GetOfWorkersDatasetsPresetsAndCheckpoints) {
  v1::Worker worker;
  worker.set_name("w0");
  worker.set_state(v1::Worker::READY);
  worker.add_slots()->set_device(v1::Resources::CPU);
  worker.add_slots()->set_job("namespaces/default/jobs/ko-base");
  cluster_.workers = {worker};
  v1::Dataset dataset;
  dataset.set_name("ko");
  dataset.add_splits()->set_name("train");
  cluster_.datasets = {dataset};
  v1::Preset preset;
  preset.set_name("tiny");
  preset.set_parameters(1'400'000);
  cluster_.presets = {preset};
  v1::Checkpoint checkpoint;
  checkpoint.set_step(300);
  checkpoint.set_bytes(1 << 20);
  checkpoint.set_best(true);
  checkpoint.set_state(v1::Checkpoint::COMMITTED);
  cluster_.checkpoints = {checkpoint};
  AddJob("ko-base", v1::Job::SUCCEEDED);
  EXPECT_EQ(Run({"get", "workers"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("w0"), HasSubstr("READY"), HasSubstr("ko-base")));
  EXPECT_EQ(Run({"get", "datasets", "ko"}), 0);
  EXPECT_THAT(out_, HasSubstr("train"));
  EXPECT_EQ(Run({"get", "presets"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("1.4M"), HasSubstr("dataset's")));
  EXPECT_EQ(Run({"get", "checkpoints", "ko-base"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("ko-base:300"), HasSubstr("1.0 MiB"), HasSubstr("best")));
  EXPECT_EQ(Run({"get", "dataset", "koo"}), 4);
  EXPECT_THAT(err_, AllOf(HasSubstr("no dataset 'koo'"), HasSubstr("use ko")));
}

TEST_F(AppTest, DescribeJobShowsSpecAttemptsAndTimeline) {
  v1::Job& job = AddJob("ko-base", v1::Job::RUNNING);
  v1::Attempt* const attempt = job.add_attempts();
  attempt->set_epoch(1);
  attempt->set_state(v1::Attempt::ENDED);
  attempt->set_cause(v1::CAUSE_PLATFORM);
  attempt->mutable_failure()->set_message("the trainer was killed by signal 9");
  v1::Event event;
  event.set_type("Placed");
  event.set_from_state("PENDING");
  event.set_to_state("STARTING");
  cluster_.events = {event};
  EXPECT_EQ(Run({"describe", "job", "ko-base"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("kind: pretrain"), HasSubstr("platform"), HasSubstr("killed by signal 9"),
                          HasSubstr("PENDING -> STARTING")));
  EXPECT_EQ(Run({"describe", "job", "nobody"}), 4);
  EXPECT_EQ(Run({"describe", "jub", "x"}), 2);
}

TEST_F(AppTest, ExplainReadsAsInTheGuide) {
  AddJob("big", v1::Job::PENDING);
  cluster_.explanation.set_state(v1::Job::PENDING);
  v1::PendingReason* const reason = cluster_.explanation.add_reasons();
  reason->set_tier(v1::PendingReason::CAPACITY);
  reason->set_message("needs 16 slots at once; 2 exist, 2 are free");
  cluster_.explanation.add_would_start("with 14 more slots");
  cluster_.explanation.add_would_start("with resources.ranks <= 2");
  EXPECT_EQ(Run({"explain", "big"}), 0);
  EXPECT_EQ(out_,
            "PENDING  capacity: needs 16 slots at once; 2 exist, 2 are free.\n"
            "         It would start: with 14 more slots, or with resources.ranks <= 2.\n");
}

TEST_F(AppTest, LogsAreWrittenAsTheyAre) {
  AddJob("ko-base", v1::Job::RUNNING);
  cluster_.log = "step 1\nstep 2";
  EXPECT_EQ(Run({"logs", "ko-base", "--rank", "1", "--tail", "5"}), 0);
  EXPECT_EQ(out_, "step 1\nstep 2");
  EXPECT_EQ(Run({"logs", "ko-base", "--rank", "-1"}), 2);
}

TEST_F(AppTest, MetricsAsTableAndCsv) {
  AddJob("ko-base", v1::Job::RUNNING);
  for (int step = 1; step <= 2; ++step) {
    v1::MetricSample sample;
    sample.set_name("loss/train");
    sample.set_step(step);
    sample.set_value(8.5 - step);
    cluster_.samples.push_back(sample);
  }
  EXPECT_EQ(Run({"metrics", "ko-base", "--name", "loss/train", "-o", "csv"}), 0);
  EXPECT_EQ(out_, "name,step,value,time\nloss/train,1,7.5,0.000\nloss/train,2,6.5,0.000\n");
  EXPECT_EQ(Run({"metrics", "ko-base"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("loss/train  2"), HasSubstr("6.5"), Not(HasSubstr("⠉"))));
  EXPECT_EQ(Run({"metrics", "ko-base"}, true), 0);
  EXPECT_THAT(out_, HasSubstr("┤"));
}

TEST_F(AppTest, CancelTakesSeveralJobsAndAReason) {
  AddJob("a", v1::Job::CANCELLED);
  AddJob("b", v1::Job::RUNNING).set_intent(v1::Job::CANCEL);
  EXPECT_EQ(Run({"cancel", "a", "b", "--reason", "wrong data", "--now"}), 0);
  ASSERT_EQ(cluster_.cancelled.size(), 2u);
  EXPECT_EQ(cluster_.cancelled[1].reason(), "wrong data");
  EXPECT_TRUE(cluster_.cancelled[1].now());
  EXPECT_NE(cluster_.cancelled[0].request_id(), cluster_.cancelled[1].request_id());
  EXPECT_EQ(out_, "job a  CANCELLED\njob b  RUNNING, cancelling\n");
}

TEST_F(AppTest, AJobMayBeNamedLikeACommand) {
  AddJob("get", v1::Job::RUNNING);
  EXPECT_EQ(Run({"describe", "job", "get"}), 0) << err_;
  EXPECT_EQ(Run({"cancel", "get"}), 0) << err_;
}

TEST_F(AppTest, ResubmitSendsTheOldSpecChanged) {
  AddJob("ko-base", v1::Job::SUCCEEDED);
  EXPECT_EQ(Run({"resubmit", "ko-base", "--set", "train.steps=9"}), 0) << err_;
  EXPECT_EQ(cluster_.submitted.at(0).spec().train().steps(), 9);
  EXPECT_EQ(cluster_.submitted.at(0).spec().name(), "ko-base");
}

TEST_F(AppTest, WorkersAreTakenOutOfServiceAndBack) {
  v1::Worker worker;
  worker.set_name("w0");
  cluster_.workers = {worker};
  EXPECT_EQ(Run({"worker", "cordon", "w0", "--wait"}), 0) << err_;
  EXPECT_EQ(cluster_.worker_states.at(0).state(), v1::Worker::CORDONED);
  EXPECT_EQ(out_, "worker w0  CORDONED\n");
  EXPECT_EQ(Run({"worker", "uncordon", "w1"}), 4);
}

TEST_F(AppTest, ReportWritesAPageOfTheJobAndOfWhatItNames) {
  AddJob("ko-base", v1::Job::SUCCEEDED).set_uid("u1");
  v1::Job& arm = AddJob("ko-sgt", v1::Job::RUNNING);
  arm.mutable_spec()->mutable_from()->set_job("ko-base");
  arm.mutable_spec()->mutable_sgt()->mutable_reference()->set_job("gone");
  v1::MetricSample sample;
  sample.set_name("loss/valid");
  sample.set_value(4.5);
  cluster_.samples = {sample};
  const std::string file = directory_ + "/report.html";
  EXPECT_EQ(Run({"report", "ko-sgt", "--output", file}), 0);
  EXPECT_THAT(out_, AllOf(StartsWith(file), HasSubstr(": 2 jobs, ")));
  EXPECT_THAT(*ReadFile(file),
              AllOf(HasSubstr("<h1>Report on job ko-sgt</h1>"), HasSubstr("<strong>ko-base</strong>"),
                    HasSubstr("from coordinator 9.9.9"), HasSubstr("Held-out loss, pretrain")));
  // The name of the parent means another job by now.
  arm.mutable_spec()->mutable_from()->set_job_uid("u0");
  EXPECT_EQ(Run({"report", "ko-sgt", "--output", file}), 0);
  EXPECT_THAT(out_, HasSubstr(": 1 job, "));
}

TEST_F(AppTest, ReportOfNobodyOrToNowhereWritesNothing) {
  EXPECT_EQ(Run({"report", "nobody", "--output", directory_ + "/report.html"}), 4);
  EXPECT_FALSE(Exists(directory_ + "/report.html"));
  EXPECT_EQ(Run({"report", "nobody"}), 2);
  EXPECT_THAT(err_, HasSubstr("--output"));
  AddJob("ko-base", v1::Job::SUCCEEDED);
  EXPECT_NE(Run({"report", "ko-base", "--output", directory_ + "/none/report.html"}), 0);
  EXPECT_THAT(err_, HasSubstr("/none/report.html"));
}

}  // namespace
}  // namespace cherry::client
