// Matrices: which jobs they make, how those are named, and which of them go together.
#include "coordinator/core/matrix.h"

#include "coordinator/core/links.h"
#include "tests/unit/coordinator/pipeline_simulation.h"

namespace cherry::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

google::protobuf::Value Of(double number) {
  google::protobuf::Value value;
  value.set_number_value(number);
  return value;
}
google::protobuf::Value Of(const char* text) {
  google::protobuf::Value value;
  value.set_string_value(text);
  return value;
}

template <typename T>
void Axis(v1::JobSpec* spec, const std::string& path, const std::vector<T>& values) {
  google::protobuf::ListValue& list = (*spec->mutable_matrix()->mutable_axes())[path];
  for (const T& value : values) {
    *list.add_values() = Of(value);
  }
}

template <typename T>
void Put(google::protobuf::Struct* entry, const std::string& path, T value) {
  (*entry->mutable_fields())[path] = Of(value);
}

class Matrices : public PipelineSimulation {
 protected:
  // 2 learning rates by 3 seeds.
  static v1::JobSpec Grid() {
    v1::JobSpec spec = PretrainSpec("ko", 1);
    Axis<double>(&spec, "train.seed", {1, 2, 3});
    Axis<double>(&spec, "train.optimizer.learning_rate", {0.001, 0.0005});
    return spec;
  }
  static std::vector<std::string> Expanded(const v1::JobSpec& spec) {
    std::vector<std::string> names;
    const auto jobs = ExpandMatrix(spec, spec.name());
    EXPECT_TRUE(jobs.ok()) << jobs.status();
    for (const MatrixJob& job : jobs.ok() ? *jobs : std::vector<MatrixJob>()) {
      names.push_back(job.spec.name());
    }
    return names;
  }
  static v1::ErrorInfo Refusal(const v1::JobSpec& spec) {
    return InfoOf(ExpandMatrix(spec, spec.name()).status());
  }
  static absl::StatusOr<std::vector<Draft>> Drafts(const std::vector<v1::JobSpec>& documents) {
    int uids = 0;
    const v1::SubmitPipelineRequest request = Request("mini", documents);
    return MakeDrafts("default", request.jobs(), [&uids] {
      return NewJobIds{absl::StrCat("uid-", ++uids), "abcde"};
    });
  }
};

TEST_F(Matrices, OneJobForEachCombinationNamedByItsValues) {
  const auto jobs = ExpandMatrix(Grid(), "ko");
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  EXPECT_THAT(Expanded(Grid()), ElementsAre("ko-0-001-1", "ko-0-001-2", "ko-0-001-3", "ko-0-0005-1",
                                            "ko-0-0005-2", "ko-0-0005-3"));
  const v1::JobSpec& last = jobs->back().spec;
  EXPECT_EQ(last.train().seed(), 3);
  EXPECT_EQ(last.train().optimizer().learning_rate(), 0.0005);
  EXPECT_EQ(last.train().steps(), 300);
  EXPECT_FALSE(last.has_matrix());
}

TEST_F(Matrices, ValuesReachFieldsOfEveryType) {
  v1::JobSpec spec = PretrainSpec("ko", 1);
  Axis<const char*>(&spec, "train.dtype", {"bf16"});
  Axis<double>(&spec, "resources.ranks", {2});
  Axis<const char*>(&spec, "limits.time", {"90s"});
  Axis<const char*>(&spec, "from.job", {"base"});
  Axis<double>(&spec, "from.checkpoint", {100});
  google::protobuf::Value yes;
  yes.set_bool_value(true);
  *(*spec.mutable_matrix()->mutable_axes())["train.deterministic"].add_values() = yes;
  const auto jobs = ExpandMatrix(spec, "ko");
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  const v1::JobSpec& job = (*jobs)[0].spec;
  EXPECT_EQ(job.train().dtype(), v1::TrainConfig::BF16);
  EXPECT_EQ(job.resources().ranks().max(), 2);
  EXPECT_EQ(job.limits().time().seconds(), 90);
  EXPECT_EQ(job.from().job(), "base");
  EXPECT_EQ(job.from().checkpoint(), "100");
  EXPECT_TRUE(job.train().deterministic());
}

