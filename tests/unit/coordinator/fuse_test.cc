// Fusions and evaluations: which checkpoints they read, what they inherit, and what they wait for.
#include "tests/unit/coordinator/pipeline_simulation.h"

namespace cherry::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Fusions : public PipelineSimulation {
 protected:
  static v1::JobSpec Fuse(const std::string& name, const std::vector<std::string>& experts) {
    v1::JobSpec spec;
    spec.set_kind(v1::JobSpec::FUSE);
    spec.set_name(name);
    for (const std::string& expert : experts) {
      spec.add_experts()->set_job(expert);
    }
    return spec;
  }

  static v1::JobSpec Verdict(const std::string& name, const std::string& baseline,
                             const std::vector<std::string>& models) {
    v1::JobSpec spec;
    spec.set_kind(v1::JobSpec::EVALUATE);
    spec.set_name(name);
    spec.mutable_evaluate()->mutable_baseline()->set_job(baseline);
    for (const std::string& model : models) {
      spec.mutable_evaluate()->add_models()->set_job(model);
    }
    return spec;
  }

  std::vector<std::string> RolesOf(const std::string& uid) {
    std::vector<std::string> roles;
    for (const auto& send : Take<SendToWorker>()) {
      if (send.message.has_start() && send.message.start().attempt().job_uid() == uid) {
        for (const v1::JobInput& input : send.message.start().inputs()) {
          roles.push_back(absl::StrCat(input.role(), "=", input.checkpoint().name()));
          last_start_ = send.message.start();
        }
      }
    }
    return roles;
  }

  v1::StartAttempt last_start_;
};

TEST_F(Fusions, WaitForTheirExpertsAndReadTheirBest) {
  AddWorker("w0", 1);
  const auto response = TryPipeline(
      "moee", {PretrainSpec("base", 1), From("a", "base"), From("b", "base"), Fuse("moee", {"a", "b"})});
  ASSERT_TRUE(response.ok()) << Describe(response.status());
  const v1::JobSpec& resolved = response->jobs(3).resolved();
  EXPECT_EQ(resolved.data().train(), "ko/train");
  EXPECT_EQ(resolved.model().experts(), 2);
  EXPECT_EQ(resolved.experts(1).job_uid(), response->jobs(2).uid());
  for (int i = 0; i < 3; ++i) {
    Succeed(response->jobs(i).uid());
  }
  const std::string uid = response->jobs(3).uid();
  EXPECT_EQ(StateOf(uid), v1::Job::STARTING);
  EXPECT_THAT(RolesOf(uid), ElementsAre(HasSubstr("experts[0]=namespaces/default/jobs/a/checkpoints/"),
                                        HasSubstr("experts[1]=namespaces/default/jobs/b/checkpoints/")));
}

TEST_F(Fusions, RefuseExpertsWithoutACommonAncestor) {
  const auto refused =
      TryPipeline("moee", {PretrainSpec("a", 1), PretrainSpec("b", 1), Fuse("moee", {"a", "b"})});
  EXPECT_EQ(InfoOf(refused.status()).reason(), "EXPERTS_UNRELATED");
  EXPECT_EQ(InfoOf(refused.status()).field(), "experts[1]");
}

TEST_F(Fusions, TwoCompressionsOfOneModelAreNoCommonAncestor) {
  const auto compressed = [](const std::string& name, v1::CompressConfig::Method method) {
    v1::JobSpec spec;
    spec.set_kind(v1::JobSpec::COMPRESS);
    spec.set_name(name);
    spec.mutable_from()->set_job("base");
    spec.mutable_compress()->set_layers(2);
    spec.mutable_compress()->set_method(method);
    return spec;
  };
  const std::vector<v1::JobSpec> apart = {PretrainSpec("base", 1), compressed("x", v1::CompressConfig::MEAN),
                                          compressed("y", v1::CompressConfig::FIRST),
                                          Fuse("moee", {"x", "y"})};
  EXPECT_EQ(InfoOf(TryPipeline("moee", apart).status()).reason(), "EXPERTS_UNRELATED");
  v1::JobSpec a = From("a", "x"), b = From("b", "x");
  a.clear_model();
  b.clear_model();
  const std::vector<v1::JobSpec> together = {
      PretrainSpec("base", 1), compressed("x", v1::CompressConfig::MEAN), a, b, Fuse("moee", {"a", "b"})};
  const auto response = TryPipeline("moee", together);
  EXPECT_TRUE(response.ok()) << Describe(response.status());
}

