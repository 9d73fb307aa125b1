#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/spec.h"
#include "common/status.h"
#include "common/token_file.h"
#include "common/token_labels.h"
#include "tests/unit/worker/trainer/driver.h"

namespace cherry::trainer {
namespace {

constexpr int kVocab = 64;
constexpr char kUid[] = "uid-1";

// As the preparation of data would: what could not be foreseen is a fact, and the second half of a document
// is what an assistant says.
void WriteLabels(const std::string& prefix, const std::string& labels, v1::Split* split) {
  ASSERT_TRUE(WriteFileAtomically(prefix + kLabelsSuffix, labels).ok());
  split->set_labels_hash(HashFile(prefix + kLabelsSuffix).value());
  for (const char label : labels) {
    split->set_fact_tokens(split->fact_tokens() +
                           (CategoryOf(static_cast<uint8_t>(label)) == Category::kFact));
    split->set_response_tokens(split->response_tokens() + ((label & kResponse) != 0));
  }
}

// Documents of a language with a strong habit: each token mostly decides the next.
void WriteSplit(const std::string& prefix, int documents, uint64_t seed, v1::Split* split) {
  auto writer = TokenFileWriter::Create(prefix, 2);
  ASSERT_TRUE(writer.ok()) << writer.status();
  uint64_t state = seed;
  int64_t tokens = 0;
  std::string labels;
  for (int d = 0; d < documents; ++d) {
    std::vector<int32_t> document;
    int32_t token = 3;
    for (int i = 0; i < 60; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      const bool surprise = (state >> 60) == 0;
      token = 3 + (surprise ? static_cast<int32_t>((state >> 40) % (kVocab - 3))
                            : (token * 5 + 1) % (kVocab - 3));
      document.push_back(token);
      labels.push_back(static_cast<char>((surprise ? 1 | kSpanStart : 0) | (i >= 30 ? kResponse : 0)));
    }
    document.push_back(2);
    labels.push_back(0);
    tokens += static_cast<int64_t>(document.size());
    ASSERT_TRUE((*writer)->Add(document).ok());
  }
  ASSERT_TRUE((*writer)->Finish().ok());
  WriteLabels(prefix, labels, split);
  split->set_tokens(tokens);
  split->set_documents(documents);
  split->set_bin_bytes(2 * tokens);
  split->set_bin_hash(HashFile(prefix + ".bin").value());
  split->set_idx_hash(HashFile(prefix + ".idx").value());
}

std::string MakeTemporaryDirectory() {
  const char* base = std::getenv("TMPDIR");
  std::string path = absl::StrCat(base == nullptr ? "/tmp" : base, "/cherry-trainer-test-XXXXXX");
  return mkdtemp(path.data()) == nullptr ? "" : path;
}

}  // namespace

Workspace::Workspace() : path_(MakeTemporaryDirectory()) {
  const std::string directory = data_root() + "/ko";
  EXPECT_TRUE(MakeDirectories(directory).ok());
  EXPECT_TRUE(MakeDirectories(checkpoint_root()).ok());
  EXPECT_TRUE(WriteFileAtomically(absl::StrCat(checkpoint_root(), "/", kRootIdFile), "root\n").ok());
  EXPECT_TRUE(WriteFileAtomically(directory + "/tokenizer.json", "{\"version\": \"1.0\"}\n").ok());
  dataset_.set_name("ko");
  dataset_.set_path("ko");
  dataset_.set_vocab(kVocab);
  dataset_.set_bytes_per_token(2);
  v1::Split* train = dataset_.add_splits();
  train->set_name("train");
  WriteSplit(directory + "/train", 120, 1, train);
  v1::Split* valid = dataset_.add_splits();
  valid->set_name("valid");
  WriteSplit(directory + "/valid", 12, 2, valid);
}

Workspace::~Workspace() { Drop(RemoveTree(path_)); }

v1::JobSpec Workspace::Resolved(const v1::JobSpec& spec, SpecContext context) const {
  context.train = {&dataset_};
  context.valid = {&dataset_};
  const absl::StatusOr<v1::JobSpec> resolved = ResolveSpec(spec, context);
  EXPECT_TRUE(resolved.ok()) << resolved.status();
  return resolved.value_or(spec);
}

v1::JobSpec Workspace::Spec(int64_t steps) const {
  v1::JobSpec spec;
  spec.set_kind(v1::JobSpec::PRETRAIN);
  spec.set_name("ko-base");
  spec.mutable_model()->set_layers(2);
  spec.mutable_model()->set_dim(32);
  spec.mutable_model()->set_heads(2);
  spec.mutable_model()->set_ffn_dim(64);
  spec.mutable_data()->set_train("ko/train");
  spec.mutable_data()->set_valid("ko/valid");
  v1::TrainConfig* train = spec.mutable_train();
  train->set_steps(steps);
  train->set_sequence_length(32);
  train->set_global_batch_size(8);
  train->set_micro_batch_size(2);
  train->set_deterministic(true);
  train->mutable_optimizer()->set_learning_rate(1e-2);
  spec.mutable_validation()->set_every_steps(10);
  spec.mutable_checkpoint()->set_every_steps(10);
  spec.mutable_resources()->set_device(v1::Resources::CPU);
  SpecContext context;
  return Resolved(spec, std::move(context));
}

v1::JobSpec Workspace::SgtSpec(int64_t steps, v1::SgtConfig::Selector selector) const {
  const v1::JobSpec base = Spec(steps);
  v1::JobSpec spec = base;
  spec.set_kind(v1::JobSpec::SGT);
  spec.set_name("ko-sgt");
  spec.mutable_from()->set_job("ko-base");
  spec.mutable_sgt()->set_selector(selector);
  spec.mutable_sgt()->set_coupling_every(5);
  spec.mutable_train()->mutable_optimizer()->set_learning_rate(1e-3);
  spec.mutable_train()->clear_lr_scheduler();
  SpecContext context;
  context.parent_model = &base.model();
  context.reference_model = &base.model();
  return Resolved(spec, std::move(context));
}

v1::JobSpec Workspace::CompressSpec(int64_t steps, v1::UnrollConfig::Start start) const {
  const v1::JobSpec base = Spec(steps);
  v1::JobSpec spec = base;
  spec.set_kind(v1::JobSpec::COMPRESS);
  spec.set_name("ko-1");
  spec.clear_model();
  spec.mutable_from()->set_job("ko-base");
  spec.mutable_compress()->set_layers(1);
  spec.mutable_compress()->mutable_unroll()->set_schedule("1x4");
  spec.mutable_compress()->mutable_unroll()->set_start(start);
  for (const int rounds : {1, 2, 4}) {
    spec.mutable_compress()->mutable_unroll()->add_growth(rounds);
  }
  SpecContext context;
  context.parent_model = &base.model();
  return Resolved(spec, std::move(context));
}

v1::JobSpec Workspace::FuseSpec(int64_t steps) const {
  const v1::JobSpec base = Spec(steps);
  v1::JobSpec spec = base;
  spec.set_kind(v1::JobSpec::FUSE);
  spec.set_name("ko-moee");
  spec.clear_model();
  SpecContext context;
  for (const char* job : {"ko-a", "ko-b"}) {
    spec.add_experts()->set_job(job);
    InputSource& expert = context.inputs.emplace_back();
    expert.model = base.model();
    expert.train = "ko/train";
    expert.data = &dataset_;
    expert.lineage = {"ko-base"};
  }
  spec.mutable_fuse()->set_top_k(1);
  spec.mutable_fuse()->set_balance_rate(0.01);
  spec.mutable_multi_token()->set_depth(2);
  return Resolved(spec, std::move(context));
}

v1::JobSpec Workspace::EvaluateSpec() const {
  const v1::JobSpec base = Spec(1);
  v1::JobSpec spec = base;
  spec.set_kind(v1::JobSpec::EVALUATE);
  spec.set_name("ko-verdict");
  spec.clear_model();
  spec.mutable_evaluate()->mutable_baseline()->set_job("ko-base");
  spec.mutable_evaluate()->add_models()->set_job("ko-sgt");
  spec.mutable_evaluate()->add_measures(v1::EvaluateConfig::RECOVERY);
  SpecContext context;
  context.parent_model = &base.model();
  return Resolved(spec, std::move(context));
}

v1::StartAttempt Workspace::MethodAttempt(const v1::JobSpec& spec, const v1::Checkpoint& start, int64_t epoch,
                                          int world_size) const {
  v1::StartAttempt attempt = Attempt(spec, epoch, world_size);
  if (spec.kind() != v1::JobSpec::FUSE) {
    *attempt.mutable_from() = start;
  }
  for (const char* role : {"origin", "sgt.reference", "experts[0]", "experts[1]"}) {
    v1::JobInput* const input = attempt.add_inputs();
    input->set_role(role);
    *input->mutable_checkpoint() = start;
  }
  return attempt;
}

v1::StartAttempt Workspace::Attempt(const v1::JobSpec& spec, int64_t epoch, int world_size) const {
  v1::StartAttempt attempt;
  attempt.mutable_attempt()->set_job_uid(kUid);
  attempt.mutable_attempt()->set_epoch(epoch);
  attempt.set_job_name("namespaces/default/jobs/ko-base");
  attempt.set_namespace_("default");
  *attempt.mutable_spec() = spec;
  attempt.set_world_size(world_size);
  *attempt.add_datasets() = dataset_;
  attempt.set_checkpoint_directory(absl::StrCat("default/", kUid, "/epoch-", epoch));
  attempt.mutable_rendezvous_timeout()->set_seconds(60);
  return attempt;
}

}  // namespace cherry::trainer
