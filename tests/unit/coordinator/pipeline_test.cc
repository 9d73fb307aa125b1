// Pipelines: all jobs or none, names, cycles, and the order in which they run.
#include "tests/unit/coordinator/pipeline_simulation.h"

namespace cherry::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Pipelines : public PipelineSimulation {};

TEST_F(Pipelines, AllJobsEnterInOneDecisionWhateverTheirOrder) {
  AddWorker("w0", 4);
  const auto response =
      TryPipeline("mini", {From("last", "middle"), From("middle", "first"), PretrainSpec("first", 1)});
  ASSERT_TRUE(response.ok()) << Describe(response.status());
  EXPECT_THAT(NamesOf(*response), ElementsAre("first", "middle", "last"));
  EXPECT_THAT(last_.changes.put_jobs, SizeIs(3));
  EXPECT_THAT(last_.changes.put_pipelines, SizeIs(1));
  const v1::Pipeline& pipeline = response->pipeline();
  EXPECT_EQ(pipeline.name(), "namespaces/default/pipelines/mini");
  EXPECT_EQ(pipeline.submitter(), "kim");
  EXPECT_THAT(pipeline.jobs(), ElementsAre("namespaces/default/jobs/first", "namespaces/default/jobs/middle",
                                           "namespaces/default/jobs/last"));
  EXPECT_EQ(response->jobs(1).reason(), "waits for first (PENDING)");
  EXPECT_EQ(response->jobs(1).pipeline(), "mini");
  std::vector<std::string> uids;
  for (const v1::Job& job : response->jobs()) {
    uids.push_back(job.uid());
  }
  EXPECT_EQ(StateOf(uids[0]), v1::Job::STARTING);
  Succeed(uids[0]);
  EXPECT_EQ(StateOf(uids[1]), v1::Job::STARTING);
  EXPECT_EQ(StateOf(uids[2]), v1::Job::PENDING);
  Succeed(uids[1]);
  Succeed(uids[2]);
}

TEST_F(Pipelines, OneWrongJobKeepsAllOut) {
  v1::JobSpec wrong = From("second", "first");
  wrong.mutable_train()->set_steps(0);
  const auto refused = TryPipeline("mini", {PretrainSpec("first", 1), wrong});
  EXPECT_EQ(InfoOf(refused.status()).field(), "train.steps");
  EXPECT_THAT(std::string(refused.status().message()), ::testing::StartsWith("second: train.steps: "));
  EXPECT_TRUE(last_.changes.empty());
  EXPECT_THAT(disk_.jobs, IsEmpty());
  EXPECT_TRUE(TryPipeline("mini", {PretrainSpec("first", 1)}).ok());
}

TEST_F(Pipelines, AChildIsCheckedAgainstItsParentBeforeEitherHasRun) {
  v1::JobSpec shape = From("second", "first");
  shape.mutable_model()->set_preset("mini");
  EXPECT_EQ(InfoOf(TryPipeline("mini", {PretrainSpec("first", 1), shape}).status()).reason(),
            "MODEL_MISMATCH");
  v1::RegisterDatasetRequest other;
  *other.mutable_dataset() = *core_->GetDataset("ko");
  other.mutable_dataset()->set_name("en");
  other.mutable_dataset()->set_tokenizer_hash("another");
  ASSERT_TRUE(Do([&](Decision* decision) {
                return core_->RegisterDataset(decision, NewMutation("RegisterDataset"), other);
              }).ok());
  v1::JobSpec tokenizer = From("second", "first");
  tokenizer.mutable_data()->set_train("en/train");
  tokenizer.mutable_data()->set_valid("en/valid");
  EXPECT_EQ(InfoOf(TryPipeline("mini", {PretrainSpec("first", 1), tokenizer}).status()).reason(),
            "TOKENIZER_MISMATCH");
  v1::JobSpec selective;  // Inherits data and shape.
  selective.set_kind(v1::JobSpec::SGT);
  selective.set_name("third");
  selective.mutable_from()->set_job("second");
  selective.mutable_sgt()->set_selector(v1::SgtConfig::RANDOM);
  v1::JobSpec like = PretrainSpec("fourth", 1);
  like.clear_model();
  like.mutable_model()->mutable_like()->set_job("third");
  const auto response =
      TryPipeline("mini", {like, selective, From("second", "first"), PretrainSpec("first", 1)});
  ASSERT_TRUE(response.ok()) << Describe(response.status());
  EXPECT_EQ(response->jobs(2).resolved().data().train(), "ko/train");
  EXPECT_EQ(response->jobs(3).resolved().model().layers(), 4);
  EXPECT_THAT(response->jobs(3).pending(), IsEmpty());  // A shape is known before its job has run.
}