TEST_F(Fusions, EvaluationsInheritTheWindowsOfTheirBaseline) {
  v1::JobSpec base = PretrainSpec("base", 1);
  base.mutable_train()->set_sequence_length(128);
  base.mutable_validation()->set_max_sequences(7);
  Submit(base);
  const auto job = Job(Submit(Verdict("verdict", "base", {"base"})));
  EXPECT_EQ(job.resolved().train().sequence_length(), 128);
  EXPECT_EQ(job.resolved().validation().max_sequences(), 7);
  EXPECT_EQ(job.resolved().train().steps(), 2);
}

TEST_F(Fusions, AnEvaluationIsToldWhatItsModelsWereSelectedBy) {
  AddWorker("w0", 1);
  Succeed(Submit(PretrainSpec("base", 1)));
  v1::JobSpec arm = From("arm", "base");
  arm.set_kind(v1::JobSpec::SGT);
  arm.clear_model();
  arm.mutable_sgt()->set_selector(
      v1::SgtConfig::RANDOM);  // One that needs no labels, which this data has not.
  arm.mutable_sgt()->set_budget(0.2);
  arm.mutable_sgt()->add_categories(v1::SgtConfig::REASON);
  Succeed(Submit(arm));
  const std::string uid = Submit(Verdict("verdict", "base", {"arm"}));
  ASSERT_THAT(RolesOf(uid), ::testing::Contains(HasSubstr("jobs/arm/")));
  v1::SgtConfig told;
  for (const v1::JobInput& input : last_start_.inputs()) {
    if (input.job().resolved().name() == "arm") {
      told = input.job().resolved().sgt();
    }
  }
  EXPECT_EQ(told.selector(), v1::SgtConfig::RANDOM);
  EXPECT_EQ(told.budget(), 0.2);
  EXPECT_THAT(told.categories(), ElementsAre(v1::SgtConfig::REASON));
}

TEST_F(Fusions, AnEvaluationIsNoModelAndAnImportedOneIsNotDropped) {
  Submit(PretrainSpec("base", 1));
  Submit(Verdict("verdict", "base", {"base"}));
  EXPECT_EQ(InfoOf(TrySubmit(From("next", "verdict")).status()).field(), "from.job");
  v1::JobSpec imported = Verdict("other", "base", {"base"});
  imported.mutable_evaluate()->add_models()->set_model("llama");
  EXPECT_EQ(InfoOf(TrySubmit(imported).status()).reason(), "MODEL_NOT_FOUND");
}

TEST_F(Fusions, MoreModelsThanAreAllowedAreNotWrittenOut) {
  v1::JobSpec arm = From("arm", "base");
  auto& axes = *arm.mutable_matrix()->mutable_axes();
  for (int seed = 0; seed < 200; ++seed) {
    axes["train.seed"].add_values()->set_number_value(seed);
  }
  const auto refused = TryPipeline(
      "mini",
      {PretrainSpec("base", 1), arm, Verdict("verdict", "base", std::vector<std::string>(100000, "arm"))});
  EXPECT_EQ(InfoOf(refused.status()).field(), "evaluate.models (number of)");
}

TEST_F(Fusions, AnInputThatIsNotThereAnyMoreIsNotWaitedFor) {
  AddWorker("w0", 1);
  const std::string base = Submit(PretrainSpec("base", 1));
  Succeed(base);
  const std::string other = Submit(PretrainSpec("other", 1));
  const std::string uid = Submit(Verdict("verdict", "base", {"base"}));
  v1::ReportCheckpointRequest report;
  report.set_job("namespaces/default/jobs/base");
  report.set_step(300);
  report.set_corrupt(true);
  const auto told = Do([&](Decision* decision) {
    return core_->ReportCheckpoint(decision, NewMutation("ReportCheckpoint"), report);
  });
  ASSERT_TRUE(told.ok()) << told.status();
  Succeed(other);
  EXPECT_EQ(StateOf(uid), v1::Job::PENDING);
}

TEST_F(Fusions, WhatEndsAnExpertEndsThem) {
  AddWorker("w0", 1);
  const auto response = TryPipeline(
      "moee", {PretrainSpec("base", 1), From("a", "base"), From("b", "base"), Fuse("moee", {"a", "b"})});
  ASSERT_TRUE(response.ok()) << Describe(response.status());
  EXPECT_TRUE(TryCancel(response->jobs(0).uid()).ok());
  ExitAll(response->jobs(0).uid(), v1::CAUSE_STOPPED);
  EXPECT_EQ(StateOf(response->jobs(3).uid()), v1::Job::CANCELLED);
  EXPECT_THAT(Job(response->jobs(3).uid()).reason(), HasSubstr("base is CANCELLED"));
}

