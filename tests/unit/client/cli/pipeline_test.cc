// Pipelines on the command line: submitted, followed, and named where a job could be.
#include "client/cli/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/unit/client/cli/app_fixture.h"

namespace cherry::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class PipelineTest : public AppTest {
 protected:
  // The newest first, as they are listed.
  void AddPipeline(v1::Job::State first, v1::Job::State second) {
    AddJob("ko-sgt", second).set_pipeline("mini");
    AddJob("ko-base", first).set_pipeline("mini");
  }
  std::vector<v1::Job> Jobs(v1::Job::State first, v1::Job::State second) {
    cluster_.jobs.clear();
    AddPipeline(first, second);
    std::vector<v1::Job> jobs;
    std::swap(jobs, cluster_.jobs);
    return jobs;
  }
  // The two pages that each list takes.
  void Then(const std::vector<v1::Job>& jobs) {
    cluster_.jobs_by_and_by.insert(cluster_.jobs_by_and_by.end(), 2, jobs);
  }
  std::string TwoJobs() {
    return Write("mini.yaml", "kind: pretrain\nname: ko-base\n---\nkind: sgt\nname: ko-sgt\n");
  }
};

TEST_F(PipelineTest, AFilesNameBecomesAValidOne) {
  EXPECT_EQ(PipelineNameOf("examples/cherry-mini.yaml"), "cherry-mini");
  EXPECT_EQ(PipelineNameOf("/x/Cherry mini_2.v1.yaml"), "cherry-mini-2-v1");
  EXPECT_EQ(PipelineNameOf("2nd.yaml"), "pipeline-2nd");
  EXPECT_EQ(PipelineNameOf("한국.yaml"), "pipeline");
  EXPECT_EQ(PipelineNameOf("a--b-.yaml"), "a-b");
  EXPECT_THAT(PipelineNameOf(std::string(100, 'x')), SizeIs(63));
}

TEST_F(PipelineTest, AMatrixInASingleDocumentIsAPipelineToo) {
  const std::string file =
      Write("grid.yaml", "kind: pretrain\nname: ko\nmatrix: {train.seed: [1, 2], max_parallel: 1}\n");
  ASSERT_EQ(Run({"submit", file}), 0) << err_;
  ASSERT_THAT(cluster_.pipelines, SizeIs(1));
  EXPECT_THAT(cluster_.submitted, IsEmpty());
  EXPECT_EQ(cluster_.pipelines[0].name(), "grid");
  EXPECT_EQ(cluster_.pipelines[0].namespace_(), "default");
  EXPECT_EQ(cluster_.pipelines[0].jobs(0).name(), "ko");
  EXPECT_EQ(cluster_.pipelines[0].jobs(0).matrix().max_parallel(), 1);
  ASSERT_EQ(Run({"submit", file, "--name", "other", "-n", "team"}), 0) << err_;
  EXPECT_EQ(cluster_.pipelines[1].name(), "other");
  EXPECT_EQ(cluster_.pipelines[1].namespace_(), "team");
  EXPECT_EQ(cluster_.pipelines[1].jobs(0).name(), "ko");
}

TEST_F(PipelineTest, DryRunPrintsEveryPlan) {
  ASSERT_EQ(Run({"submit", TwoJobs(), "--dry-run"}), 0) << err_;
  EXPECT_TRUE(cluster_.pipelines.at(0).validate_only());
  EXPECT_THAT(out_, AllOf(HasSubstr("job ko-base  pretrain"), HasSubstr("job ko-sgt  sgt")));
  EXPECT_NE(out_.find("memory"), out_.rfind("memory"));
}

