#include "coordinator/api/model_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "common/file.h"
#include "common/hash.h"
#include "common/manifest.h"
#include "common/status.h"
#include "tests/test_directory.h"

namespace cherry::coordinator {
namespace {

using ::testing::HasSubstr;

class ModelCheckTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Manifest manifest;
    manifest.job_uid = "00000000-0000-4000-8000-000000000001";
    manifest.spec.mutable_model()->set_dim(64);
    for (const char* name : {kModelFile, kTokenizerFile}) {
      root_.File(std::string("default/models/llama-x/") + name, "content");
      manifest.files.push_back({name, 7, HashBytes(name)});
    }
    root_.File("default/models/llama-x/manifest.json", ManifestToJson(manifest));
    model_.set_path("default/models/llama-x");
  }
  absl::Status Check() { return ReadModelFiles(root_.path(), &model_); }

  TestDirectory root_;
  v1::Model model_;
};

TEST_F(ModelCheckTest, TellsWhatTheManifestSays) {
  model_.set_uid("mine");
  ASSERT_TRUE(Check().ok());
  EXPECT_EQ(model_.uid(), "00000000-0000-4000-8000-000000000001");
  EXPECT_EQ(model_.config().dim(), 64);
  EXPECT_EQ(model_.tokenizer_hash(), HashBytes(kTokenizerFile));
  EXPECT_EQ(model_.manifest_hash(), HashFile(root_.path() + "/default/models/llama-x/manifest.json").value());
  EXPECT_GT(model_.bytes(), 14);
}

TEST_F(ModelCheckTest, APathThatLeavesTheRootIsRefused) {
  for (const char* path : {"../elsewhere", "/etc", "default/../../x"}) {
    model_.set_path(path);
    EXPECT_EQ(InfoOf(Check()).reason(), "PATH_LEAVES_ROOT") << path;
  }
  ASSERT_EQ(symlink("/etc", (root_.path() + "/link").c_str()), 0);
  model_.set_path("link");
  EXPECT_FALSE(Check().ok());
}

TEST_F(ModelCheckTest, OneThatIsNotThereSaysWhereToImportIt) {
  model_.set_path("default/models/none");
  EXPECT_EQ(InfoOf(Check()).reason(), "MODEL_NOT_THERE");
}

TEST_F(ModelCheckTest, AFileOfAnotherLengthIsNamed) {
  root_.File("default/models/llama-x/model.safetensors", "shorter");
  EXPECT_TRUE(Check().ok());
  root_.File("default/models/llama-x/model.safetensors", "short");
  EXPECT_EQ(InfoOf(Check()).reason(), "MODEL_DAMAGED");
  EXPECT_THAT(std::string(Check().message()), HasSubstr("model.safetensors"));
  root_.File("default/models/llama-x/manifest.json", "{}");
  EXPECT_EQ(InfoOf(Check()).reason(), "MODEL_DAMAGED");
}

}  // namespace
}  // namespace cherry::coordinator
