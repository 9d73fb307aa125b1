#include "client/data/checkpoint_ref.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::HasSubstr;

TEST(CheckpointRefTest, NamesAJobsCheckpoint) {
  const auto plain = ParseCheckpointRef("ko-base");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->job, "ko-base");
  EXPECT_EQ(plain->checkpoint, "best");
  EXPECT_EQ(ParseCheckpointRef("ko-base:latest")->checkpoint, "latest");
  EXPECT_EQ(ParseCheckpointRef("team/ko-base:150")->job, "team/ko-base");
  EXPECT_EQ(ParseCheckpointRef("ko-base:150")->checkpoint, "150");
}

TEST(CheckpointRefTest, NamesADirectory) {
  for (const char* path : {"/a/b:c", "./a", "../a", "."}) {
    const auto ref = ParseCheckpointRef(path);
    ASSERT_TRUE(ref.ok());
    EXPECT_EQ(ref->directory, path);
  }
}

TEST(CheckpointRefTest, RefusesEverythingElse) {
  for (const char* bad :
       {"", ":", "ko-base:", "ko-base:newest", "ko-base:-1", "ko-base:007", "ko-base:1:2", "Ko", "a/b/c",
        "a//b", "a/", "ko base", "ko-base:1e3", "ko-base:99999999999999999999"}) {
    const auto ref = ParseCheckpointRef(bad);
    EXPECT_EQ(ref.status().code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_EQ(InfoOf(ref.status()).reason(), "CHECKPOINT_REF_INVALID") << bad;
    EXPECT_THAT(InfoOf(ref.status()).remedy(), HasSubstr("JOB:STEP")) << bad;
  }
}

TEST(CheckpointRefTest, AMissingDirectoryIsNotFoundWithoutACoordinator) {
  CheckpointRef ref;
  ref.directory = "/nonexistent";
  const auto resolved = ResolveCheckpoint(
      ref, "/unused", []() -> absl::StatusOr<Client*> { return absl::InternalError("must not connect"); },
      [](absl::string_view) -> absl::StatusOr<std::string> {
        return absl::InternalError("must not resolve");
      });
  EXPECT_EQ(resolved.status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace cherry::client
