// Controls in a dataset that is prepared; what they do to a text is in control_test.cc.
#include "client/data/controlled_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/data/label_file.h"
#include "client/data/prepare.h"
#include "client/data/random.h"
#include "common/status.h"
#include "common/token_file.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

using Counts = std::map<std::pair<int, int>, int>;

class ControlledDatasetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = directory_.path() + "/data";
    ASSERT_TRUE(MakeDirectories(root_).ok());
    std::string lines;
    for (int i = 0; i < 60; ++i) {
      absl::StrAppend(&lines, "{\"text\": \"문서 ", i, ". ", Words(), "\"}\n");
    }
    options_.inputs = {directory_.File("in/text.jsonl", lines)};
    options_.data_root = root_;
    options_.name = "plain";
    options_.vocab = 310;
    options_.valid_share = 0.4;
    plain_ = Prepare();
    ASSERT_TRUE(plain_.ok()) << plain_.status();
    options_.vocab = 0;
    options_.tokenizer = "plain";
    options_.name = "changed";
  }

  std::string Words() {
    std::string text;
    for (int i = 0; i < 120; ++i) {
      const char* const words[] = {"가", "나", "다",  "라",  "마",  "바",  "자",   "차",
                                   "카", "타", "파 ", "하 ", "거 ", "너 ", "사. ", "아? "};
      text += words[random_.Below(16)];
    }
    return text;
  }
  absl::StatusOr<DatasetManifest> Prepare() {
    Progress silent(nullptr, false);
    return PrepareDataset(options_, &silent);
  }
  std::string Prefix(const std::string& dataset, const std::string& split) const {
    return absl::StrCat(root_, "/", dataset, "/", split);
  }
  std::vector<std::vector<LabelledToken>> Documents(const std::string& prefix) const {
    const auto file = TokenFile::Open(prefix);
    EXPECT_TRUE(file.ok()) << file.status();
    const auto labels = Exists(prefix + kLabelsSuffix) ? ReadLabels(prefix, 0, (*file)->tokens()).value()
                                                       : std::vector<uint8_t>((*file)->tokens(), 0);
    std::vector<std::vector<LabelledToken>> documents;
    for (int64_t i = 0; i < (*file)->documents(); ++i) {
      std::vector<int32_t> tokens(static_cast<size_t>((*file)->document_length(i)));
      (*file)->Read((*file)->document_begin(i), absl::MakeSpan(tokens));
      documents.emplace_back();
      for (size_t t = 0; t < tokens.size(); ++t) {
        documents.back().push_back({tokens[t], labels[static_cast<size_t>((*file)->document_begin(i)) + t]});
      }
    }
    return documents;
  }
  static Counts Count(const std::vector<LabelledToken>& document) {
    Counts counts;
    for (const LabelledToken& token : document) {
      ++counts[{token.token, token.label}];
    }
    return counts;
  }
  // The same documents by their tokens, in the same order, and not all as they were.
  void ExpectShuffled(const std::string& before_prefix, const std::string& after_prefix) const {
    const auto before = Documents(before_prefix);
    const auto after = Documents(after_prefix);
    ASSERT_EQ(after.size(), before.size());
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(Count(after[i]), Count(before[i]));
      EXPECT_EQ(after[i].back(), before[i].back());
    }
    EXPECT_NE(after, before);
  }

  TestDirectory directory_;
  Random random_{1};
  std::string root_;
  PrepareOptions options_;
  absl::StatusOr<DatasetManifest> plain_;
};

TEST_F(ControlledDatasetTest, BothSplitsAreChangedAndKeepTheirTokenizer) {
  for (const char* control : {"shuffle", "sentences"}) {
    options_.control = control;
    options_.force = true;
    const auto manifest = Prepare();
    ASSERT_TRUE(manifest.ok()) << manifest.status();
    EXPECT_EQ(manifest->dataset.tokenizer_hash(), plain_->dataset.tokenizer_hash());
    for (const char* split : {"train", "valid"}) {
      ExpectShuffled(Prefix("plain", split), Prefix("changed", split));
    }
    EXPECT_TRUE(VerifyDataset(root_ + "/changed", *manifest, true).ok());
  }
}