TEST_F(PipelineTest, WaitEndsWhenAllHaveEndedAndFailsWithOne) {
  v1::Job message;
  message.set_state(v1::Job::SUCCEEDED);
  for (const auto& [second, exit] : std::vector<std::pair<v1::Job::State, int>>{
           {v1::Job::SUCCEEDED, 0}, {v1::Job::FAILED, 1}, {v1::Job::CANCELLED, 7}}) {
    Then(Jobs(v1::Job::RUNNING, v1::Job::PENDING));
    Then(Jobs(v1::Job::SUCCEEDED, second));
    cluster_.watched.clear();
    cluster_.watches = {{{Message(message)}, absl::OkStatus()}};
    EXPECT_EQ(Run({"submit", TwoJobs(), "--wait"}), exit) << err_;
    EXPECT_THAT(cluster_.watched, SizeIs(1));
    EXPECT_EQ(cluster_.watched.at(0).name(), "namespaces/default/jobs/ko-base");  // The one that runs.
    EXPECT_EQ(cluster_.listed.back().pipeline(), "namespaces/default/pipelines/mini");
  }
  Jobs(v1::Job::FAILED, v1::Job::CANCELLED);
  Then(Jobs(v1::Job::FAILED, v1::Job::CANCELLED));
  EXPECT_EQ(Run({"submit", TwoJobs(), "--wait"}), 1) << "a failure counts more than what it has cancelled";
}

