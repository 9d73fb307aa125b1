#include "client/cli/job_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "google/protobuf/util/message_differencer.h"

namespace cherry::client {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;

v1::JobSpec Parse(const std::string& text) {
  const auto jobs = ParseJobFile(text, "a.yaml");
  EXPECT_TRUE(jobs.ok()) << jobs.status();
  return jobs.ok() && !jobs->empty() ? jobs->front() : v1::JobSpec();
}

// The whole first document of the user's guide.
constexpr char kPretrain[] = R"(
kind: pretrain
name: ko-base
namespace: default
labels: {team: ko, tier: 1}
priority: -3
resources:
  ranks: 2
  device: cuda
  ranks_per_host: 0
  node_selector: {gpu: H100}
model: {preset: tiny, layers: 5, tied_embeddings: true}
data: {train: ko/train, valid: ko/valid, targets: responses}
train:
  steps: 300
  sequence_length: 256
  global_batch_size: 16
  micro_batch_size: 4
  optimizer: {learning_rate: 1e-3, betas: [0.9, 0.95], eps: 1e-8, weight_decay: 0.1, max_grad_norm: 1.0}
  lr_scheduler: {type: wsd, warmup_steps: 20, min_lr: 1e-4}
  dtype: bf16
  activation_checkpoint: full
  seed: 1
  deterministic: true
validation: {every_steps: 50}
checkpoint: {every_steps: 50, keep_last: 2, keep_best: true, keep_every: 0}
limits: {retries: 3, time: 1h30m}
)";

TEST(JobFile, ReadsEveryKindOfField) {
  const v1::JobSpec spec = Parse(kPretrain);
  EXPECT_EQ(spec.kind(), v1::JobSpec::PRETRAIN);
  EXPECT_EQ(spec.name(), "ko-base");
  EXPECT_EQ(spec.namespace_(), "default");
  EXPECT_EQ(spec.labels().at("team"), "ko");
  EXPECT_EQ(spec.labels().at("tier"), "1");
  EXPECT_EQ(spec.priority(), -3);
  EXPECT_EQ(spec.resources().ranks().min(), 2);
  EXPECT_EQ(spec.resources().ranks().max(), 2);
  EXPECT_EQ(spec.resources().device(), v1::Resources::CUDA);
  EXPECT_EQ(spec.resources().node_selector().at("gpu"), "H100");
  EXPECT_EQ(spec.model().layers(), 5);
  EXPECT_TRUE(spec.model().tied_embeddings());
  EXPECT_EQ(spec.data().targets(), v1::DataConfig::RESPONSES);
  EXPECT_DOUBLE_EQ(spec.train().optimizer().learning_rate(), 1e-3);
  EXPECT_EQ(spec.train().optimizer().betas_size(), 2);
  EXPECT_EQ(spec.train().lr_scheduler().type(), v1::LrScheduler::WSD);
  EXPECT_EQ(spec.train().dtype(), v1::TrainConfig::BF16);
  EXPECT_TRUE(spec.train().deterministic());
  EXPECT_TRUE(spec.checkpoint().has_keep_every());
  EXPECT_EQ(spec.limits().time().seconds(), 5400);
}

TEST(JobFile, LeavesOutWhatIsNotGiven) {
  const v1::JobSpec spec = Parse("kind: pretrain\nname: a\n");
  EXPECT_FALSE(spec.has_train());
  EXPECT_FALSE(spec.has_model());
}

TEST(JobFile, ReadsARangeOfRanks) {
  const v1::JobSpec spec = Parse("kind: pretrain\nresources: {ranks: {min: 1, max: 4}}");
  EXPECT_EQ(spec.resources().ranks().min(), 1);
  EXPECT_EQ(spec.resources().ranks().max(), 4);
}

TEST(JobFile, ReadsWholeNumbersInScientificNotation) {
  EXPECT_EQ(Parse("train: {steps: 1e4}").train().steps(), 10000);
}

