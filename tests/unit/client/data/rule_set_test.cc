#include "client/data/rule_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"

namespace cherry::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(RuleSetTest, LanguagesComeInOneOrderAndOnce) {
  EXPECT_THAT(ParseLanguages("en,ko").value(), ElementsAre("ko", "en"));
  EXPECT_THAT(ParseLanguages("en,en").value(), ElementsAre("en"));
  EXPECT_THAT(ParseLanguages("none").value(), IsEmpty());
}

TEST(RuleSetTest, AnUnknownLanguageIsNamed) {
  for (const char* list : {"ko,fr", "", "none,ko", "KO"}) {
    const absl::Status status = ParseLanguages(list).status();
    EXPECT_EQ(InfoOf(status).reason(), "UNKNOWN_LANGUAGE") << list;
    EXPECT_EQ(InfoOf(status).field(), "rules");
    EXPECT_FALSE(InfoOf(status).remedy().empty());
  }
  EXPECT_THAT(std::string(ParseLanguages("ko,fr").status().message()), HasSubstr("'fr'"));
}

TEST(RuleSetTest, TheHashTellsWhichRulesWereUsed) {
  const RuleSet both = RuleSet::Create({"ko", "en"}).value();
  EXPECT_EQ(both.hash().size(), 32u);
  EXPECT_EQ(both.hash(), RuleSet::Create({"ko", "en"})->hash());
  EXPECT_NE(both.hash(), RuleSet::Create({"ko"})->hash());
  EXPECT_NE(RuleSet::Create({"en"})->korean(), both.korean());
  EXPECT_EQ(RuleSet::Create({"en"})->korean(), nullptr);
}

TEST(RuleSetTest, NamesOfPatternsAreReplaced) {
  const auto file = ParseRules("x", "# numbers\nlet digit [0-9]\nlet two {digit}{digit}\nfact a{two}\n");
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->patterns.size(), 1u);
  EXPECT_TRUE(RE2::FullMatch("a42", *file->patterns[0].regex));
}

TEST(RuleSetTest, AWrongLineIsNamed) {
  EXPECT_THAT(std::string(ParseRules("x", "fact a\nfancy b\n").status().message()),
              HasSubstr("rules/x.txt:2: 'fancy'"));
  EXPECT_THAT(std::string(ParseRules("x", "fact (a\n").status().message()), HasSubstr("missing )"));
  EXPECT_THAT(std::string(ParseRules("x", "fact (a)(b)\n").status().message()),
              HasSubstr("more than one group"));
  EXPECT_THAT(std::string(ParseRules("x", "rare much\n").status().message()), HasSubstr("percentage"));
}

}  // namespace
}  // namespace cherry::client
