#include "client/data/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "client/data/sentences.h"
#include "common/status.h"
#include "common/token_labels.h"

namespace cherry::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int32_t kEnd = 2;
constexpr uint8_t kFact = static_cast<uint8_t>(Category::kFact);

using Document = std::vector<LabelledToken>;
using Documents = std::vector<Document>;

Documents RandomDocuments(int count, uint64_t size, uint64_t vocab, uint64_t seed) {
  Random random(seed);
  Documents documents;
  for (int i = 0; i < count; ++i) {
    Document document;
    const uint64_t tokens = 1 + random.Below(size);
    for (uint64_t t = 0; t < tokens; ++t) {
      document.push_back(
          {static_cast<int32_t>(3 + random.Below(vocab)), static_cast<uint8_t>(random.Below(8))});
    }
    document.push_back({kEnd, 0});
    documents.push_back(document);
  }
  return documents;
}

struct Changed {
  Documents documents;
  ControlSurvival survival;
};

Changed Change(ControlledSplit::Options options, const std::string& control, const Documents& documents) {
  Changed changed;
  options.control = ParseControl(control).value();
  ControlledSplit split(options, [&](absl::Span<const int32_t> tokens, absl::Span<const uint8_t> labels) {
    EXPECT_EQ(tokens.size(), labels.size());
    Document document;
    for (size_t i = 0; i < tokens.size(); ++i) {
      document.push_back({tokens[i], labels[i]});
    }
    changed.documents.push_back(document);
    return absl::OkStatus();
  });
  for (const Document& document : documents) {
    std::vector<int32_t> tokens;
    std::vector<uint8_t> labels;
    for (const LabelledToken& token : document) {
      tokens.push_back(token.token);
      labels.push_back(token.label);
    }
    EXPECT_TRUE(split.Add(tokens, labels).ok());
  }
  const auto survival = split.Finish();
  EXPECT_TRUE(survival.ok()) << survival.status();
  changed.survival = *survival;
  return changed;
}

std::map<std::pair<int, int>, int> Count(const Document& document) {
  std::map<std::pair<int, int>, int> counts;
  for (const LabelledToken& token : document) {
    ++counts[{token.token, token.label}];
  }
  return counts;
}

Document Concatenate(const Documents& documents) {
  Document all;
  for (const Document& document : documents) {
    all.insert(all.end(), document.begin(), document.end());
  }
  return all;
}

std::multiset<std::vector<int32_t>> Grams(const Document& text, size_t n) {
  std::multiset<std::vector<int32_t>> grams;
  for (size_t begin = 0; begin + n <= text.size(); ++begin) {
    std::vector<int32_t> gram;
    for (size_t i = begin; i < begin + n; ++i) {
      gram.push_back(text[i].token);
    }
    grams.insert(gram);
  }
  return grams;
}

// A conversation: a prompt, an answer with its end, another prompt and an answer that nothing ends.
Document Chat(Random* random) {
  Document document;
  const auto add = [&](uint64_t count, uint8_t bit) {
    for (uint64_t i = 0; i < count; ++i) {
      document.push_back(
          {static_cast<int32_t>(3 + random->Below(9)), static_cast<uint8_t>(random->Below(2) | bit)});
    }
  };
  add(4, 0);
  add(1 + random->Below(20), kResponse);
  document.push_back({kEnd, kResponse});
  add(3, 0);
  add(1 + random->Below(20), kResponse);
  add(2, 0);
  document.push_back({kEnd, 0});
  return document;
}

Documents Chats(int count) {
  Random random(12);
  Documents documents;
  for (int i = 0; i < count; ++i) {
    documents.push_back(Chat(&random));
  }
  return documents;
}

// What is no token of a response, and the ends of responses.
Document Fixed(const Document& document) {
  Document fixed;
  std::copy_if(document.begin(), document.end(), std::back_inserter(fixed), [](const LabelledToken& token) {
    return token.token == kEnd || (token.label & kResponse) == 0;
  });
  return fixed;
}

TEST(ControlTest, ANameIsReadAndWritten) {
  for (const char* name : {"", "shuffle", "sentences", "k-let:2", "k-let:16"}) {
    EXPECT_EQ(ControlName(ParseControl(name).value()), name);
  }
  EXPECT_EQ(ParseControl("k-let:3")->k, 3);
  for (const char* bad : {"klet:2", "k-let", "k-let:", "k-let:x", "k-let:1", "k-let:17", "Shuffle"}) {
    const absl::Status status = ParseControl(bad).status();
    EXPECT_EQ(InfoOf(status).field(), "control") << bad;
    EXPECT_THAT(InfoOf(status).remedy(), HasSubstr("k-let:2"));
  }
}