TEST(JobFile, ReadsAStepAsCheckpoint) {
  EXPECT_EQ(Parse("from: {job: ko-base, checkpoint: 120}").from().checkpoint(), "120");
}

TEST(JobFile, ReadsListsOfEnumsAndMessages) {
  const v1::JobSpec spec = Parse(
      "kind: fuse\nexperts: [{job: a}, {job: b, checkpoint: latest}]\n"
      "sgt: {selector: top_loss, categories: [fact, reason, correct]}\n"
      "compress: {unroll: {growth: [1, 2, 4, 8]}}\n");
  ASSERT_EQ(spec.experts_size(), 2);
  EXPECT_EQ(spec.experts(1).checkpoint(), "latest");
  ASSERT_EQ(spec.sgt().categories_size(), 3);
  EXPECT_EQ(spec.sgt().categories(2), v1::SgtConfig::CORRECT);
  EXPECT_EQ(spec.compress().unroll().growth(3), 8);
}

TEST(JobFile, ReadsAMatrixWithItsAxesBesideItsOtherKeys) {
  const v1::JobSpec spec = Parse(
      "matrix: {train.seed: [1, 2, 3], sgt.selector: [rule, random], max_parallel: 2,\n"
      "         exclude: [{train.seed: 3, sgt.selector: random}]}");
  EXPECT_EQ(spec.matrix().axes().at("train.seed").values(2).number_value(), 3);
  EXPECT_EQ(spec.matrix().axes().at("sgt.selector").values(1).string_value(), "random");
  EXPECT_EQ(spec.matrix().max_parallel(), 2);
  EXPECT_EQ(spec.matrix().exclude(0).fields().at("train.seed").number_value(), 3);
}

TEST(JobFile, ReadsSeveralDocuments) {
  const auto jobs = ParseJobFile("name: a\n---\nname: b\n---\n", "a.yaml");
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  ASSERT_EQ(jobs->size(), 2u);
  EXPECT_EQ(jobs->back().name(), "b");
}

struct Bad {
  const char* text;
  const char* where;   // In the message: place and field.
  const char* remedy;  // In the remedy.
};

void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.text; }

class BadJobFile : public testing::TestWithParam<Bad> {};

TEST_P(BadJobFile, IsRefusedWithPlaceAndRemedy) {
  const auto jobs = ParseJobFile(GetParam().text, "a.yaml");
  ASSERT_FALSE(jobs.ok());
  EXPECT_EQ(jobs.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(jobs.status().message()), HasSubstr(GetParam().where));
  EXPECT_THAT(InfoOf(jobs.status()).remedy(), HasSubstr(GetParam().remedy));
  EXPECT_FALSE(InfoOf(jobs.status()).reason().empty());
}