TEST_F(Matrices, WhatAnAxisCannotBeIsRefusedByItsName) {
  const std::pair<const char*, google::protobuf::Value> wrong[] = {{"train.sead", Of(1.0)},
                                                                   {"train", Of(1.0)},
                                                                   {"train.optimizer.betas", Of(0.9)},
                                                                   {"labels", Of("x")},
                                                                   {"name", Of("x")},
                                                                   {"train.seed", Of(1.5)},
                                                                   {"train.seed", Of("one")},
                                                                   {"train.dtype", Of("fp8")},
                                                                   {"limits.time", Of("long")},
                                                                   {"from.job_uid", Of("x")},
                                                                   {"resources.ranks", Of(-1e12)},
                                                                   {"matrix.axes", Of("x")},
                                                                   {"train.deterministic", Of(1.0)},
                                                                   {"train.seed.low", Of(1.0)},
                                                                   {"", Of(1.0)}};
  for (const auto& [path, value] : wrong) {
    v1::JobSpec spec = PretrainSpec("ko", 1);
    *(*spec.mutable_matrix()->mutable_axes())[path].add_values() = value;
    EXPECT_EQ(Refusal(spec).field(), absl::StrCat("matrix.", path));
    EXPECT_FALSE(Refusal(spec).remedy().empty()) << path;
  }
  v1::JobSpec typo = PretrainSpec("ko", 1);
  Axis<double>(&typo, "train.sead", {1});
  EXPECT_EQ(Refusal(typo).remedy(), "use seed");
  v1::JobSpec value = PretrainSpec("ko", 1);
  Axis<const char*>(&value, "train.dtype", {"fp8"});
  EXPECT_THAT(std::string(ExpandMatrix(value, "ko").status().message()),
              HasSubstr("matrix.train.dtype: 'fp8' is not one of auto, fp32, bf16"));
}

TEST_F(Matrices, ExcludeTakesOutAndIncludeExtendsOrAdds) {
  v1::JobSpec spec = Grid();
  Put(spec.mutable_matrix()->add_exclude(), "train.seed", 2.0);
  google::protobuf::Struct* one = spec.mutable_matrix()->add_exclude();
  Put(one, "train.seed", 3.0);
  Put(one, "train.optimizer.learning_rate", 0.0005);
  google::protobuf::Struct* extend = spec.mutable_matrix()->add_include();
  Put(extend, "train.seed", 3.0);
  Put(extend, "train.steps", 700.0);
  google::protobuf::Struct* add = spec.mutable_matrix()->add_include();
  Put(add, "train.seed", 9.0);
  Put(add, "train.steps", 50.0);
  EXPECT_THAT(Expanded(spec), ElementsAre("ko-0-001-1", "ko-0-001-3", "ko-0-0005-1", "ko-9-50"));
  const auto jobs = ExpandMatrix(spec, "ko");
  EXPECT_EQ((*jobs)[0].spec.train().steps(), 300);
  EXPECT_EQ((*jobs)[1].spec.train().steps(), 700);
  EXPECT_EQ((*jobs)[3].spec.train().seed(), 9);
  EXPECT_EQ((*jobs)[3].spec.train().steps(), 50);
}

TEST_F(Matrices, IncludeAloneMakesOneJobForEachEntry) {
  v1::JobSpec spec = PretrainSpec("ko", 1);
  Put(spec.mutable_matrix()->add_include(), "train.seed", 1.0);
  Put(spec.mutable_matrix()->add_include(), "train.seed", 2.0);
  EXPECT_THAT(Expanded(spec), ElementsAre("ko-1", "ko-2"));
}

TEST_F(Matrices, WhatNamesNothingOrTooMuchIsRefused) {
  v1::JobSpec all_gone = PretrainSpec("ko", 1);
  Axis<double>(&all_gone, "train.seed", {1});
  Put(all_gone.mutable_matrix()->add_exclude(), "train.seed", 1.0);
  EXPECT_EQ(Refusal(all_gone).field(), "matrix");
  v1::JobSpec no_axis = Grid();
  Put(no_axis.mutable_matrix()->add_exclude(), "train.steps", 1.0);
  EXPECT_EQ(Refusal(no_axis).field(), "matrix.exclude");
  v1::JobSpec empty = Grid();
  empty.mutable_matrix()->add_include();
  EXPECT_EQ(Refusal(empty).field(), "matrix.include");
  v1::JobSpec no_values = Grid();
  (*no_values.mutable_matrix()->mutable_axes())["train.steps"];
  EXPECT_EQ(Refusal(no_values).field(), "matrix.train.steps");
  v1::JobSpec negative = Grid();
  negative.mutable_matrix()->set_max_parallel(-1);
  EXPECT_EQ(Refusal(negative).field(), "matrix.max_parallel");
  v1::JobSpec many = PretrainSpec("ko", 1);
  Axis<double>(&many, "train.seed", std::vector<double>(257, 1.0));
  EXPECT_EQ(Refusal(many).field(), "matrix");
  v1::JobSpec huge = PretrainSpec("ko", 1);
  for (const char* path : {"train.seed", "train.steps", "train.sequence_length", "priority"}) {
    Axis<double>(&huge, path, std::vector<double>(100000, 1.0));
  }
  EXPECT_EQ(Refusal(huge).field(), "matrix");
}