TEST_F(Pipelines, ACycleIsNamed) {
  const auto two = TryPipeline("mini", {From("a", "b"), From("b", "a")});
  EXPECT_EQ(InfoOf(two.status()).reason(), "PIPELINE_CYCLE");
  EXPECT_EQ(InfoOf(two.status()).field(), "from");
  EXPECT_THAT(std::string(two.status().message()), HasSubstr("from: a -> b -> a"));
  const auto behind = TryPipeline("mini", {From("x", "a"), From("a", "b"), From("b", "c"), From("c", "a")});
  EXPECT_THAT(std::string(behind.status().message()), HasSubstr("from: a -> b -> c -> a"));
  const auto self = TryPipeline("mini", {From("a", "a")});
  EXPECT_EQ(InfoOf(self.status()).field(), "from");
  EXPECT_THAT(std::string(self.status().message()), HasSubstr("from: a -> a names itself"));
  EXPECT_THAT(disk_.jobs, IsEmpty());
}

TEST_F(Pipelines, ANameIsGivenOnce) {
  const auto refused = TryPipeline("mini", {PretrainSpec("a", 1), PretrainSpec("a", 1)});
  EXPECT_EQ(InfoOf(refused.status()).reason(), "JOB_DUPLICATE");
  EXPECT_EQ(InfoOf(refused.status()).field(), "name");
}

TEST_F(Pipelines, ANameMeansTheirOwnJobBeforeAnEarlierOne) {
  AddWorker("w0", 4);
  const std::string earlier = Submit(PretrainSpec("base", 1));
  Succeed(earlier);
  const auto alone = Pipeline("alone", {From("child-1", "base")});
  EXPECT_EQ(Job(alone.at("child-1")).resolved().from().job_uid(), earlier);
  EXPECT_EQ(StateOf(alone.at("child-1")), v1::Job::STARTING);
  const auto own = Pipeline("own", {From("child-2", "base"), PretrainSpec("base", 1)});
  EXPECT_EQ(Job(own.at("child-2")).resolved().from().job_uid(), own.at("base"));
  EXPECT_EQ(StateOf(own.at("child-2")), v1::Job::PENDING);
  EXPECT_EQ(InfoOf(TryPipeline("none", {From("child-3", "nobody")}).status()).reason(), "JOB_NOT_FOUND");
}

TEST_F(Pipelines, ANameIsUniqueAmongLivePipelinesAndFreeAfterwards) {
  const auto first = Pipeline("mini", {PretrainSpec("a", 1), PretrainSpec("b", 1)});
  const auto taken = TryPipeline("mini", {PretrainSpec("c", 1)});
  EXPECT_EQ(InfoOf(taken.status()).reason(), "PIPELINE_EXISTS");
  v1::SubmitPipelineRequest elsewhere = Request("mini", {PretrainSpec("c", 1)});
  elsewhere.set_namespace_("team");
  EXPECT_TRUE(TryPipeline(elsewhere).ok());
  EXPECT_EQ(InfoOf(TryPipeline("other", {PretrainSpec("a", 1)}).status()).reason(), "JOB_EXISTS");
  ASSERT_TRUE(TryCancel(first.at("a")).ok());
  EXPECT_FALSE(TryPipeline("mini", {PretrainSpec("c", 1)}).ok());
  Restart();
  EXPECT_FALSE(TryPipeline("mini", {PretrainSpec("c", 1)}).ok());
  ASSERT_TRUE(TryCancel(first.at("b")).ok());
  const auto second = Pipeline("mini", {PretrainSpec("c", 1)});
  v1::ListJobsRequest request;
  request.set_pipeline("namespaces/default/pipelines/mini");
  for (int i = 0; i < 2; ++i) {
    const auto listed = core_->ListJobs(request);
    ASSERT_THAT(listed->jobs(), SizeIs(1));
    EXPECT_EQ(listed->jobs(0).uid(), second.at("c"));
    Restart();
  }
  request.set_pipeline("namespaces/default/pipelines/none");
  EXPECT_EQ(InfoOf(core_->ListJobs(request).status()).reason(), "PIPELINE_NOT_FOUND");
}