TEST_F(PipelineTest, WatchWritesALineForEachChange) {
  Then(Jobs(v1::Job::RUNNING, v1::Job::PENDING));
  Then(Jobs(v1::Job::RUNNING, v1::Job::PENDING));
  Then(Jobs(v1::Job::SUCCEEDED, v1::Job::SUCCEEDED));
  v1::Job same;
  same.set_state(v1::Job::RUNNING);
  v1::Job ended;
  ended.set_state(v1::Job::SUCCEEDED);
  cluster_.watches = {{{Message(same)}, absl::DeadlineExceededError("late")},
                      {{Message(same), Message(ended)}, absl::OkStatus()}};
  EXPECT_EQ(Run({"submit", TwoJobs(), "--watch"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("ko-base  step  120/300  loss 4.81\nko-sgt  PENDING"));
  EXPECT_EQ(out_.find("ko-base  step  120/300"), out_.rfind("ko-base  step  120/300"));
  EXPECT_THAT(out_, HasSubstr("ko-base  SUCCEEDED"));
}

TEST_F(PipelineTest, OnATerminalATableIsDrawnAnew) {
  PipelineView view("default", true, 80);
  std::vector<v1::Job> jobs = Jobs(v1::Job::RUNNING, v1::Job::PENDING);
  EXPECT_THAT(view.Update(jobs, absl::UnixEpoch()), StartsWith("NAME     KIND      STATE    STEP"));
  EXPECT_THAT(view.Update(jobs, absl::UnixEpoch()), StartsWith("\x1b[3A\r\x1b[J"));
  jobs[1].set_reason(std::string(100, 'x'));  // Takes two rows, or three.
  (void)view.Update(jobs, absl::UnixEpoch());
  EXPECT_THAT(view.Update(jobs, absl::UnixEpoch()), Not(StartsWith("\x1b[3A")));
  std::vector<v1::Job> many;
  for (int i = 0; i < 50; ++i) {
    many.push_back(AddJob(absl::StrCat("job-", i), i < 10 ? v1::Job::SUCCEEDED : v1::Job::PENDING));
  }
  const std::string drawn = PipelineView("default", true, 80).Update(many, absl::UnixEpoch());
  EXPECT_THAT(drawn, AllOf(Not(HasSubstr("job-9 ")), HasSubstr("job-10 "),
                           HasSubstr("... and 30 more: 40 PENDING, 10 SUCCEEDED\n")));
}

TEST_F(PipelineTest, CtrlCDetaches) {
  AddPipeline(v1::Job::RUNNING, v1::Job::PENDING);
  EXPECT_EQ(Run({"watch", "mini"}), 0);  // No watch is left: as if interrupted.
  EXPECT_THAT(err_, HasSubstr("detached: pipeline mini goes on: `cherry watch mini` comes back to it"));
}

TEST_F(PipelineTest, GetTakesItsNameForAllItsJobs) {
  AddPipeline(v1::Job::RUNNING, v1::Job::PENDING);
  AddJob("other", v1::Job::RUNNING);
  ASSERT_EQ(Run({"get", "jobs", "mini", "-o", "name"}), 0) << err_;
  EXPECT_EQ(out_, "ko-base\nko-sgt\n");
  ASSERT_EQ(Run({"get", "jobs", "-o", "wide"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("PIPELINE"), HasSubstr("mini")));
  EXPECT_EQ(Run({"get", "job", "nobody"}), 4);
  EXPECT_THAT(err_, HasSubstr("there is no job"));
}

TEST_F(PipelineTest, GetPipelinesCountsTheirJobsByState) {
  v1::Pipeline& pipeline = cluster_.known_pipelines.emplace_back();
  pipeline.set_name("namespaces/default/pipelines/mini");
  pipeline.set_submitter("kim");
  for (const char* job : {"a", "b", "c"}) {
    pipeline.add_jobs(job);
  }
  (*pipeline.mutable_job_states())["SUCCEEDED"] = 1;
  (*pipeline.mutable_job_states())["PENDING"] = 2;
  cluster_.known_pipelines.emplace_back().set_name("namespaces/team/pipelines/other");
  ASSERT_EQ(Run({"get", "pipelines"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("NAME        JOBS  STATES                  SUBMITTER  AGE\n"
                              "mini        3     2 PENDING, 1 SUCCEEDED  kim        -"));
  ASSERT_EQ(Run({"get", "pipeline", "team/other", "-o", "name"}), 0) << err_;
  EXPECT_EQ(out_, "team/other\n");
  EXPECT_EQ(Run({"get", "pipelines", "nobody"}), 4);
  EXPECT_EQ(Run({"get", "pipelines", "--state", "running"}), 2);
}

TEST_F(PipelineTest, CancelTakesItsNameForWhatHasNotEnded) {
  AddPipeline(v1::Job::SUCCEEDED, v1::Job::PENDING);
  AddJob("ko-6", v1::Job::PENDING).set_pipeline("mini");
  std::swap(cluster_.jobs[0], cluster_.jobs[2]);  // ko-6, ko-base, ko-sgt: the newest first.
  ASSERT_EQ(Run({"cancel", "mini", "--reason", "wrong data"}), 0) << err_;
  std::vector<std::string> names;
  for (const v1::CancelJobRequest& request : cluster_.cancelled) {
    names.push_back(request.name().substr(request.name().rfind('/') + 1));
    EXPECT_EQ(request.reason(), "wrong data");
  }
  EXPECT_THAT(names, ElementsAre("mini", "ko-6", "ko-sgt"));
  EXPECT_EQ(Run({"cancel", "mini", "--request-id", "11111111-2222-4333-8444-555555555555"}), 2);
  EXPECT_EQ(Run({"cancel", "nobody"}), 4);
  EXPECT_EQ(Run({"resume", "mini"}), 0);
  EXPECT_THAT(err_, HasSubstr("pipeline mini: nothing to do, as no job of it is paused"));
}

TEST_F(PipelineTest, ExplainTellsAboutEachJob) {
  AddPipeline(v1::Job::RUNNING, v1::Job::PENDING);
  cluster_.explanation.set_state(v1::Job::PENDING);
  cluster_.explanation.set_summary("input: waits for ko-base");
  ASSERT_EQ(Run({"explain", "mini"}), 0) << err_;
  EXPECT_EQ(out_, "ko-base: PENDING  input: waits for ko-base\nko-sgt: PENDING  input: waits for ko-base\n");
  ASSERT_EQ(Run({"explain", "mini", "-o", "json"}), 0);
  EXPECT_EQ(nlohmann::json::parse(out_)["items"].size(), 2u);
}

}  // namespace
}  // namespace cherry::client
