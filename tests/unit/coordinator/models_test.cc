// Imported models: what they are to jobs.
#include "tests/unit/coordinator/simulation.h"

namespace cherry::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kLlama[] = "namespaces/default/models/llama";

class Models : public Simulation {
 protected:
  absl::StatusOr<v1::Model> Register(const std::string& name, const std::string& uid,
                                     const std::string& tokenizer = "") {
    v1::Model model;
    model.set_name(name);
    model.set_uid(uid);
    model.set_path("default/models/" + uid);
    model.set_manifest_hash("m");
    model.set_tokenizer_hash(tokenizer);
    v1::ModelConfig& config = *model.mutable_config();
    config.set_preset("tiny");
    config.set_vocab(2048);
    config.set_attention_bias(v1::ModelConfig::QKV);
    config.add_end_tokens(7);
    return Do([&](Decision* decision) {
      return core_->RegisterModel(decision, NewMutation("RegisterModel"), model);
    });
  }

  static std::string Uuid(int number) { return absl::StrCat("00000000-0000-4000-8000-00000000000", number); }

  static v1::JobSpec FromModel(const std::string& job, v1::JobSpec::Kind kind) {
    v1::JobSpec spec = PretrainSpec(job, 1);
    spec.set_kind(kind);
    spec.clear_model();
    spec.mutable_from()->set_model("llama");
    return spec;
  }
};

TEST_F(Models, AJobStartsFromOneWithItsShapeAndItsTokens) {
  ASSERT_TRUE(Register(kLlama, Uuid(1)).ok());
  const auto job = core_->GetJobByUid(Submit(FromModel("next", v1::JobSpec::PRETRAIN)));
  ASSERT_TRUE(job.ok());
  EXPECT_EQ(job->resolved().model().attention_bias(), v1::ModelConfig::QKV);
  EXPECT_EQ(job->resolved().model().end_tokens(0), 7);
  EXPECT_EQ(job->resolved().from().job_uid(), Uuid(1));
  const v1::JobRecord& record = disk_.jobs.at(job->uid());
  EXPECT_EQ(record.source().path(), "default/models/" + Uuid(1));
  EXPECT_EQ(record.source().step(), 0);
  EXPECT_EQ(record.source().manifest_hash(), "m");
}

TEST_F(Models, EveryKindOfJobMayNameOne) {
  ASSERT_TRUE(Register(kLlama, Uuid(1)).ok());
  v1::JobSpec selective = FromModel("sgt", v1::JobSpec::SGT);
  selective.mutable_sgt()->set_selector(v1::SgtConfig::RANDOM);
  Submit(selective);
  v1::JobSpec compress = FromModel("compress", v1::JobSpec::COMPRESS);
  compress.mutable_compress()->set_layers(2);
  Submit(compress);
  v1::JobSpec fuse = PretrainSpec("fuse", 1);
  fuse.set_kind(v1::JobSpec::FUSE);
  fuse.clear_model();
  fuse.add_experts()->set_model("llama");
  fuse.add_experts()->set_model("llama");
  const auto fused = TrySubmit(fuse);
  EXPECT_TRUE(fused.ok()) << fused.status();
  v1::JobSpec verdict = PretrainSpec("verdict", 1);
  verdict.set_kind(v1::JobSpec::EVALUATE);
  verdict.clear_model();
  verdict.clear_train();
  verdict.clear_data();
  verdict.mutable_evaluate()->mutable_baseline()->set_model("llama");
  verdict.mutable_evaluate()->add_models()->set_job("sgt");
  verdict.mutable_evaluate()->add_measures(v1::EvaluateConfig::LOSS);
  const auto measured = TrySubmit(verdict);
  ASSERT_TRUE(measured.ok()) << measured.status();
  EXPECT_EQ(measured->resolved().data().train(), "ko/train");  // Of the first that a run has made.
}

