#include "client/data/label_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/data/split_writer.h"
#include "common/hash.h"
#include "common/status.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint8_t kFact = static_cast<uint8_t>(Category::kFact);
constexpr uint8_t kReason = static_cast<uint8_t>(Category::kReason);
constexpr uint8_t kCorrect = static_cast<uint8_t>(Category::kCorrect);

class LabelFileTest : public ::testing::Test {
 protected:
  // Two documents, five tokens.
  absl::StatusOr<v1::Split> Write(bool labelled) {
    ASSIGN_OR_RETURN(const auto writer, SplitWriter::Create(directory_.path(), "train", 10, labelled));
    RETURN_IF_ERROR(writer->Add({5, 6, 2}, {kFact | kSpanStart, kFact | kResponse, kResponse}));
    RETURN_IF_ERROR(writer->Add({7, 2}, {kCorrect | kSpanStart, kReason | kSpanStart}));
    return writer->Finish();
  }
  std::string Prefix() const { return directory_.path() + "/train"; }

  TestDirectory directory_;
};

TEST_F(LabelFileTest, EveryTokenHasItsByteAndTheSplitCountsThem) {
  const auto split = Write(true);
  ASSERT_TRUE(split.ok()) << split.status();
  EXPECT_EQ(ReadFile(Prefix() + ".labels").value(), std::string("\x05\x09\x08\x07\x06", 5));
  EXPECT_EQ(split->labels_hash(), HashFile(Prefix() + ".labels").value());
  EXPECT_EQ(split->fact_tokens(), 2);
  EXPECT_EQ(split->reason_tokens(), 1);
  EXPECT_EQ(split->correct_tokens(), 1);
  EXPECT_EQ(split->response_tokens(), 2);
  EXPECT_TRUE(CheckLabels(Prefix(), *split, true).ok());
  EXPECT_THAT(ReadLabels(Prefix(), 2, 2).value(), ElementsAre(kResponse, kCorrect | kSpanStart));
}

TEST_F(LabelFileTest, ASplitWithoutLabelsHasNoFile) {
  const auto split = Write(false);
  ASSERT_TRUE(split.ok()) << split.status();
  EXPECT_FALSE(Exists(Prefix() + ".labels"));
  EXPECT_EQ(split->labels_hash(), "");
  EXPECT_TRUE(CheckLabels(Prefix(), *split, true).ok());
}

TEST_F(LabelFileTest, ADocumentWithALabelTooFewIsRefused) {
  const auto writer = SplitWriter::Create(directory_.path(), "train", 10, true);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ((*writer)->Add({5, 2}, {0}).code(), absl::StatusCode::kInternal);
}

TEST_F(LabelFileTest, MeasuringGivesWhatWritingGave) {
  const auto split = Write(true);
  ASSERT_TRUE(split.ok());
  const auto measured = MeasureSplit(Prefix(), "train", 10);
  ASSERT_TRUE(measured.ok()) << measured.status();
  EXPECT_EQ(measured->SerializeAsString(), split->SerializeAsString());
}

TEST_F(LabelFileTest, LabelsOfOtherTokensAreRefused) {
  ASSERT_TRUE(Write(true).ok());
  directory_.File("train.labels", "\x05\x09\x08\x07");
  const absl::Status shorter = MeasureSplit(Prefix(), "train", 10).status();
  EXPECT_EQ(InfoOf(shorter).reason(), "LABELS_MISMATCH");
  EXPECT_THAT(std::string(shorter.message()), HasSubstr("train.labels: 4 labels for 5 tokens"));
  directory_.File("train.labels", "\x05\x09\x10\x07\x06");
  const absl::Status unknown = MeasureSplit(Prefix(), "train", 10).status();
  EXPECT_EQ(InfoOf(unknown).reason(), "LABELS_INVALID");
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("byte 2 is 16"));
}

TEST_F(LabelFileTest, ChangedLabelsAreNamed) {
  const auto split = Write(true);
  ASSERT_TRUE(split.ok());
  directory_.File("train.labels", "\x05\x09\x08\x07\x07");
  EXPECT_TRUE(CheckLabels(Prefix(), *split, false).ok());
  const absl::Status changed = CheckLabels(Prefix(), *split, true);
  EXPECT_EQ(changed.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(changed.message()), HasSubstr("train.labels: checksum"));
  directory_.File("train.labels", "\x05");
  EXPECT_THAT(std::string(CheckLabels(Prefix(), *split, false).message()),
              HasSubstr("train.labels: 1 labels"));
  ASSERT_EQ(std::remove((Prefix() + ".labels").c_str()), 0);
  EXPECT_THAT(std::string(CheckLabels(Prefix(), *split, false).message()), HasSubstr("not there"));
}

}  // namespace
}  // namespace cherry::client
