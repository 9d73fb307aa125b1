#include "client/data/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAreArray;

constexpr char kNotice[] = "This page may be copied under the terms of its licence.";

class CorpusTest : public ::testing::Test {
 protected:
  std::unique_ptr<Corpus> Make(const std::vector<std::string>& documents, int line_characters = 20) {
    auto corpus = Corpus::Create(directory_.path() + "/spool", line_characters);
    EXPECT_TRUE(corpus.ok());
    for (const std::string& document : documents) {
      EXPECT_TRUE((*corpus)->Add(document).ok());
    }
    EXPECT_TRUE((*corpus)->Seal([](int64_t) {}).ok());
    return std::move(*corpus);
  }
  static std::vector<std::string> Texts(const Corpus& corpus) {
    std::vector<std::string> texts;
    for (int64_t i = 0; i < corpus.documents(); ++i) {
      texts.push_back(corpus.Text(i));
      EXPECT_EQ(static_cast<int64_t>(texts.back().size()), corpus.bytes(i));
    }
    return texts;
  }

  TestDirectory directory_;
};

TEST_F(CorpusTest, DropsRepeatedAndEmptyDocuments) {
  const auto corpus = Make({"one\n", "two\n", "one\n", " \n\t", "", "one\n"});
  EXPECT_THAT(Texts(*corpus), ElementsAre("one\n", "two\n"));
  EXPECT_EQ(corpus->counts().documents_read, 6);
  EXPECT_EQ(corpus->counts().repeated_documents, 2);
  EXPECT_EQ(corpus->counts().empty_documents, 2);
  EXPECT_EQ(corpus->counts().repeated_lines, 0);
}

TEST_F(CorpusTest, KeepsALongLineInOneOfTheDocumentsThatHaveIt) {
  const auto corpus = Make({absl::StrCat("alpha\n", kNotice, "\n"), absl::StrCat(kNotice, "\nbeta\n"),
                            absl::StrCat("gamma\n  ", kNotice, "  ")});
  const std::vector<std::string> texts = Texts(*corpus);
  ASSERT_EQ(texts.size(), 3u);
  int with_notice = 0;
  for (const std::string& text : texts) {
    with_notice += text.find(kNotice) != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(with_notice, 1);
  EXPECT_EQ(corpus->counts().repeated_lines, 2);
}

TEST_F(CorpusTest, KeepsLinesRepeatedWithinOneDocumentAndShortOnes) {
  const std::string poem = absl::StrCat(kNotice, "\n", kNotice, "\nshort\n");
  const auto corpus = Make({poem, "short\nother\n"});
  EXPECT_THAT(Texts(*corpus), ElementsAre(poem, "short\nother\n"));
}

TEST_F(CorpusTest, CountsCharactersNotBytes) {
  const std::string nineteen = "가나다라마바사아자차카타파하가나다라마";
  const auto corpus = Make({nineteen + "\na\n", nineteen + "\nb\n"});
  EXPECT_EQ(corpus->counts().repeated_lines, 0);
  const auto stricter = Make({nineteen + "\na\n", nineteen + "\nb\n"}, 19);
  EXPECT_EQ(stricter->counts().repeated_lines, 1);
}

TEST_F(CorpusTest, DropsADocumentOfWhichNothingIsLeft) {
  const auto corpus = Make({absl::StrCat(kNotice, "\n"), absl::StrCat("\n", kNotice)});
  EXPECT_EQ(corpus->documents(), 1);
  EXPECT_EQ(corpus->counts().empty_documents, 1);
}

TEST_F(CorpusTest, ZeroKeepsEveryLine) {
  const auto corpus = Make({absl::StrCat("a\n", kNotice), absl::StrCat("b\n", kNotice)}, 0);
  EXPECT_EQ(corpus->counts().repeated_lines, 0);
}

TEST_F(CorpusTest, WhatIsKeptDoesNotDependOnTheOrder) {
  std::vector<std::string> documents;
  for (int i = 0; i < 60; ++i) {
    documents.push_back(
        absl::StrCat("document ", i, "\nshared by groups of documents: ", i % 7, "\n", kNotice, "\n"));
  }
  const std::vector<std::string> reference = Texts(*Make(documents));
  std::mt19937 random(1);
  for (int round = 0; round < 5; ++round) {
    std::shuffle(documents.begin(), documents.end(), random);
    EXPECT_THAT(Texts(*Make(documents)), UnorderedElementsAreArray(reference));
  }
}

TEST_F(CorpusTest, LeavesNoSpoolBehind) {
  { const auto corpus = Make({"one\n"}); }
  EXPECT_FALSE(Exists(directory_.path() + "/spool"));
}

std::vector<std::pair<ContentHash, int64_t>> RandomDocuments(int count, int64_t bytes) {
  std::mt19937_64 random(7);
  std::vector<std::pair<ContentHash, int64_t>> documents;
  for (int i = 0; i < count; ++i) {
    documents.push_back({{random(), random()}, 1 + static_cast<int64_t>(random() % (2 * bytes))});
  }
  return documents;
}

TEST(ChooseValidTest, DoesNotDependOnTheOrder) {
  auto documents = RandomDocuments(500, 1000);
  const auto chosen = [](const auto& list, const std::vector<bool>& valid) {
    std::vector<ContentHash> hashes;
    for (size_t i = 0; i < list.size(); ++i) {
      if (valid[i]) {
        hashes.push_back(list[i].first);
      }
    }
    std::sort(hashes.begin(), hashes.end());
    return hashes;
  };
  const auto reference = chosen(documents, ChooseValid(documents, 0.1));
  EXPECT_FALSE(reference.empty());
  std::mt19937 random(1);
  for (int round = 0; round < 5; ++round) {
    std::shuffle(documents.begin(), documents.end(), random);
    EXPECT_EQ(chosen(documents, ChooseValid(documents, 0.1)), reference);
  }
}

TEST(ChooseValidTest, ComesNearTheShareOfTheBytes) {
  for (const double share : {0.01, 0.02, 0.1, 0.5}) {
    const auto documents = RandomDocuments(2000, 1000);
    const auto valid = ChooseValid(documents, share);
    double total = 0;
    double taken = 0;
    for (size_t i = 0; i < documents.size(); ++i) {
      total += static_cast<double>(documents[i].second);
      taken += valid[i] ? static_cast<double>(documents[i].second) : 0;
    }
    EXPECT_NEAR(taken / total, share, 0.001);
  }
}

TEST(ChooseValidTest, LeavesADocumentOnEitherSide) {
  for (const double share : {0.0001, 0.5}) {
    for (const int count : {2, 3}) {
      const auto documents = RandomDocuments(count, 1000);
      const auto valid = ChooseValid(documents, share);
      const auto taken = std::count(valid.begin(), valid.end(), true);
      EXPECT_GE(taken, 1);
      EXPECT_LT(taken, count);
    }
  }
}

TEST(ChooseValidTest, AGiantDocumentStaysInTraining) {
  auto documents = RandomDocuments(100, 1000);
  documents[50].second = 10'000'000;
  EXPECT_FALSE(ChooseValid(documents, 0.005)[50]);
}

}  // namespace
}  // namespace cherry::client