TEST_F(Models, OneIsInNoListOfJobsAndInNoCensus) {
  ASSERT_TRUE(Register(kLlama, Uuid(1)).ok());
  EXPECT_THAT(core_->ListJobs({})->jobs(), SizeIs(0));
  EXPECT_TRUE(Count(core_->state()).jobs.empty());
  EXPECT_THAT(disk_.jobs, SizeIs(0));
  EXPECT_FALSE(core_->GetJob("namespaces/default/jobs/llama").ok());
  EXPECT_FALSE(core_->GetJob(kLlama).ok());
}

TEST_F(Models, ARestartKeepsThemAndTheNewestOfAName) {
  ASSERT_TRUE(Register(kLlama, Uuid(2)).ok());
  const std::string before = Submit(FromModel("before", v1::JobSpec::PRETRAIN));
  Advance(absl::Seconds(1));
  ASSERT_TRUE(Register(kLlama, Uuid(1)).ok());
  Restart();
  EXPECT_EQ(core_->GetModel(kLlama)->uid(), Uuid(1));
  EXPECT_THAT(core_->ListModels({})->models(), SizeIs(1));
  EXPECT_EQ(core_->GetJobByUid(before)->resolved().from().job_uid(), Uuid(2));
  v1::GetCheckpointRequest request;
  request.set_job(kLlama);
  EXPECT_EQ(core_->GetCheckpoint(request)->path(), "default/models/" + Uuid(1));
  request.set_checkpoint("5");
  EXPECT_EQ(InfoOf(core_->GetCheckpoint(request).status()).reason(), "CHECKPOINT_NOT_FOUND");
}

TEST_F(Models, DataOfAnotherTokenizerIsRefusedWithTheCommandToPrepareIt) {
  ASSERT_TRUE(Register(kLlama, Uuid(1), "other").ok());
  const auto refused = TrySubmit(FromModel("next", v1::JobSpec::SGT));
  EXPECT_EQ(InfoOf(refused.status()).reason(), "TOKENIZER_MISMATCH");
  EXPECT_THAT(InfoOf(refused.status()).remedy(), HasSubstr("--tokenizer model:llama"));
}

TEST_F(Models, OneOfAnotherNamespaceIsNamedWithIt) {
  ASSERT_TRUE(Register("namespaces/team/models/llama", Uuid(1)).ok());
  v1::JobSpec spec = FromModel("next", v1::JobSpec::PRETRAIN);
  const auto refused = TrySubmit(spec);
  EXPECT_EQ(InfoOf(refused.status()).reason(), "MODEL_NOT_FOUND");
  EXPECT_EQ(InfoOf(refused.status()).field(), "from.model");
  spec.mutable_from()->set_model("team/llama");
  EXPECT_TRUE(TrySubmit(spec).ok());
}

TEST_F(Models, NothingGoesOnWithOne) {
  ASSERT_TRUE(Register(kLlama, Uuid(1)).ok());
  v1::JobSpec spec = FromModel("next", v1::JobSpec::PRETRAIN);
  spec.clear_from();
  spec.mutable_continue_()->set_model("llama");
  EXPECT_EQ(InfoOf(TrySubmit(spec).status()).field(), "continue.model");
}

TEST_F(Models, WhatIsNoModelIsRefusedAndLeavesNothing) {
  EXPECT_EQ(InfoOf(Register("namespaces/default/jobs/llama", Uuid(1)).status()).reason(), "NAME_INVALID");
  EXPECT_EQ(InfoOf(Register(kLlama, "../../etc").status()).reason(), "UID_INVALID");
  ASSERT_TRUE(Register(kLlama, Uuid(1)).ok());
  EXPECT_EQ(InfoOf(Register(kLlama, Uuid(1)).status()).reason(), "UID_INVALID");
  EXPECT_THAT(disk_.models, SizeIs(1));
}

}  // namespace
}  // namespace cherry::coordinator
