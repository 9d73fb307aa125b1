#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/data/checkpoint_export.h"
#include "common/hash.h"
#include "common/manifest.h"
#include "common/status.h"
#include "nlohmann/json.hpp"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class ExportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.checkpoint = directory_.path() + "/checkpoint";
    options_.output = directory_.path() + "/out/hf";
    Save("LlamaForCausalLM");
  }
  void Save(const std::string& architecture) {
    Manifest manifest;
    manifest.step = 50;
    manifest.spec.mutable_train()->set_sequence_length(256);
    for (const char* name : {kModelFile, kOptimizerFile, kConfigFile, kTokenizerFile}) {
      const std::string content =
          absl::StrCat("{\"content of\": \"", name, "\", \"architectures\": [\"", architecture, "\"]}");
      directory_.File(absl::StrCat("checkpoint/", name), content);
      manifest.files.push_back({name, static_cast<int64_t>(content.size()), HashBytes(content)});
    }
    directory_.File("checkpoint/manifest.json", ManifestToJson(manifest));
  }
  std::string Exported(const std::string& name) { return ReadFile(options_.output + "/" + name).value(); }

  TestDirectory directory_;
  ExportOptions options_;
};

TEST_F(ExportTest, WritesWhatTransformersOpens) {
  const auto result = ExportCheckpoint(options_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->step, 50);
  EXPECT_THAT(ListDirectory(options_.output).value(),
              UnorderedElementsAre("model.safetensors", "config.json", "tokenizer.json",
                                   "tokenizer_config.json", "generation_config.json"));
  EXPECT_THAT(Exported("model.safetensors"), HasSubstr("model.safetensors"));
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

TEST_F(ExportTest, NormsOfQueryAndKeyAreAQwen3) {
  Save("Qwen3ForCausalLM");
  EXPECT_TRUE(ExportCheckpoint(options_).ok());
}

TEST_F(ExportTest, AModelTransformersCannotExpressNeedsCherrysFormat) {
  Save("CherryRecurrent");
  const auto result = ExportCheckpoint(options_);
  EXPECT_EQ(InfoOf(result.status()).reason(), "MODEL_NOT_EXPRESSIBLE");
  EXPECT_THAT(InfoOf(result.status()).remedy(), HasSubstr("--format cherry"));
  EXPECT_FALSE(Exists(options_.output));
  options_.format = ExportFormat::kCherry;
  EXPECT_TRUE(ExportCheckpoint(options_).ok());
}

}  // namespace
}  // namespace cherry::client