TEST_F(Matrices, NamesThatCollideOrAreTooLongAreRefused) {
  v1::JobSpec same = PretrainSpec("ko", 1);
  Axis<const char*>(&same, "from.job", {"a/b", "a-b"});
  EXPECT_THAT(std::string(ExpandMatrix(same, "ko").status().message()), HasSubstr("both named 'ko-a-b'"));
  v1::JobSpec twice = PretrainSpec("ko", 1);
  Axis<double>(&twice, "train.seed", {1, 1});
  EXPECT_EQ(Refusal(twice).field(), "matrix");
  v1::JobSpec name = PretrainSpec(std::string(60, 'k'), 1);
  Axis<double>(&name, "train.seed", {1000});
  EXPECT_EQ(Refusal(name).field(), "matrix");
  const auto other = Drafts({Grid(), PretrainSpec("ko-0-001-1", 1)});
  EXPECT_EQ(InfoOf(other.status()).reason(), "JOB_DUPLICATE");
  v1::JobSpec base = PretrainSpec("ko-0-001-1", 1);  // Its own name, as that of a matrix.
  Axis<double>(&base, "train.seed", {1});
  EXPECT_EQ(InfoOf(Drafts({Grid(), base}).status()).reason(), "JOB_DUPLICATE");
}

TEST_F(Matrices, JobsOfTwoMatricesArePairedByTheAxesThatTheyShare) {
  v1::JobSpec base = PretrainSpec("base", 1);
  Axis<double>(&base, "train.seed", {1, 2});
  v1::JobSpec child = From("child", "base");
  Axis<double>(&child, "train.seed", {2, 1});
  Axis<double>(&child, "train.steps", {100, 200});
  const auto response = TryPipeline("mini", {child, base});
  ASSERT_TRUE(response.ok()) << Describe(response.status());
  std::map<std::string, std::string> parents;
  for (const v1::Job& job : response->jobs()) {
    parents[job.resolved().name()] = job.resolved().from().job();
    EXPECT_EQ(job.spec().from().job(), job.resolved().from().job());  // So that it can be submitted again.
  }
  EXPECT_EQ(parents.at("child-2-100"), "base-2");
  EXPECT_EQ(parents.at("child-2-200"), "base-2");
  EXPECT_EQ(parents.at("child-1-100"), "base-1");
  const v1::Job& job = response->jobs(response->jobs_size() - 1);
  EXPECT_EQ(job.matrix(), "child");
  EXPECT_EQ(job.matrix_values().fields().at("train.seed").number_value(), 1);
}

TEST_F(Matrices, WhatAnIncludeAddsIsInTheSpecAndNotAmongTheValuesThatGroupJobs) {
  v1::JobSpec base = PretrainSpec("base", 1);
  Axis<double>(&base, "train.steps", {100, 200});
  google::protobuf::Struct* const more = base.mutable_matrix()->add_include();
  Put(more, "train.steps", 100.0);
  Put(more, "train.sequence_length", 64.0);
  const auto response = TryPipeline("mini", {base});
  ASSERT_TRUE(response.ok()) << Describe(response.status());
  const v1::Job& job = response->jobs(0);
  EXPECT_EQ(job.resolved().name(), "base-100");
  EXPECT_EQ(job.resolved().train().sequence_length(), 64);
  EXPECT_EQ(job.matrix_values().fields().size(), 1u);
  EXPECT_EQ(job.matrix_values().fields().count("train.steps"), 1u);
}

TEST_F(Matrices, AMatrixWhereOneJobIsMeantIsRefusedNamingItsJobs) {
  v1::JobSpec base = PretrainSpec("base", 1);
  Axis<double>(&base, "train.seed", {1, 2});
  const auto plain = TryPipeline("mini", {base, From("child", "base")});
  EXPECT_EQ(InfoOf(plain.status()).reason(), "MATRIX_AMBIGUOUS");
  EXPECT_EQ(InfoOf(plain.status()).field(), "from");
  EXPECT_THAT(InfoOf(plain.status()).remedy(), HasSubstr("base-1, base-2"));
  EXPECT_TRUE(TryPipeline("one", {base, From("child", "base-2")}).ok());
  v1::JobSpec apart = From("apart", "base");
  Axis<double>(&apart, "train.steps", {100, 200});
  EXPECT_EQ(InfoOf(Drafts({base, apart}).status()).reason(), "MATRIX_AMBIGUOUS");
  v1::JobSpec wider = PretrainSpec("wider", 1);
  Axis<double>(&wider, "train.seed", {1, 2});
  Axis<double>(&wider, "train.steps", {100, 200});
  v1::JobSpec child = From("child", "wider");
  Axis<double>(&child, "train.seed", {1, 2});
  const auto several = Drafts({wider, child});
  EXPECT_THAT(InfoOf(several.status()).remedy(), HasSubstr("wider-1-100, wider-1-200"));
}