TEST(ControlTest, ShuffleMovesTheTokensOfEachDocumentBeforeItsEnd) {
  const Documents documents = RandomDocuments(50, 60, 20, 1);
  const Changed changed = Change({}, "shuffle", documents);
  ASSERT_EQ(changed.documents.size(), documents.size());
  for (size_t i = 0; i < documents.size(); ++i) {
    EXPECT_EQ(Count(changed.documents[i]), Count(documents[i]));
    EXPECT_EQ(changed.documents[i].back(), documents[i].back());
  }
  EXPECT_NE(changed.documents, documents);
}

TEST(ControlTest, PromptsAndEndsOfResponsesStay) {
  const Documents documents = Chats(40);
  ControlledSplit::Options options;
  options.chat = true;
  const Changed changed = Change(options, "shuffle", documents);
  ASSERT_EQ(changed.documents.size(), documents.size());
  for (size_t i = 0; i < documents.size(); ++i) {
    const Document& before = documents[i];
    const Document& after = changed.documents[i];
    ASSERT_EQ(after.size(), before.size());
    EXPECT_EQ(Count(after), Count(before));
    for (size_t t = 0; t < before.size(); ++t) {
      if (before[t].token == kEnd || (before[t].label & kResponse) == 0) {
        EXPECT_EQ(after[t], before[t]);
      }
    }
    // Nothing moved from one response of a document to the other.
    const auto end = std::find(before.begin(), before.end(), LabelledToken{kEnd, kResponse}) - before.begin();
    EXPECT_EQ(Count(Document(after.begin(), after.begin() + end)),
              Count(Document(before.begin(), before.begin() + end)));
  }
  EXPECT_NE(changed.documents, documents);
}

TEST(ControlTest, KLetKeepsTheGramsOfAllResponsesTogether) {
  const Documents documents = Chats(300);
  ControlledSplit::Options options;
  options.chat = true;
  const Changed changed = Change(options, "k-let:2", documents);
  ASSERT_EQ(changed.documents.size(), documents.size());
  EXPECT_EQ(Count(Concatenate(changed.documents)), Count(Concatenate(documents)));
  for (size_t i = 0; i < documents.size(); ++i) {
    EXPECT_EQ(Fixed(changed.documents[i]), Fixed(documents[i]));
  }
  EXPECT_NE(changed.documents, documents);
}

TEST(ControlTest, KLetKeepsTheGramsOfEachBlock) {
  const Documents documents = RandomDocuments(200, 60, 12, 2);
  ControlledSplit::Options options;
  options.block_tokens = 1000;
  const Changed changed = Change(options, "k-let:3", documents);
  ASSERT_EQ(changed.documents.size(), documents.size());
  // Where the text must have been cut: at the first document's end behind each 1,000 tokens, but not before a
  // rest of less.
  std::vector<size_t> cuts = {0};
  size_t tokens = 0;
  for (size_t i = 0; i < documents.size(); ++i) {
    tokens += documents[i].size();
    if (tokens >= 1000) {
      cuts.push_back(i + 1);
      tokens = 0;
    }
  }
  cuts.back() = documents.size();
  ASSERT_EQ(changed.survival.blocks, static_cast<int64_t>(cuts.size() - 1));
  for (size_t b = 0; b + 1 < cuts.size(); ++b) {
    const auto part = [&](const Documents& all) {
      return Concatenate(Documents(all.begin() + static_cast<std::ptrdiff_t>(cuts[b]),
                                   all.begin() + static_cast<std::ptrdiff_t>(cuts[b + 1])));
    };
    for (const size_t n : {1, 2, 3}) {
      EXPECT_EQ(Grams(part(changed.documents), n), Grams(part(documents), n)) << b;
    }
  }
}

TEST(ControlTest, SentencesOfADocumentStayWhole) {
  // Token 3 is a word, 4 another, 5 ends a sentence.
  ControlledSplit::Options options;
  options.sentence_marks = {0, 0, 0, SentenceMarks(" a"), SentenceMarks(" b"), SentenceMarks(".\n")};
  Random random(4);
  Documents documents;
  for (int i = 0; i < 30; ++i) {
    Document document;
    for (int t = 0; t < 40; ++t) {
      document.push_back({static_cast<int32_t>(3 + random.Below(3)), static_cast<uint8_t>(random.Below(8))});
    }
    document.push_back({5, 0});
    document.push_back({kEnd, 0});
    documents.push_back(document);
  }
  const auto sentences = [](const Document& document) {
    std::multiset<std::vector<std::pair<int, int>>> all;
    std::vector<std::pair<int, int>> sentence;
    for (const LabelledToken& token : document) {
      sentence.emplace_back(token.token, token.label);
      if (token.token == 5) {
        all.insert(std::exchange(sentence, {}));
      }
    }
    return all;
  };
  const Changed changed = Change(options, "sentences", documents);
  ASSERT_EQ(changed.documents.size(), documents.size());
  for (size_t i = 0; i < documents.size(); ++i) {
    EXPECT_EQ(sentences(changed.documents[i]), sentences(documents[i]));
    EXPECT_EQ(changed.documents[i].back(), documents[i].back());
  }
  EXPECT_NE(changed.documents, documents);
}