INSTANTIATE_TEST_SUITE_P(
    Keys, BadJobFile,
    testing::Values(
        Bad{"kind: pretrain\ntrian: {steps: 3}", "a.yaml:2: trian: unknown key", "use train"},
        Bad{"train:\n  lr: 1e-3", "a.yaml:2: train.lr: unknown key", "train.optimizer.learning_rate"},
        Bad{"lr: 1", "lr: unknown key", "train.optimizer.learning_rate"},
        Bad{"train: {learning_rate: 1}", "train.learning_rate", "train.optimizer.learning_rate"},
        Bad{"train: {optimizer: {lr: 1}}", "train.optimizer.lr", "train.optimizer.learning_rate"},
        Bad{"train: {seq_len: 1}", "train.seq_len", "train.sequence_length"},
        Bad{"max_steps: 1", "max_steps", "train.steps"}, Bad{"steps: 1", "steps", "train.steps"},
        Bad{"train: {batch_size: 1}", "train.batch_size", "train.global_batch_size"},
        Bad{"train: {gradient_accumulation_steps: 2}", "gradient_accumulation_steps", "global_batch_size"},
        Bad{"model: {num_layers: 2}", "model.num_layers", "model.layers"},
        Bad{"compress: {num_layers: 2}", "compress.num_layers", "compress.layers"},
        Bad{"model: {hidden_size: 2}", "model.hidden_size", "model.dim"},
        Bad{"model: {numAttentionHeads: 2}", "model.numAttentionHeads", "model.heads"},
        Bad{"train: {globalBatchSize: 2}", "train.globalBatchSize", "train.global_batch_size"},
        Bad{"train: {warmup_steps: 2}", "train.warmup_steps", "train.lr_scheduler.warmup_steps"},
        Bad{"train: {num_epochs: 2}", "train.num_epochs", "train.epochs"},
        Bad{"model: {preset: tiny, positions: 4096}", "model.positions: unknown key", ""},
        Bad{"resources: {gpus: 2}", "resources.gpus", "resources.ranks"},
        Bad{"from: {job: a, job_uid: b}", "from.job_uid: unknown key", "job, checkpoint, model"},
        Bad{"from: {name: a}", "from.name", "job, checkpoint, model"},
        Bad{"zzzzzzzzzzzz: 1", "zzzzzzzzzzzz: unknown key", "the keys here are kind, name"},
        Bad{"train: {steps: 1, steps: 2}", "train.steps: given twice", "remove one"},
        Bad{"labels: {a: 1, a: 2}", "labels.a: given twice", "remove one"},
        Bad{"<<: {a: 1}", "<<", "merge keys"},
        Bad{"? [a, b]\n: c", "a key is not plain text", "key: value"}));

INSTANTIATE_TEST_SUITE_P(
    Values, BadJobFile,
    testing::Values(
        Bad{"train: {steps: many}", "a.yaml:1: train.steps: 'many' is not a whole number", "300"},
        Bad{"train: {steps: 1.5}", "train.steps: '1.5' is not a whole number", "300"},
        Bad{"train: {steps: \"300\"}", "is text, not a number", "without quotes"},
        Bad{"train: {steps: [1]}", "train.steps: is a list", "one value"},
        Bad{"train: {steps: }", "train.steps: has no value", "remove the key"},
        Bad{"train: {global_batch_size: 3000000000}", "train.global_batch_size: 3000000000 is too large",
            "2147483647"},
        Bad{"train: {optimizer: {eps: small}}", "train.optimizer.eps: 'small' is not a number", "1e-3"},
        Bad{"train: {optimizer: {eps: .inf}}", "is not a number", "1e-3"},
        Bad{"train: {optimizer: {betas: 0.9}}", "train.optimizer.betas: is not a list", "[FIRST"},
        Bad{"train: {optimizer: {betas: [a]}}", "train.optimizer.betas[0]: 'a' is not a number", "0.001"},
        Bad{"train: {deterministic: yes}", "train.deterministic: 'yes' is neither", "true or false"},
        Bad{"train: {dtype: fp8}", "train.dtype: 'fp8' is not one of auto, fp32, bf16", "use"},
        Bad{"train: {dtype: FP32}", "train.dtype: 'FP32'", "fp32"},
        Bad{"kind: pretain", "kind: 'pretain' is not one of pretrain, sgt", "use pretrain"},
        Bad{"kind: kind_unspecified", "kind: 'kind_unspecified'", "use"},
        Bad{"limits: {time: 90}", "limits.time: '90' is not a duration", "90s"},
        Bad{"limits: {time: -1h}", "limits.time: '-1h'", "12h"},
        Bad{"resources: {ranks: two}", "resources.ranks: 'two' is not a whole number", "300"},
        Bad{"resources: {ranks: [1, 2]}", "resources.ranks: is neither a number nor a range", "{min: 1"},
        Bad{"resources: 2", "resources: is not a mapping", "ranks"},
        Bad{"from: ko-base", "from: is not a mapping", "job, checkpoint"},
        Bad{"labels: [a]", "labels: is not a mapping", "{key: value}"},
        Bad{"labels: {a: [b]}", "labels: keys and values", "{key: value}"},
        Bad{"- a", "the document is not a mapping", "kind, name"}, Bad{"text", "is not a mapping", "kind"},
        Bad{"", "has no job in it", "kind, name"}, Bad{"---\n---\n", "has no job in it", "kind"},
        Bad{"kind: [unclosed", "a.yaml:", "example"}, Bad{"a: b: c", "a.yaml:1: is not YAML", "example"},
        Bad{"name: \"\xff\xfe\"", "is not UTF-8", "UTF-8"},
        Bad{"matrix: {train.sed: [1]}", "matrix.train.sed: unknown key", "use train.seed"},
        Bad{"matrix: {train.seed: 1}", "matrix.train.seed: is not a list", "[FIRST"},
        Bad{"matrix: {train.seed: []}", "matrix.train.seed: is not a list", "[FIRST"},
        Bad{"matrix: {train.seed: [a]}", "matrix.train.seed: 'a' is not a whole number", "300"},
        Bad{"matrix: {labels.a: [b]}", "cannot be varied", "train.seed"},
        Bad{"matrix: {include: {train.seed: 1}}", "matrix.include: is not a list", "[{"}));

