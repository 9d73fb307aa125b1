#include "client/data/annotator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "client/data/korean_words.h"

namespace cherry::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AnnotatorTest : public ::testing::Test {
 protected:
  // The texts of the spans of a category; of corrections with the whole clause.
  std::vector<std::string> Found(Category category, const std::string& text, RareStems rare = {}) const {
    const Annotator annotator(&rules_, std::move(rare));
    std::vector<std::string> found;
    size_t end = 0;
    for (const TextSpan& span : annotator.Annotate(text)) {
      if (span.category == category) {
        EXPECT_GE(span.begin, end) << text;
        end = span.end;
        found.push_back(text.substr(span.begin, span.end - span.begin));
      }
    }
    return found;
  }
  std::vector<std::string> Facts(const std::string& text) const { return Found(Category::kFact, text); }
  std::vector<std::string> Reasons(const std::string& text) const { return Found(Category::kReason, text); }
  std::vector<std::string> Corrections(const std::string& text) const {
    return Found(Category::kCorrect, text);
  }

  const RuleSet rules_ = RuleSet::Create({"ko", "en"}).value();
};

TEST_F(AnnotatorTest, NumbersWithWhatTheyCountAreFacts) {
  EXPECT_THAT(Facts("2024년 3월 5일에 3개를 샀다"), ElementsAre("2024년 3월 5일", "3개"));
  EXPECT_THAT(Facts("모두 15 명이 왔다"), ElementsAre("15 명"));
  EXPECT_THAT(Facts("요금은 1,500원, 시간은 10시 30분"), ElementsAre("1,500원", "10시 30분"));
  EXPECT_THAT(Facts("약 백만 명이 삼십분을 기다렸다"), ElementsAre("백만 명", "삼십분"));
  EXPECT_THAT(Facts("it took 12 days and 3.5 kg, or 20 %"), ElementsAre("12 days", "3.5 kg", "20 %"));
  EXPECT_THAT(Facts("at 10:30 on 2024-03-05 for $5.99"), ElementsAre("10:30", "2024-03-05", "$5.99"));
  EXPECT_THAT(Facts("on March 5, 2024 at 5 pm"), ElementsAre("March 5, 2024", "5 pm"));
}

TEST_F(AnnotatorTest, BareNumbersAndWordsLikeNumeralsAreNot) {
  EXPECT_THAT(Facts("값은 3 시작 위치는 7이다"), IsEmpty());
  EXPECT_THAT(Facts("이사회 구분 만일 사원 일이 시작"), IsEmpty());
  EXPECT_THAT(Facts("there are 7 of them"), IsEmpty());
}

TEST_F(AnnotatorTest, AddressesIdentifiersAndQuotationsAreFacts) {
  EXPECT_THAT(Facts("see https://example.org/a?b=c. or mail me@example.org"),
              ElementsAre("https://example.org/a?b=c", "me@example.org"));
  EXPECT_THAT(Facts("set max_size, useCache or run()"), ElementsAre("max_size", "useCache", "run()"));
  EXPECT_THAT(Facts("the utf8 word and the 3rd"), ElementsAre("utf8", "3rd"));
  EXPECT_THAT(Facts("he said \"not now\" and it's fine"), ElementsAre("not now"));
  EXPECT_THAT(Facts("그는 “다음에”라고 하고 「칼의 노래」를 읽었다"), ElementsAre("다음에", "칼의 노래"));
  EXPECT_THAT(Facts("《토지》와 'a b'"), ElementsAre("토지", "a b"));
}

TEST_F(AnnotatorTest, ALongQuotationIsNoItem) {
  EXPECT_THAT(Facts(absl::StrCat("she wrote \"", std::string(kMaxFactBytes + 1, 'x'), "\" there")),
              IsEmpty());
}