TEST_F(Pipelines, AreListedNewestFirstWithTheStatesOfTheirJobs) {
  Pipeline("one", {PretrainSpec("a", 1), PretrainSpec("b", 1)});
  const auto two = Pipeline("two", {PretrainSpec("c", 1), From("d", "c")});
  ASSERT_TRUE(TryCancel(two.at("d")).ok());
  v1::SubmitPipelineRequest elsewhere = Request("three", {PretrainSpec("e", 1)});
  elsewhere.set_namespace_("team");
  ASSERT_TRUE(TryPipeline(elsewhere).ok());
  Restart();
  v1::ListPipelinesRequest request;
  request.set_page_size(1);
  std::vector<std::string> names;
  do {
    const auto page = core_->ListPipelines(request);
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_THAT(page->pipelines(), SizeIs(1));
    names.push_back(page->pipelines(0).name());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(names, ElementsAre("namespaces/team/pipelines/three", "namespaces/default/pipelines/two",
                                 "namespaces/default/pipelines/one"));
  request.set_namespace_("default");
  request.set_page_size(0);
  const auto listed = core_->ListPipelines(request);
  ASSERT_THAT(listed->pipelines(), SizeIs(2));
  EXPECT_EQ(listed->pipelines(0).job_states().at("CANCELLED"), 1);
  EXPECT_EQ(listed->pipelines(1).job_states().at("PENDING"), 2);
}

TEST_F(Pipelines, TheSameRequestTwiceMakesOnePipelineAndTheStoredReply) {
  const Mutation mutation = NewMutation("SubmitPipeline", "content");
  const v1::SubmitPipelineRequest request = Request("mini", {PretrainSpec("a", 1), From("b", "a")});
  const auto first = TryPipeline(request, mutation);
  ASSERT_TRUE(first.ok());
  Restart();
  ASSERT_TRUE(TryPipeline(request, mutation).ok());
  EXPECT_EQ(last_.stored_reply, mutation.request_id);
  EXPECT_THAT(disk_.jobs, SizeIs(2));
  v1::SubmitPipelineResponse stored;
  ASSERT_TRUE(stored.ParseFromString(disk_.requests.at(mutation.request_id).reply()));
  EXPECT_EQ(stored.SerializeAsString(), first->SerializeAsString());
}

TEST_F(Pipelines, ValidateOnlyPlansAllAndChangesNothing) {
  v1::SubmitPipelineRequest request = Request("mini", {PretrainSpec("a", 16), From("b", "a")});
  request.set_validate_only(true);
  const auto planned = TryPipeline(request);
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_TRUE(last_.changes.empty());
  EXPECT_TRUE(core_->state().jobs.empty());
  EXPECT_EQ(planned->pipeline().uid(), "");
  ASSERT_THAT(planned->jobs(), SizeIs(2));
  EXPECT_EQ(planned->jobs(1).uid(), "");
  EXPECT_EQ(planned->jobs(1).resolved().from().job_uid(), "");
  EXPECT_GT(planned->jobs(1).plan().parameters(), 1'000'000);
  EXPECT_EQ(planned->jobs(1).plan().would_wait(0).message(), "waits for a (PENDING)");
}

TEST_F(Pipelines, AFailureEndsWhatComesAfterItAndNothingElse) {
  AddWorker("w0", 4);
  v1::JobSpec fragile = PretrainSpec("a", 1);
  fragile.mutable_limits()->set_retries(0);
  const auto uids = Pipeline("mini", {fragile, From("b", "a"), From("c", "b"), PretrainSpec("d", 1)});
  Exit(uids.at("a"), 0, v1::CAUSE_USER, 2, "the data are wrong");
  EXPECT_EQ(StateOf(uids.at("b")), v1::Job::FAILED);
  EXPECT_EQ(StateOf(uids.at("c")), v1::Job::FAILED);
  EXPECT_EQ(StateOf(uids.at("d")), v1::Job::STARTING);
}

TEST_F(Pipelines, ARestartLosesNothing) {
  const auto uids = Pipeline("mini", {PretrainSpec("a", 1), From("b", "a"), From("c", "b")});
  Restart();
  AddWorker("w0", 4);
  Succeed(uids.at("a"));
  Restart();
  AddWorker("w0", 4);
  Succeed(uids.at("b"));
  Succeed(uids.at("c"));
  EXPECT_EQ(Job(uids.at("c")).pipeline(), "mini");
}

TEST_F(Pipelines, JobsOfAnotherNamespaceAndUnfitNamesAreRefused) {
  v1::JobSpec elsewhere = PretrainSpec("a", 1);
  elsewhere.set_namespace_("team");
  EXPECT_EQ(InfoOf(TryPipeline("mini", {elsewhere}).status()).reason(), "NAMESPACE_DIFFERS");
  EXPECT_EQ(InfoOf(TryPipeline("Mini.yaml", {PretrainSpec("a", 1)}).status()).field(), "pipeline");
  EXPECT_EQ(InfoOf(TryPipeline("mini", {}).status()).field(), "jobs");
}

}  // namespace
}  // namespace cherry::coordinator