TEST(JobFile, RefusesMoreThanAMegabyteAndTooManyJobs) {
  EXPECT_THAT(ParseJobFile(std::string(kMaxJobFileBytes + 1, ' '), "a.yaml").status().ToString(),
              HasSubstr("larger than 1 MiB"));
  std::string many;
  for (size_t i = 0; i <= kMaxJobsInFile; ++i) {
    absl::StrAppend(&many, "---\nname: a\n");
  }
  EXPECT_THAT(ParseJobFile(many, "a.yaml").status().ToString(), HasSubstr("more than 256 jobs"));
}

TEST(JobFile, RefusesDeepNestingInsteadOfOverflowingTheStack) {
  EXPECT_FALSE(ParseJobFile(std::string(200000, '['), "a.yaml").ok());
  std::string blocks;
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&blocks, std::string(i, ' '), "a:\n");
  }
  EXPECT_FALSE(ParseJobFile(blocks, "a.yaml").ok());
}

// Cut anywhere and with any byte changed, a file is read or refused, never anything else.
TEST(JobFile, SurvivesDamagedFiles) {
  const std::string text = kPretrain;
  for (size_t i = 0; i < text.size(); i += 3) {
    const absl::Status cut = ParseJobFile(text.substr(0, i), "a.yaml").status();
    EXPECT_TRUE(cut.ok() || absl::IsInvalidArgument(cut)) << cut;
    for (const char byte : {'\0', '{', ']', ':', '"', '\n', '\t', '&', '*', '\x80'}) {
      std::string damaged = text;
      damaged[i] = byte;
      const absl::Status status = ParseJobFile(damaged, "a.yaml").status();
      EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
    }
  }
}

TEST(SetField, ChangesOneFieldAndKeepsTheRest) {
  v1::JobSpec spec = Parse(kPretrain);
  ASSERT_TRUE(SetField("train.steps=20", &spec).ok());
  ASSERT_TRUE(SetField("train.optimizer.betas=[0.8, 0.9]", &spec).ok());
  ASSERT_TRUE(SetField("resources.ranks=4", &spec).ok());
  ASSERT_TRUE(SetField("labels.team=en", &spec).ok());
  ASSERT_TRUE(SetField("labels.owner.name=kim", &spec).ok());
  ASSERT_TRUE(SetField("matrix.train.seed=[1, 2]", &spec).ok());
  ASSERT_TRUE(SetField("matrix.max_parallel=3", &spec).ok());
  EXPECT_EQ(spec.train().steps(), 20);
  EXPECT_EQ(spec.train().sequence_length(), 256);
  EXPECT_DOUBLE_EQ(spec.train().optimizer().betas(0), 0.8);
  EXPECT_EQ(spec.train().optimizer().betas_size(), 2);
  EXPECT_EQ(spec.resources().ranks().max(), 4);
  EXPECT_EQ(spec.labels().at("team"), "en");
  EXPECT_EQ(spec.labels().at("owner.name"), "kim");
  EXPECT_EQ(spec.labels_size(), 3);
  EXPECT_EQ(spec.matrix().axes().at("train.seed").values_size(), 2);
  EXPECT_EQ(spec.matrix().max_parallel(), 3);
}