TEST_F(Matrices, AmongTheModelsOfAnEvaluationAMatrixMeansAllItsJobs) {
  v1::JobSpec tuned = PretrainSpec("tuned", 1);
  Axis<double>(&tuned, "train.seed", {1, 2, 3});
  v1::JobSpec verdict;
  verdict.set_kind(v1::JobSpec::EVALUATE);
  verdict.set_name("verdict");
  verdict.mutable_evaluate()->mutable_baseline()->set_job("base");
  verdict.mutable_evaluate()->add_models()->set_job("outside");
  v1::SourceRef* all = verdict.mutable_evaluate()->add_models();
  all->set_job("tuned");
  all->set_checkpoint("latest");
  const auto drafts = Drafts({verdict, tuned, PretrainSpec("base", 1)});
  ASSERT_TRUE(drafts.ok()) << drafts.status();
  std::vector<std::string> models;
  for (const v1::SourceRef& model : drafts->back().spec.evaluate().models()) {
    models.push_back(absl::StrCat(model.job(), ":", model.checkpoint()));
  }
  EXPECT_THAT(models, ElementsAre("outside:", "tuned-1:latest", "tuned-2:latest", "tuned-3:latest"));
  EXPECT_EQ((*drafts)[0].name, "base");
  verdict.mutable_evaluate()->mutable_baseline()->set_job("tuned");
  const auto by_seed = Drafts({verdict, tuned});
  ASSERT_TRUE(by_seed.ok()) << by_seed.status();
  EXPECT_EQ(by_seed->back().spec.evaluate().baselines_size(), 3);
  EXPECT_EQ(by_seed->back().spec.evaluate().baselines(2).job(), "tuned-3");
}

TEST_F(Matrices, MaxParallelHoldsTheRestBackAlsoAfterARestart) {
  AddWorker("w0", 4);
  v1::JobSpec spec = PretrainSpec("ko", 1);
  Axis<double>(&spec, "train.seed", {1, 2, 3});
  spec.mutable_matrix()->set_max_parallel(2);
  const auto uids = Pipeline("mini", {spec, PretrainSpec("other", 1)});
  EXPECT_EQ(StateOf(uids.at("ko-1")), v1::Job::STARTING);
  EXPECT_EQ(StateOf(uids.at("ko-2")), v1::Job::STARTING);
  EXPECT_EQ(StateOf(uids.at("ko-3")), v1::Job::PENDING);
  EXPECT_EQ(StateOf(uids.at("other")), v1::Job::STARTING);  // Nobody waits behind it.
  const v1::Job waiting = Job(uids.at("ko-3"));
  EXPECT_EQ(waiting.reason(), "matrix.max_parallel: 2 jobs of ko run");
  EXPECT_EQ(waiting.pending(0).tier(), v1::PendingReason::QUOTA);
  EXPECT_THAT(waiting.pending(0).blocking_jobs(), SizeIs(2));
  Restart();
  AddWorker("w0", 4);
  EXPECT_EQ(StateOf(uids.at("ko-3")), v1::Job::PENDING);
  Succeed(uids.at("ko-1"));
  EXPECT_EQ(StateOf(uids.at("ko-3")), v1::Job::STARTING);
}

TEST_F(Matrices, OneJobAloneHasNoCombinations) {
  EXPECT_EQ(InfoOf(TrySubmit(Grid()).status()).field(), "matrix");
  EXPECT_THAT(disk_.jobs, IsEmpty());
}

TEST_F(Matrices, AGeneratedNameIsMadeOnceForAll) {
  v1::JobSpec spec = PretrainSpec("", 1);
  spec.set_generate_name("ko-");
  Axis<double>(&spec, "train.seed", {1, 2});
  const auto drafts = Drafts({spec});
  ASSERT_TRUE(drafts.ok()) << drafts.status();
  EXPECT_EQ((*drafts)[0].name, "ko-abcde-1");
  EXPECT_EQ((*drafts)[1].spec.name(), "ko-abcde-2");
}

}  // namespace
}  // namespace cherry::coordinator
