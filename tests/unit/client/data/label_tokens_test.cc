#include "client/data/label_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/token_labels.h"

namespace cherry::client {
namespace {

using ::testing::ElementsAre;

constexpr uint8_t kFact = static_cast<uint8_t>(Category::kFact);
constexpr uint8_t kReason = static_cast<uint8_t>(Category::kReason);
constexpr uint8_t kCorrect = static_cast<uint8_t>(Category::kCorrect);

TextSpan Span(size_t begin, size_t end, Category category) { return {begin, end, category, end}; }

// Tokens of two bytes.
std::vector<ByteRange> Pairs(uint32_t count) {
  std::vector<ByteRange> ranges;
  for (uint32_t i = 0; i < count; ++i) {
    ranges.push_back({2 * i, 2 * i + 2});
  }
  return ranges;
}

TEST(LabelTokensTest, EveryTokenThatOverlapsASpanHasItsCategoryAndTheFirstTheMark) {
  EXPECT_THAT(LabelTokens(Pairs(5), {Span(3, 7, Category::kFact)}),
              ElementsAre(0, kFact | kSpanStart, kFact, kFact, 0));
  EXPECT_THAT(LabelTokens(Pairs(3), {Span(2, 4, Category::kReason)}),
              ElementsAre(0, kReason | kSpanStart, 0));
  EXPECT_THAT(LabelTokens(Pairs(2), {}), ElementsAre(0, 0));
}

TEST(LabelTokensTest, NeighboursAreTwoSpansUnlessTheyShareAToken) {
  EXPECT_THAT(LabelTokens(Pairs(2), {Span(0, 2, Category::kFact), Span(2, 4, Category::kFact)}),
              ElementsAre(kFact | kSpanStart, kFact | kSpanStart));
  EXPECT_THAT(LabelTokens(Pairs(3), {Span(0, 3, Category::kFact), Span(3, 6, Category::kFact)}),
              ElementsAre(kFact | kSpanStart, kFact, kFact));
}

TEST(LabelTokensTest, TheHigherCategoryWinsAndWhatIsLeftIsContiguous) {
  EXPECT_THAT(LabelTokens(Pairs(5), {Span(0, 10, Category::kFact), Span(4, 6, Category::kReason)}),
              ElementsAre(kFact | kSpanStart, kFact, kReason | kSpanStart, kFact | kSpanStart, kFact));
  EXPECT_THAT(LabelTokens(Pairs(3), {Span(0, 4, Category::kCorrect), Span(2, 6, Category::kReason)}),
              ElementsAre(kCorrect | kSpanStart, kCorrect, kReason | kSpanStart));
}

TEST(LabelTokensTest, TheBytesOfACharacterStayTogether) {
  const std::vector<ByteRange> ranges = {{0, 1}, {1, 4}, {1, 4}, {1, 4}, {4, 5}};
  EXPECT_THAT(LabelTokens(ranges, {Span(1, 4, Category::kFact)}),
              ElementsAre(0, kFact | kSpanStart, kFact, kFact, 0));
}

TEST(LabelTokensTest, AClauseHasAtMostItsTokensAfterTheMarker) {
  const TextSpan span = {2, 40, Category::kCorrect, 6};
  const std::vector<uint8_t> labels = LabelTokens(Pairs(20), {span});
  for (size_t i = 0; i < labels.size(); ++i) {
    const bool labelled = i >= 1 && i < 3 + kClauseTokens;
    EXPECT_EQ(labels[i] & kCategoryBits, labelled ? kCorrect : 0) << i;
    EXPECT_EQ((labels[i] & kSpanStart) != 0, i == 1) << i;
  }
}

TEST(AnnotateTextTest, SpansOfDecomposedTextAreThoseOfItsOwnBytes) {
  const RuleSet rules = RuleSet::Create({"ko"}).value();
  const Annotator annotator(&rules, RareStems());
  // 2024년 in conjoining jamo: 4 digits and 3 jamo of 3 bytes.
  const std::string year = "2024\u1102\u1167\u11ab";
  const std::string text = "\u1100\u1161 " + year + " \u1102\u1161";
  const auto spans = AnnotateText(annotator, text);
  ASSERT_TRUE(spans.ok()) << spans.status();
  ASSERT_EQ(spans->size(), 1u);
  EXPECT_EQ(text.substr((*spans)[0].begin, (*spans)[0].end - (*spans)[0].begin), year);
}

}  // namespace
}  // namespace cherry::client