TEST_F(AnnotatorTest, CapitalsAreNamesWhereTheyAreNotASentencesBeginning) {
  EXPECT_THAT(Facts("we met Ada Lovelace in London by the NATO office"),
              ElementsAre("Ada Lovelace", "London", "NATO"));
  EXPECT_THAT(Facts("The house is old. People live here.\nThey stay."), IsEmpty());
  EXPECT_THAT(Facts("Paris is far. They love Paris."), ElementsAre("Paris", "Paris"));
  EXPECT_THAT(Facts("Yesterday Ada left"), ElementsAre("Ada"));
  EXPECT_THAT(Facts("In May it rains. see [p. 4] In may"), ElementsAre("May"));
  EXPECT_THAT(Facts("it belongs to the Bank of England now"), ElementsAre("Bank of England"));
}

TEST_F(AnnotatorTest, KoreanStemsAreFactsWithoutTheirParticle) {
  EXPECT_THAT(Facts("서울시에서 경기도의 국민은행을 찾아"), ElementsAre("서울시", "경기도", "국민은행"));
  EXPECT_THAT(Facts("김철수 씨가 홍길동님과 이순신 장관을"), ElementsAre("김철수", "홍길동", "이순신"));
  EXPECT_THAT(Facts("이 방법은 정도가 다시 일부를 요구"), IsEmpty());
  EXPECT_THAT(Facts("그는 대통령이다"), IsEmpty());
  EXPECT_THAT(Facts("갈 수도 있다"), IsEmpty());
}

TEST_F(AnnotatorTest, LatinAndHanjaAreFactsInKoreanLinesOnly) {
  EXPECT_THAT(Facts("이것은 writer 문서와 漢字 입니다"), ElementsAre("writer", "漢字"));
  EXPECT_THAT(Facts("this is a plain english line\n"), IsEmpty());
  EXPECT_THAT(Facts("this is a plain english line 가\n한국어 줄의 word 입니다"), ElementsAre("word"));
}

TEST_F(AnnotatorTest, RareStemsAreFacts) {
  StemCounter counter;
  for (int i = 0; i < 10; ++i) {
    counter.Add(CountedStems("문서를 저장합니다", *rules_.korean()));
  }
  counter.Add(CountedStems("거북선은", *rules_.korean()));
  const RareStems rare = counter.Finish(0.15);
  EXPECT_EQ(rare.limit(), 1);
  EXPECT_THAT(Found(Category::kFact, "문서를 거북선에서 처음본", rare), ElementsAre("거북선", "처음본"));
}

TEST_F(AnnotatorTest, NothingIsRareWhereTooMuchWouldBe) {
  StemCounter counter;
  counter.Add(CountedStems("모두 한번 나오는 말들", *rules_.korean()));
  EXPECT_EQ(counter.Finish(0.15).limit(), 0);
  EXPECT_EQ(StemCounter().Finish(0.15).limit(), 0);
}

TEST_F(AnnotatorTest, WordsAndEndingsOfReasonsAreFound) {
  EXPECT_THAT(Reasons("따라서 비가 오므로 가지 않는다. 하지만 그렇기 때문에 간다"),
              ElementsAre("따라서", "므로", "하지만", "기 때문에"));
  EXPECT_THAT(Reasons("누르면 열리지만 늦으니까 기다린다"), ElementsAre("면", "지만", "니까"));
  EXPECT_THAT(Reasons("However, if it rains then we stay because x = 1"),
              ElementsAre("However", "if", "then", "because", "="));
}

TEST_F(AnnotatorTest, NounsQuestionsAndPartsOfWordsAreNoReasons) {
  EXPECT_THAT(Reasons("화면 측면 표면 하면서 먼저라기보다 즉시"), IsEmpty());
  EXPECT_THAT(Reasons("무엇을 합니까? 어디입니까"), IsEmpty());
  EXPECT_THAT(Reasons("the iffy sincerity of a==b"), IsEmpty());
}

