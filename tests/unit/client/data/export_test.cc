#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/data/checkpoint_export.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/hf_config.h"
#include "common/manifest.h"
#include "common/safetensors.h"
#include "common/status.h"
#include "nlohmann/json.hpp"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

class ExportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.checkpoint = directory_.path() + "/checkpoint";
    options_.output = directory_.path() + "/out/hf";
    auto trainer = TokenizerTrainer::Create({.vocab_size = 300});
    ASSERT_TRUE(trainer.ok());
    const absl::string_view text = "the text of a tokenizer";
    ASSERT_TRUE(trainer->Feed({text}).ok());
    tokenizer_ = trainer->Train()->ToJson().value();
    Save(Shape());
  }
  static ModelShape Shape() {
    ModelShape shape;
    shape.layers = 1;
    shape.dim = 4;
    shape.heads = 2;
    shape.kv_heads = 1;
    shape.ffn_dim = 6;
    shape.vocab = 300;
    return shape;
  }
  // A single tensor stands for all that is copied as it is.
  void Save(const ModelShape& shape, const std::vector<std::string>& tensors = {"model.norm.weight"}) {
    const std::string directory = directory_.path() + "/checkpoint/";
    ASSERT_TRUE(MakeDirectories(directory).ok());
    const float values[] = {1.5F, 0.0F};
    std::vector<TensorBytes> written;
    for (const std::string& name : tensors) {
      written.push_back({name, "F32", {2}, values, sizeof(values)});
    }
    ASSERT_TRUE(WriteSafetensors(directory + kModelFile, written, {}).ok());
    directory_.File(absl::StrCat("checkpoint/", kConfigFile), HfConfig(shape, 256));
    directory_.File(absl::StrCat("checkpoint/", kTokenizerFile), tokenizer_);
    directory_.File(absl::StrCat("checkpoint/", kOptimizerFile), "moments");
    Manifest manifest;
    manifest.step = 50;
    manifest.spec.mutable_train()->set_sequence_length(256);
    for (const char* name : {kModelFile, kOptimizerFile, kConfigFile, kTokenizerFile}) {
      const std::string content = ReadFile(directory + name).value();
      manifest.files.push_back({name, static_cast<int64_t>(content.size()), HashBytes(content)});
    }
    directory_.File("checkpoint/manifest.json", ManifestToJson(manifest));
  }
  std::string Exported(const std::string& name) { return ReadFile(options_.output + "/" + name).value(); }

  TestDirectory directory_;
  ExportOptions options_;
  std::string tokenizer_;
};

TEST_F(ExportTest, WritesWhatTransformersOpens) {
  const auto result = ExportCheckpoint(options_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->step, 50);
  EXPECT_THAT(ListDirectory(options_.output).value(),
              UnorderedElementsAre("model.safetensors", "config.json", "tokenizer.json",
                                   "tokenizer_config.json", "generation_config.json"));
  EXPECT_THAT(Exported("model.safetensors"), HasSubstr("model.norm.weight"));
  const auto config = nlohmann::json::parse(Exported("tokenizer_config.json"));
  EXPECT_EQ(config["tokenizer_class"], "PreTrainedTokenizerFast");
  EXPECT_EQ(config["eos_token"], "</s>");
  EXPECT_EQ(config["model_max_length"], 256);
}

TEST_F(ExportTest, CherrysOwnFormatVerifiesAgain) {
  options_.format = ExportFormat::kCherry;
  ASSERT_TRUE(ExportCheckpoint(options_).ok());
  EXPECT_TRUE(VerifyCheckpoint(options_.output).ok());
}

TEST_F(ExportTest, ADirectoryInUseNeedsForceAndKeepsItsOtherFiles) {
  directory_.File("out/hf/notes.txt", "mine");
  const auto refused = ExportCheckpoint(options_);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(Exists(options_.output + "/config.json"));
  options_.force = true;
  ASSERT_TRUE(ExportCheckpoint(options_).ok());
  EXPECT_EQ(Exported("notes.txt"), "mine");
}

TEST_F(ExportTest, ADamagedCheckpointIsNamedAndNothingIsWritten) {
  directory_.File("checkpoint/optimizer.safetensors",
                  std::string(ReadFile(options_.checkpoint + "/optimizer.safetensors")->size(), 'x'));
  const auto result = ExportCheckpoint(options_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("optimizer.safetensors"));
  EXPECT_FALSE(Exists(options_.output));
}

TEST_F(ExportTest, AModelTransformersHasNoClassForBringsItsCode) {
  ModelShape shape = Shape();
  shape.schedule = "1x3";
  Save(shape);
  ASSERT_TRUE(ExportCheckpoint(options_).ok());
  const auto config = nlohmann::json::parse(Exported("config.json"));
  EXPECT_EQ(config["auto_map"]["AutoModelForCausalLM"], "modeling_cherry.CherryForCausalLM");
  EXPECT_EQ(config["schedule"], "1x3");
  EXPECT_THAT(Exported("modeling_cherry.py"), HasSubstr("class CherryForCausalLM"));
}

TEST_F(ExportTest, TheChainLiesBeside) {
  ModelShape shape = Shape();
  shape.token_chain = true;
  Save(shape, {"model.norm.weight", "model.token_chain.norm.weight"});
  const auto result = ExportCheckpoint(options_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(nlohmann::json::parse(Exported("config.json"))["architectures"][0], "LlamaForCausalLM");
  EXPECT_THAT(Exported("model.safetensors"), Not(HasSubstr("token_chain")));
  EXPECT_THAT(Exported("multi_token.safetensors"), HasSubstr("model.token_chain.norm.weight"));
  EXPECT_THAT(result->files, Contains("multi_token.safetensors"));
}

TEST_F(ExportTest, ATensorThatIsMissingIsNamed) {
  ModelShape shape = Shape();
  shape.schedule = "1x3";
  shape.serveable = true;
  Save(shape);
  const auto result = ExportCheckpoint(options_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("model.embed_tokens.weight"));
}

}  // namespace
}  // namespace cherry::client
