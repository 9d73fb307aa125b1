#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "common/hash.h"
#include "tests/unit/worker/checkpoint/state_for_tests.h"
#include "worker/checkpoint/load.h"
#include "worker/checkpoint/save.h"

namespace cherry::trainer {
namespace {

using ::testing::HasSubstr;

using CheckpointTest = CheckpointDirectoryTest;

TEST_F(CheckpointTest, LoadsWhatWasSaved) {
  const HostState saved = MakeState(1.0f);
  ASSERT_TRUE(WriteCheckpoint(Request(7), saved).ok());
  HostState loaded = MakeState(0.0f);
  ASSERT_TRUE(LoadWeights(Directory(7), &loaded).ok());
  ASSERT_TRUE(LoadMoments(Directory(7), &loaded).ok());
  for (const TensorPlace& place : saved.places) {
    for (int64_t i = place.offset; i < place.offset + place.elements; ++i) {
      const size_t at = static_cast<size_t>(i);
      EXPECT_EQ(loaded.values[at], saved.values[at]);
      EXPECT_EQ(loaded.exp_avg[at], saved.exp_avg[at]);
      EXPECT_EQ(loaded.exp_avg_sq[at], saved.exp_avg_sq[at]);
    }
  }
  // What lies between parameters is nobody's.
  EXPECT_EQ(loaded.values[10], 10.0f);
}

TEST_F(CheckpointTest, VerifiesAndCountsItsBytes) {
  const absl::StatusOr<SavedCheckpoint> saved = WriteCheckpoint(Request(7), MakeState(1.0f));
  ASSERT_TRUE(saved.ok()) << saved.status();
  const absl::StatusOr<Manifest> manifest = VerifyCheckpoint(Directory(7));
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->step, 7);
  ASSERT_EQ(manifest->files.size(), 4u);
  EXPECT_EQ(saved->manifest_hash, HashFile(Directory(7) + "/manifest.json").value());
  int64_t bytes = static_cast<int64_t>(ReadFile(Directory(7) + "/manifest.json").value().size());
  for (const ManifestEntry& file : manifest->files) {
    bytes += file.bytes;
  }
  EXPECT_EQ(saved->bytes, bytes);
  EXPECT_EQ(ListDirectory(Directory(7)).value().size(), 5u);
}

TEST_F(CheckpointTest, TheSameStateGivesTheSameBytes) {
  ASSERT_TRUE(WriteCheckpoint(Request(1), MakeState(1.0f)).ok());
  ASSERT_TRUE(WriteCheckpoint(Request(2), MakeState(1.0f)).ok());
  for (const char* file : {kModelFile, kOptimizerFile}) {
    EXPECT_EQ(HashFile(Directory(1) + "/" + file).value(), HashFile(Directory(2) + "/" + file).value());
  }
}

TEST_F(CheckpointTest, AnotherModelIsRefusedNamingTheTensor) {
  ASSERT_TRUE(WriteCheckpoint(Request(7), MakeState(1.0f)).ok());
  HostState other = MakeState(0.0f);
  other.places[0].shape = {3, 2};
  EXPECT_THAT(std::string(LoadWeights(Directory(7), &other).message()),
              HasSubstr("tensor a.weight is F32 [2, 3], the model's is F32 [3, 2]"));
  other.places[0].name = "c.weight";
  EXPECT_THAT(std::string(LoadWeights(Directory(7), &other).message()), HasSubstr("no tensor c.weight"));
  other.places.erase(other.places.begin());
  EXPECT_THAT(std::string(LoadWeights(Directory(7), &other).message()), HasSubstr("2 tensors, the model 1"));
}

TEST_F(CheckpointTest, AFailedSaveIsExplainedAndRemoved) {
  SaveRequest request = Request(7);
  request.tokenizer = root_ + "/unreadable";
  ASSERT_TRUE(MakeDirectories(root_ + "/unreadable/tokenizer.json").ok());
  const absl::Status status = WriteCheckpoint(request, MakeState(1.0f)).status();
  EXPECT_EQ(InfoOf(status).reason(), "CHECKPOINT_UNWRITABLE");
  EXPECT_THAT(std::string(status.message()), HasSubstr("unreadable"));
  EXPECT_FALSE(Exists(Directory(7)));
}

TEST_F(CheckpointTest, AFullDiskSaysWhatIsNeededAndFree) {
  // Writes to it fail with "no space left on device".
  ASSERT_TRUE(MakeDirectories(Directory(7)).ok());
  ASSERT_EQ(symlink("/dev/full", (Directory(7) + "/model.safetensors").c_str()), 0);
  const absl::Status status = WriteCheckpoint(Request(7), MakeState(1.0f)).status();
  EXPECT_EQ(InfoOf(status).reason(), "DISK_FULL") << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("it needs 384 bytes"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("are free in " + root_));
  EXPECT_THAT(InfoOf(status).remedy(), HasSubstr("prune"));
}

}  // namespace
}  // namespace cherry::trainer