TEST(ControlTest, OneSeedGivesOneTextAndAnotherSplitAnother) {
  const Documents documents = RandomDocuments(50, 60, 20, 3);
  for (const char* control : {"shuffle", "k-let:2", "k-let:3"}) {
    ControlledSplit::Options options;
    options.split = "train";
    const Documents first = Change(options, control, documents).documents;
    EXPECT_EQ(Change(options, control, documents).documents, first);
    options.seed = 2;
    EXPECT_NE(Change(options, control, documents).documents, first);
    options.seed = 1;
    options.split = "valid";
    EXPECT_NE(Change(options, control, documents).documents, first);
  }
}

TEST(ControlTest, TheSurvivalIsTheShareOfPlacesWhoseGramTheTextHas) {
  const Documents documents = RandomDocuments(100, 60, 8, 5);
  const Changed changed = Change({}, "k-let:3", documents);
  const Document before = Concatenate(documents);
  const Document after = Concatenate(changed.documents);
  EXPECT_EQ(changed.survival.tokens, static_cast<int64_t>(before.size()));
  ASSERT_EQ(changed.survival.grams.size(), 4u);
  EXPECT_EQ(changed.survival.grams[0].Share(), 1.0);  // A 3-gram is what k-let:3 keeps.
  EXPECT_EQ(changed.survival.grams[3].n, 8);
  for (const GramSurvival& row : changed.survival.grams) {
    const auto original = Grams(before, static_cast<size_t>(row.n));
    const auto result = Grams(after, static_cast<size_t>(row.n));
    EXPECT_EQ(row.places, static_cast<int64_t>(result.size()));
    EXPECT_EQ(row.surviving, std::count_if(result.begin(), result.end(),
                                           [&](const auto& gram) { return original.count(gram) > 0; }));
  }
}

TEST(ControlTest, AKLetTextThatIsTooMuchLikeItsOriginalIsRefused) {
  ControlledSplit::Options options;
  options.split = "valid";
  const Changed little = Change(options, "k-let:3", RandomDocuments(20, 40, 300, 6));
  const Control control = ParseControl("k-let:3").value();
  const absl::Status status = CheckSurvival(control, little.survival);
  EXPECT_EQ(InfoOf(status).field(), "control");
  EXPECT_EQ(InfoOf(status).reason(), "CONTROL_TOO_WEAK");
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("k-let:3 on 'valid'"),
                    HasSubstr(absl::StrFormat("%.3f of the 8-grams", little.survival.grams.back().Share()))));
  EXPECT_THAT(InfoOf(status).remedy(), AllOf(HasSubstr("more text"), HasSubstr("smaller K")));
  const Changed enough = Change(options, "k-let:2", RandomDocuments(400, 60, 20, 7));
  EXPECT_TRUE(CheckSurvival(ParseControl("k-let:2").value(), enough.survival).ok());
  EXPECT_LT(enough.survival.grams.back().Share(), 0.05);
}

TEST(ControlTest, AKLetTextTooShortToTellIsRefused) {
  const Changed changed = Change({}, "k-let:2", {{{3, 0}, {4, 0}, {kEnd, 0}}});
  EXPECT_THAT(std::string(CheckSurvival(ParseControl("k-let:2").value(), changed.survival).message()),
              HasSubstr("too short"));
  EXPECT_TRUE(CheckSurvival(ParseControl("shuffle").value(), changed.survival).ok());
}

TEST(ControlTest, DocumentsThatAreEmptyOrEndInTheMiddleKeepTheirPlace) {
  const Documents documents = {{{kEnd, 0}}, {{3, kFact}, {4, 0}, {kEnd, 0}, {3, 0}, {4, 0}}, {}, {{kEnd, 0}}};
  for (const char* control : {"shuffle", "k-let:2", "sentences"}) {
    const Changed changed = Change({}, control, documents);
    ASSERT_EQ(changed.documents.size(), documents.size());
    EXPECT_EQ(Count(Concatenate(changed.documents)), Count(Concatenate(documents)));
    EXPECT_THAT(changed.documents[2], ElementsAre());
  }
}

}  // namespace
}  // namespace cherry::client