TEST_F(AnnotatorTest, CorrectionsTakeTheirClauseAlong) {
  EXPECT_THAT(Corrections("답은 삼이다. 잠깐, 그게 틀린 것 같다. 다음은"),
              ElementsAre("잠깐, 그게 틀린 것 같다"));
  EXPECT_THAT(Corrections("다시 계산해 보면 3.5가 맞다, 그리고"), ElementsAre("다시 계산해 보면 3.5가 맞다"));
  EXPECT_THAT(Corrections("오히려 좋아진다\n사실은 그 반대다"),
              ElementsAre("오히려 좋아진다", "사실은 그 반대다"));
  EXPECT_THAT(Corrections("It is 4. Wait, that is wrong; it is 5."), ElementsAre("Wait, that is wrong"));
  EXPECT_THAT(Corrections("so it is, on second thought five of them.\nActually four"),
              ElementsAre("on second thought five of them", "Actually four"));
}

TEST_F(AnnotatorTest, MarkersWithinAClauseCorrectNothing) {
  EXPECT_THAT(Corrections("이것은 오히려 나쁘다. 실수 값을 넣는다. 아니라고 했다"), IsEmpty());
  EXPECT_THAT(Corrections("No files were found. Wait for it. I actually like it"), IsEmpty());
  EXPECT_THAT(Corrections("No-one came. See p. 4, no. 5"), IsEmpty());
}

TEST_F(AnnotatorTest, SpansOfAnyTextAreWholeCharactersInOrderAndApart) {
  const std::vector<std::string> pieces = {
      "따라서 ", "서울시에", "2024년", " ",  "\n",   ". ",       "Wait, ", "no",           "“",     "”",
      "\"",      "‘a’",      "Ada ",   "씨", "=",    "👍🏽", "漢字",   "https://a.b/", "하면 ", "…",
      "—",       "「",       "」",     "é",  "틀렸", "'",        "(",      "3.5",          "%"};
  std::mt19937 random(5);
  const Annotator annotator(&rules_, RareStems());
  const auto is_boundary = [](const std::string& text, size_t at) {
    return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
  };
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (size_t i = random() % 30; i > 0; --i) {
      text += pieces[random() % pieces.size()];
    }
    size_t ends[4] = {};
    size_t begin = 0;
    for (const TextSpan& span : annotator.Annotate(text)) {
      ASSERT_LT(span.begin, span.end) << text;
      ASSERT_LE(span.end, text.size()) << text;
      ASSERT_TRUE(is_boundary(text, span.begin) && is_boundary(text, span.end)) << text;
      ASSERT_TRUE(span.marker_end > span.begin && span.marker_end <= span.end) << text;
      ASSERT_GE(span.begin, begin) << text;
      size_t& end = ends[static_cast<size_t>(span.category)];
      ASSERT_GE(span.begin, end) << text;
      begin = span.begin;
      end = span.end;
    }
  }
}

TEST_F(AnnotatorTest, OnlyTheLanguagesThatWereAskedForAreUsed) {
  const RuleSet english = RuleSet::Create({"en"}).value();
  const Annotator annotator(&english, RareStems());
  EXPECT_THAT(annotator.Annotate("따라서 서울시에서"), IsEmpty());
  EXPECT_EQ(annotator.Annotate("because").size(), 1u);
}

TEST(StemTest, TheLongestParticleGoesWhereTwoSyllablesStay) {
  const RuleSet rules = RuleSet::Create({"ko"}).value();
  const auto stem = [&](const std::string& word) { return word.substr(0, StemBytes(word, *rules.korean())); };
  EXPECT_EQ(stem("학교에서"), "학교");
  EXPECT_EQ(stem("서울에서는"), "서울");
  EXPECT_EQ(stem("경기도"), "경기");
  EXPECT_EQ(stem("나는"), "나는");
  EXPECT_EQ(stem("저장"), "저장");
}

}  // namespace
}  // namespace cherry::client
