// Where tokens and characters come from: what labels of tokens are made with.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cherry::client {
namespace {

using ::testing::Gt;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Knows "모델을", "the" and little else: other characters are spelt in bytes.
Tokenizer Trained() {
  auto trainer = TokenizerTrainer::Create({.vocab_size = 290});
  EXPECT_TRUE(trainer.ok());
  const std::string text = "모델을 the model. 모델을 the model 2024 ";
  EXPECT_TRUE(trainer->Feed(std::vector<absl::string_view>(50, text)).ok());
  absl::StatusOr<Tokenizer> tokenizer = trainer->Train();
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

const std::vector<std::string>& Texts() {
  static const auto* const texts =
      new std::vector<std::string>{"모델을 훈련합니다.\n다시 2024년",
                                   "the model is trained.  Twice\t",
                                   "👩‍👩‍👧‍👦 🇰🇷 모델을 👍🏽",
                                   "",
                                   "e\u0301 \u1112\u1161\u11ab </s><0x41>",
                                   "뷁쉛"};
  return *texts;
}

TEST(TokenRangesTest, TogetherTheyCoverTheTextInWholeCharacters) {
  const Tokenizer tokenizer = Trained();
  const std::vector<absl::string_view> views(Texts().begin(), Texts().end());
  const auto batch = tokenizer.EncodeBatch(views, 2, /*ranges=*/true);
  ASSERT_TRUE(batch.ok()) << batch.status();
  ASSERT_EQ(batch->ranges.size(), batch->ids.size());
  for (size_t i = 0; i < views.size(); ++i) {
    ASSERT_EQ((*batch)[i], absl::MakeConstSpan(*tokenizer.Encode(views[i]))) << views[i];
    uint32_t covered = 0;
    std::string text;
    for (const ByteRange& range : batch->ranges_of(i)) {
      if (range.begin == covered) {
        absl::StrAppend(&text, views[i].substr(range.begin, range.end - range.begin));
        covered = range.end;
      } else {
        // Another byte of the character before.
        ASSERT_LT(range.begin, covered) << views[i];
        ASSERT_EQ(range.end, covered) << views[i];
      }
    }
    EXPECT_EQ(text, views[i]);
  }
}

TEST(TokenRangesTest, TheBytesOfACharacterShareItsRange) {
  const Tokenizer tokenizer = Trained();
  const std::vector<absl::string_view> texts = {"a뷁"};
  const auto batch = tokenizer.EncodeBatch(texts, 1, true);
  ASSERT_TRUE(batch.ok());
  ASSERT_THAT(batch->ids, SizeIs(4));
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(batch->ranges[i].begin, 1u);
    EXPECT_EQ(batch->ranges[i].end, 4u);
  }
}

TEST(TokenRangesTest, AreNotMadeWhereNobodyAsks) {
  const std::vector<absl::string_view> texts = {"the model"};
  EXPECT_THAT(Trained().EncodeBatch(texts, 1)->ranges, IsEmpty());
}

TEST(NfcTest, ComposesAndTellsWhereEachByteCameFrom) {
  // Conjoining jamo (9 bytes) become one syllable of 3; what is composed stays.
  const auto nfc = ToNfc("a\u1112\u1161\u11ab나e\u0301");
  ASSERT_TRUE(nfc.ok()) << nfc.status();
  EXPECT_EQ(nfc->text, "a한나\u00e9");
  ASSERT_EQ(nfc->origins.size(), nfc->text.size());
  EXPECT_EQ(nfc->origins[0].end, 1u);
  EXPECT_EQ(nfc->origins[1].begin, 1u);
  EXPECT_EQ(nfc->origins[4].begin, 10u);
  EXPECT_EQ(nfc->origins[6].end, 13u);
  EXPECT_EQ(nfc->origins[7].begin, 13u);
  EXPECT_THAT(nfc->origins[3].end, Gt(1u));
}

TEST(NfcTest, RefusesWhatIsNoText) { EXPECT_EQ(InfoOf(ToNfc("\xff").status()).reason(), "INVALID_UTF8"); }

}  // namespace
}  // namespace cherry::client