TEST(SetField, AnEmptyValueTakesTheFieldOut) {
  v1::JobSpec spec = Parse(kPretrain);
  ASSERT_TRUE(SetField("train.seed=", &spec).ok());
  EXPECT_FALSE(spec.train().has_seed());
  ASSERT_TRUE(SetField("labels.team=", &spec).ok());
  EXPECT_EQ(spec.labels_size(), 1);
}

TEST(SetField, RefusesWhatAFileWouldNotTakeAndChangesNothing) {
  const v1::JobSpec before = Parse(kPretrain);
  for (const auto& [assignment, message, remedy] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"train.stepz=3", "--set train.stepz: unknown key", "use train.steps"},
           {"resources.nodes=2", "resources.nodes: unknown key", "resources.ranks"},
           {"lr=3", "--set lr: unknown key", "train.optimizer.learning_rate"},
           {"train.steps=many", "train.steps: 'many'", "300"},
           {"train.steps.deep=1", "train.steps has no keys below it", "train.steps=VALUE"},
           {"train.steps", "is not path=value", "train.steps=300"},
           {"=3", "is not path=value", "train.steps=300"},
           {"train.optimizer={lr: 3}", "train.optimizer.lr", "learning_rate"},
           {"train=[", "is not YAML", "quote"}}) {
    v1::JobSpec spec = before;
    const absl::Status status = SetField(assignment, &spec);
    ASSERT_FALSE(status.ok()) << assignment;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
    EXPECT_THAT(InfoOf(status).remedy(), HasSubstr(remedy));
    EXPECT_TRUE(MessageDifferencer::Equals(spec, before)) << assignment;
  }
}

TEST(JobSpecToYaml, IsReadBackAsTheSameSpec) {
  for (const std::string& text : std::vector<std::string>{
           kPretrain, "kind: pretrain\nname: a\nresources: {ranks: {min: 1, max: 4}}",
           "kind: fuse\nexperts: [{job: a}, {model: b}]\nfuse: {routing: token, balance: none}",
           "kind: evaluate\nevaluate: {baseline: {job: a}, models: [{job: b}], measures: [loss, "
           "selection_gain]}",
           "compress: {layers: 6, unroll: {schedule: \"1 + 4x8 + 1\", start: flow, growth: [1, 2]}}",
           "matrix: {train.seed: [1, 2], train.optimizer.eps: [0.5], train.deterministic: [true, false], "
           "data.train: [\"1/a\"],\n"
           "         include: [{train.seed: 9}], max_parallel: 2}",
           "labels: {a: \"true\", b: \"#x: y\", c: \"\", d: '한국어 \"x\" \\', e: \"1e-3\", f: ' '}",
           "train: {optimizer: {learning_rate: 0.1, eps: 1e-300, weight_decay: 0.30000000000000004}}",
           "limits: {time: 1.5s}"}) {
    const v1::JobSpec spec = Parse(text);
    const std::string yaml = JobSpecToYaml(spec);
    const auto again = ParseJobFile(yaml, "again.yaml");
    ASSERT_TRUE(again.ok()) << again.status() << "\n" << yaml;
    EXPECT_TRUE(MessageDifferencer::Equals(again->front(), spec)) << yaml;
  }
}

TEST(JobSpecToYaml, LeavesOutputOnlyFieldsOut) {
  v1::JobSpec spec = Parse("from: {job: a}");
  spec.mutable_from()->set_job_uid("0123");
  EXPECT_EQ(JobSpecToYaml(spec), "from: {job: a}\n");
}

}  // namespace
}  // namespace cherry::client