TEST_F(ControlledDatasetTest, TheManifestTellsTheControlAndWhatSurvivesIt) {
  EXPECT_EQ(plain_->dataset.control(), "");
  EXPECT_TRUE(plain_->survival.empty());
  options_.control = "k-let:2";
  options_.control_seed = 5;
  const auto manifest = Prepare();
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->dataset.control(), "k-let:2");
  EXPECT_EQ(manifest->control_seed, 5);
  ASSERT_EQ(manifest->survival.size(), 2u);
  EXPECT_EQ(manifest->survival[0].split, "train");
  EXPECT_EQ(manifest->survival[0].blocks, 1);
  EXPECT_EQ(manifest->survival[0].tokens, plain_->dataset.splits(0).tokens());
  ASSERT_EQ(manifest->survival[1].grams.size(), 3u);
  EXPECT_EQ(manifest->survival[1].grams[2].places, plain_->dataset.splits(1).tokens() - 5);
  EXPECT_EQ(manifest->dataset.splits(0).unigram_entropy(), plain_->dataset.splits(0).unigram_entropy());
}

TEST_F(ControlledDatasetTest, ARefusedControlLeavesNothingBehind) {
  options_.control = "k-let:9";
  const absl::Status status = Prepare().status();
  EXPECT_EQ(InfoOf(status).reason(), "CONTROL_TOO_WEAK");
  EXPECT_EQ(InfoOf(status).field(), "control");
  options_.control = "k-let";
  EXPECT_EQ(InfoOf(Prepare().status()).field(), "control");
  options_.control = "shuffle";
  options_.control_seed = -1;
  EXPECT_EQ(InfoOf(Prepare().status()).field(), "control-seed");
  EXPECT_THAT(ListDirectory(root_).value(), ElementsAre("plain"));
}

TEST_F(ControlledDatasetTest, TokenFilesAreChangedWithTheirLabels) {
  // Every other token is an assistant's; what stands between stays in its place.
  const auto file = TokenFile::Open(Prefix("plain", "train"));
  ASSERT_TRUE(file.ok());
  std::string labels;
  for (int64_t i = 0; i < (*file)->tokens(); ++i) {
    labels += static_cast<char>((i / 8) % 2 == 0 ? 0 : kResponse | (i % 4));
  }
  directory_.File("data/plain/train.labels", labels);
  ASSERT_EQ(std::remove((Prefix("plain", "valid") + kLabelsSuffix).c_str()), 0);
  options_.control = "shuffle";
  options_.inputs = {Prefix("plain", "train"), Prefix("plain", "valid")};
  const auto manifest = Prepare();
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  ExpectShuffled(Prefix("plain", "train"), Prefix("changed", "train"));
  ExpectShuffled(Prefix("plain", "valid"), Prefix("changed", "valid"));
  const auto before = Documents(Prefix("plain", "train"));
  const auto after = Documents(Prefix("changed", "train"));
  for (size_t i = 0; i < before.size(); ++i) {
    for (size_t t = 0; t < before[i].size(); ++t) {
      if ((before[i][t].label & kResponse) == 0) {
        ASSERT_EQ(after[i][t], before[i][t]);
      }
    }
  }
  EXPECT_TRUE(manifest->dataset.splits(1).labels_hash().empty());
  EXPECT_TRUE(VerifyDataset(root_ + "/changed", *manifest, true).ok());
}

