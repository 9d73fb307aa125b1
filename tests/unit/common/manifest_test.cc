#include "common/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/status.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/test_directory.h"

namespace cherry {
namespace {

using ::testing::HasSubstr;

Manifest MakeManifest() {
  Manifest manifest;
  manifest.job_uid = "uid";
  manifest.job_name = "namespaces/default/jobs/ko-base";
  manifest.epoch = 2;
  manifest.step = 50;
  manifest.tokens = int64_t{1} << 40;
  manifest.sample_cursor = 800;
  manifest.world_size = 2;
  manifest.threads_per_rank = 1;
  manifest.deterministic = true;
  manifest.processor = "avx2";
  manifest.code_version = "0.1.0";
  manifest.loss = 4.25;
  manifest.valid_loss = 1.0 / 3.0;
  manifest.parent = "namespaces/default/jobs/base/checkpoints/10";
  manifest.spec.set_kind(v1::JobSpec::PRETRAIN);
  manifest.spec.mutable_train()->set_global_batch_size(16);
  manifest.files = {{"model.safetensors", 5, HashBytes("model")}, {"config.json", 2, HashBytes("{}")}};
  return manifest;
}

TEST(ManifestTest, EverythingComesBack) {
  const Manifest manifest = MakeManifest();
  const absl::StatusOr<Manifest> parsed = ManifestFromJson(ManifestToJson(manifest));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(ManifestToJson(*parsed), ManifestToJson(manifest));
  EXPECT_EQ(parsed->tokens, int64_t{1} << 40);
  EXPECT_EQ(parsed->valid_loss, 1.0 / 3.0);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(parsed->spec, manifest.spec));
  EXPECT_THAT(ManifestToJson(manifest), HasSubstr("\"global_batch_size\": 16"));
}

TEST(ManifestTest, LossesMayBeMissing) {
  Manifest manifest = MakeManifest();
  manifest.loss.reset();
  manifest.valid_loss = std::numeric_limits<double>::quiet_NaN();
  const absl::StatusOr<Manifest> parsed = ManifestFromJson(ManifestToJson(manifest));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_FALSE(parsed->loss.has_value());
  EXPECT_FALSE(parsed->valid_loss.has_value());
}

TEST(ManifestTest, UnknownKeysAreIgnoredAndOtherFormatsRefused) {
  const std::string json = ManifestToJson(MakeManifest());
  EXPECT_TRUE(ManifestFromJson(absl::StrReplaceAll(json, {{"\"step\":", "\"later\": 1, \"step\":"}})).ok());
  EXPECT_TRUE(absl::IsUnimplemented(
      ManifestFromJson(absl::StrReplaceAll(json, {{"\"format\": 1", "\"format\": 2"}})).status()));
}

TEST(ManifestTest, NamesWhatIsMissingOrWrong) {
  const std::string json = ManifestToJson(MakeManifest());
  const auto error = [&](const char* from, const char* to) {
    const absl::Status status = ManifestFromJson(absl::StrReplaceAll(json, {{from, to}})).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(error("\"step\": 50", "\"step\": \"50\""), HasSubstr("'step' is missing or of another type"));
  EXPECT_THAT(error("\"job_uid\"", "\"job\""), HasSubstr("'job_uid' is missing"));
  EXPECT_THAT(error("\"files\"", "\"shards\""), HasSubstr("'files' is missing"));
  EXPECT_THAT(error("config.json", "../config.json"), HasSubstr("not a file name"));
  EXPECT_THAT(error("\"global_batch_size\": 16", "\"global_batch_size\": \"many\""), HasSubstr("'spec'"));
  EXPECT_THAT(std::string(ManifestFromJson(json.substr(0, json.size() / 2)).status().message()),
              HasSubstr("not a JSON object"));
}

class VerifyCheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Write("model.safetensors", "model");
    Write("config.json", "{}");
    Write(kManifestFile, ManifestToJson(MakeManifest()));
  }

  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(directory_ + "/" + name, bytes).ok());
  }
  std::string VerifyError() {
    const absl::Status status = VerifyCheckpoint(directory_).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    return std::string(status.message());
  }

  const TestDirectory own_;
  const std::string directory_ = own_.path();
};

TEST_F(VerifyCheckpointTest, AWholeDirectoryIsSound) {
  const absl::StatusOr<Manifest> manifest = VerifyCheckpoint(directory_);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->step, 50);
}

TEST_F(VerifyCheckpointTest, NamesTheFileWithAFlippedByte) {
  Write("model.safetensors", "modem");
  EXPECT_EQ(VerifyError(), absl::StrCat("model.safetensors: checksum ", HashBytes("modem"),
                                        " is not the manifest's ", HashBytes("model")));
}

TEST_F(VerifyCheckpointTest, NamesTheFileOfAnotherLength) {
  Write("config.json", "{");
  EXPECT_EQ(VerifyError(), "config.json: 1 bytes are not the manifest's 2");
}

TEST_F(VerifyCheckpointTest, NamesTheFileThatIsNotThere) {
  ASSERT_EQ(unlink((directory_ + "/model.safetensors").c_str()), 0);
  EXPECT_THAT(VerifyError(), HasSubstr("model.safetensors: missing"));
}

TEST_F(VerifyCheckpointTest, ALinkIsNotAFile) {
  ASSERT_EQ(unlink((directory_ + "/config.json").c_str()), 0);
  ASSERT_EQ(symlink("model.safetensors", (directory_ + "/config.json").c_str()), 0);
  EXPECT_THAT(VerifyError(), HasSubstr("config.json: not a regular file"));
}

TEST_F(VerifyCheckpointTest, WithoutAManifestTheSaveNeverEnded) {
  ASSERT_EQ(unlink((directory_ + "/manifest.json").c_str()), 0);
  EXPECT_THAT(VerifyError(), HasSubstr("the save never ended"));
}

}  // namespace
}  // namespace cherry
