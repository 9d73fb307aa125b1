#include "client/data/sentences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace cherry::client {
namespace {

using ::testing::ElementsAre;

// The sentences of a text that is given as its tokens.
std::vector<std::string> Sentences(const std::vector<std::string>& tokens) {
  std::vector<uint8_t> marks;
  std::vector<LabelledToken> text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    marks.push_back(SentenceMarks(tokens[i]));
    text.push_back({static_cast<int32_t>(i), 0});
  }
  std::vector<std::string> sentences;
  const std::vector<size_t> starts = SentenceStarts(text, marks);
  for (size_t i = 0; i < starts.size(); ++i) {
    std::string sentence;
    for (size_t t = starts[i]; t < (i + 1 < starts.size() ? starts[i + 1] : tokens.size()); ++t) {
      sentence += tokens[t];
    }
    sentences.push_back(sentence);
  }
  return sentences;
}

TEST(SentencesTest, EndAtAMarkBeforeWhiteSpace) {
  EXPECT_THAT(Sentences({"It", " is", ".", " So", "?", " Yes", "!"}), ElementsAre("It is.", " So?", " Yes!"));
  EXPECT_THAT(Sentences({"문서", "입니다", ".", " ", "끝", "."}), ElementsAre("문서입니다. ", "끝."));
  EXPECT_THAT(Sentences({"Really", "?!", " Yes"}), ElementsAre("Really?!", " Yes"));
}

TEST(SentencesTest, AMarkWithinAWordOrNumberEndsNothing) {
  EXPECT_THAT(Sentences({"Pi", " is", " 3", ".", "14", ",", " see", " a", ".", "org"}),
              ElementsAre("Pi is 3.14, see a.org"));
}

TEST(SentencesTest, AFullStopOfFullWidthNeedsNoWhiteSpace) {
  EXPECT_THAT(Sentences({"好", "。", "」", "是", "。"}), ElementsAre("好。」", "是。"));
}

TEST(SentencesTest, EndWithTheLineAndKeepTheWhiteSpaceBehind) {
  EXPECT_THAT(Sentences({"Title", "\n\n", "  ", "Body", ".", "\n", "End"}),
              ElementsAre("Title\n\n  ", "Body.\n", "End"));
  EXPECT_THAT(Sentences({"one\n", "two", " \n", " three"}), ElementsAre("one\n", "two \n", " three"));
}

TEST(SentencesTest, QuotesAndBracketsBehindAMarkBelongToItsSentence) {
  EXPECT_THAT(Sentences({"\"", "Go", ".", "\"", " He", " went", ".)", " \"", "Why", "?\"", "\n", "\"", "So"}),
              ElementsAre("\"Go.\"", " He went.)", " \"Why?\"\n", "\"So"));
}

TEST(SentencesTest, EveryTokenBelongsToOneSentence) {
  EXPECT_THAT(Sentences({}), ElementsAre());
  EXPECT_THAT(Sentences({"\n", "A"}), ElementsAre("\n", "A"));
  EXPECT_THAT(Sentences({".", ".", "."}), ElementsAre("..."));
  const std::vector<uint8_t> no_marks;
  EXPECT_THAT(SentenceStarts(std::vector<LabelledToken>{{-1, 0}, {9, 0}}, no_marks), ElementsAre(0));
}

}  // namespace
}  // namespace cherry::client