TEST_F(ControlledDatasetTest, OfConversationsOnlyTheAnswersAreChanged) {
  std::string lines;
  for (int i = 0; i < 60; ++i) {
    absl::StrAppend(&lines, "{\"messages\": [{\"role\": \"user\", \"content\": \"", Words(),
                    "\"}, {\"role\": \"assistant\", \"content\": \"", Words(),
                    "\"}, {\"role\": \"user\", \"content\": \"", i,
                    "\"}, {\"role\": \"assistant\", \"content\": \"", Words(), "\"}]}\n");
  }
  options_.inputs = {directory_.File("in/chat.jsonl", lines)};
  options_.name = "talk";
  options_.tokenizer = "";
  options_.vocab = 310;
  ASSERT_TRUE(Prepare().ok());
  options_.name = "changed";
  options_.tokenizer = "talk";
  options_.vocab = 0;
  const auto prompts = [](const std::vector<LabelledToken>& document) {
    std::vector<LabelledToken> kept = document;
    std::erase_if(kept, [](const LabelledToken& token) { return (token.label & kResponse) != 0; });
    return kept;
  };
  for (const char* control : {"shuffle", "sentences", "k-let:2"}) {
    options_.control = control;
    options_.force = true;
    const auto manifest = Prepare();
    ASSERT_TRUE(manifest.ok()) << manifest.status();
    EXPECT_TRUE(VerifyDataset(root_ + "/changed", *manifest, true).ok());
    const auto before = Documents(Prefix("talk", "train"));
    const auto after = Documents(Prefix("changed", "train"));
    ASSERT_EQ(after.size(), before.size());
    EXPECT_NE(after, before);
    Counts counts;
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(prompts(after[i]), prompts(before[i]));
      EXPECT_EQ(after[i].back(), before[i].back());
      for (const auto& [token, count] : Count(before[i])) {
        counts[token] += count;
      }
      for (const auto& [token, count] : Count(after[i])) {
        counts[token] -= count;
      }
    }
    for (const auto& [token, count] : counts) {
      EXPECT_EQ(count, 0) << token.first;
    }
  }
}

TEST_F(ControlledDatasetTest, OneSeedGivesTheSameBytes) {
  options_.control = "k-let:2";
  options_.threads = 1;
  ASSERT_TRUE(Prepare().ok());
  const std::string first = ReadFile(Prefix("changed", "train.bin")).value();
  const std::string manifest = ReadFile(Prefix("changed", "manifest.json")).value();
  options_.force = true;
  options_.threads = 3;
  ASSERT_TRUE(Prepare().ok());
  EXPECT_EQ(ReadFile(Prefix("changed", "train.bin")).value(), first);
  EXPECT_EQ(ReadFile(Prefix("changed", "manifest.json")).value(), manifest);
  options_.control_seed = 2;
  ASSERT_TRUE(Prepare().ok());
  EXPECT_NE(ReadFile(Prefix("changed", "train.bin")).value(), first);
}

TEST_F(ControlledDatasetTest, SentencesOfATextComeBackWhole) {
  options_.control = "sentences";
  ASSERT_TRUE(Prepare().ok());
  const auto tokenizer = Tokenizer::Load(Prefix("plain", "tokenizer.json"));
  ASSERT_TRUE(tokenizer.ok());
  // Cut by hand at what the words above end sentences with; what follows the last one has no such end.
  const auto sentences = [&](const std::vector<LabelledToken>& document) {
    std::vector<int32_t> tokens;
    for (const LabelledToken& token : document) {
      tokens.push_back(token.token);
    }
    tokens.pop_back();
    std::string text = tokenizer->Decode(tokens).value();
    std::multiset<std::string> all;
    for (size_t end; (end = text.find_first_of(".?")) != std::string::npos; text.erase(0, end + 1)) {
      all.insert(text.substr(text.find_first_not_of(' '), end + 1 - text.find_first_not_of(' ')));
    }
    return all;
  };
  const auto before = Documents(Prefix("plain", "valid"));
  const auto after = Documents(Prefix("changed", "valid"));
  int whole = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    // The unfinished last sentence joins the one it now stands before.
    const auto natural = sentences(before[i]);
    for (const std::string& sentence : sentences(after[i])) {
      whole += natural.count(sentence) > 0 ? 1 : 0;
    }
    whole -= static_cast<int>(natural.size());
  }
  EXPECT_GE(whole, -static_cast<int>(before.size()));
}

}  // namespace
}  // namespace cherry::client