TEST_F(Fusions, AnEvaluationReadsEveryModelAndWhatTheFirstCameFrom) {
  AddWorker("w0", 1);
  const auto response = TryPipeline("mini", {PretrainSpec("base", 1), From("a", "base"), From("b", "base"),
                                             Verdict("verdict", "a", {"b"})});
  ASSERT_TRUE(response.ok()) << Describe(response.status());
  for (int i = 0; i < 3; ++i) {
    Succeed(response->jobs(i).uid());
  }
  const std::string uid = response->jobs(3).uid();
  EXPECT_THAT(RolesOf(uid), ::testing::UnorderedElementsAre(
                                HasSubstr("evaluate.baseline=namespaces/default/jobs/a/checkpoints/"),
                                HasSubstr("evaluate.models[0]=namespaces/default/jobs/b/checkpoints/"),
                                HasSubstr("evaluate.start=namespaces/default/jobs/base/checkpoints/")));
  for (const v1::JobInput& input : last_start_.inputs()) {
    EXPECT_THAT(input.checkpoint().name(), ::testing::StartsWith(input.job().name()));
    EXPECT_TRUE(input.job().has_resolved());
  }
}

TEST_F(Fusions, AnEvaluationSucceedsWithItsFindingsAndWithoutACheckpoint) {
  AddWorker("w0", 1);
  const std::string base = Submit(PretrainSpec("base", 1));
  Succeed(base);
  for (const bool found : {false, true}) {
    const std::string uid = Submit(Verdict(found ? "second" : "first", "base", {"base"}));
    RunTo(uid, 1);
    v1::Evaluation evaluation;
    if (found) {
      evaluation.add_models()->set_job("base");
    }
    Exit(uid, 0, v1::CAUSE_SUCCEEDED, 0, "", evaluation);
    EXPECT_EQ(StateOf(uid), found ? v1::Job::SUCCEEDED : v1::Job::BACKOFF);
    EXPECT_EQ(Job(uid).evaluation().models_size(), found ? 1 : 0);
    if (!found) {
      EXPECT_TRUE(TryCancel(uid).ok());
    }
  }
}

TEST_F(Fusions, AMatrixAsBaselineMeansItsJobsOneForEachSeed) {
  v1::JobSpec arm = From("arm", "base");
  arm.set_kind(v1::JobSpec::SGT);
  auto& axes = *arm.mutable_matrix()->mutable_axes();
  for (const char* selector : {"all", "random"}) {
    axes["sgt.selector"].add_values()->set_string_value(selector);
  }
  for (const int seed : {1, 2}) {
    axes["train.seed"].add_values()->set_number_value(seed);
  }
  const auto response =
      TryPipeline("mini", {PretrainSpec("base", 1), arm, Verdict("verdict", "arm-all", {"arm-random"})});
  ASSERT_TRUE(response.ok()) << Describe(response.status());
  const v1::EvaluateConfig& evaluate = response->jobs(5).resolved().evaluate();
  ASSERT_EQ(evaluate.baselines_size(), 2);
  EXPECT_EQ(evaluate.baselines(1).job(), "arm-all-2");
  ASSERT_EQ(evaluate.models_size(), 2);
  EXPECT_EQ(evaluate.models(0).job(), "arm-random-1");
  // Each is a step, and so is what they all started from.
  EXPECT_EQ(response->jobs(5).resolved().train().steps(), 5);
}

// One of a seed too many would leave the models of that seed without a recovery.
TEST_F(Fusions, AnEvaluationThatNamesItsStartsHasNoOther) {
  AddWorker("w0", 1);
  v1::JobSpec scratch = PretrainSpec("scratch", 1);
  for (const int seed : {1, 2}) {
    (*scratch.mutable_matrix()->mutable_axes())["train.seed"].add_values()->set_number_value(seed);
  }
  v1::JobSpec verdict = Verdict("verdict", "base", {"a"});
  verdict.mutable_evaluate()->mutable_start()->set_job("scratch");
  const auto response = TryPipeline("mini", {PretrainSpec("base", 1), From("a", "base"), scratch, verdict});
  ASSERT_TRUE(response.ok()) << Describe(response.status());
  for (int i = 0; i < 4; ++i) {
    Succeed(response->jobs(i).uid());
  }
  EXPECT_THAT(RolesOf(response->jobs(4).uid()),
              ::testing::UnorderedElementsAre(
                  HasSubstr("evaluate.baseline=namespaces/default/jobs/base/checkpoints/"),
                  HasSubstr("evaluate.models[0]=namespaces/default/jobs/a/checkpoints/"),
                  HasSubstr("evaluate.starts[0]=namespaces/default/jobs/scratch-1/"),
                  HasSubstr("evaluate.starts[1]=namespaces/default/jobs/scratch-2/")));
}

}  // namespace
}  // namespace cherry::coordinator
