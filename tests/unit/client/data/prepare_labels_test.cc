// What preparing a dataset makes of rules and of conversations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/data/inspect.h"
#include "client/data/label_file.h"
#include "client/data/prepare.h"
#include "client/data/rule_set.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/token_file.h"
#include "common/token_labels.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kLine[] = "도움이 필요하시면 언제든지 다시 말씀해 주십시오.";

class PrepareLabelsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = directory_.path() + "/data";
    ASSERT_TRUE(MakeDirectories(root_).ok());
    options_.name = "ko";
    options_.data_root = root_;
    options_.vocab = 320;
    options_.valid_share = 0.1;
    options_.inputs = {directory_.path() + "/in"};
  }
  void AddTexts() {
    for (int i = 0; i < 20; ++i) {
      directory_.File(absl::StrCat("in/", i, ".txt"),
                      absl::StrCat("문서는 ", 2000 + i, "년에 나왔다. 따라서 새 것이다. 잠깐, 아니다.\n"));
    }
  }
  void AddChats() {
    std::string lines;
    for (int i = 0; i < 20; ++i) {
      absl::StrAppend(&lines, R"({"messages": [{"role": "user", "content": "따라서 )", i,
                      R"(개는?"}, {"role": "assistant", "content": "그것은 )", i, R"(개입니다.\n)", kLine,
                      "\"}]}\n");
    }
    directory_.File("in/chat.jsonl", lines);
  }
  absl::StatusOr<DatasetManifest> Prepare() {
    Progress silent(nullptr, false);
    return PrepareDataset(options_, &silent);
  }
  std::string Prefix(const std::string& split) const {
    return absl::StrCat(root_, "/", options_.name, "/", split);
  }
  // The first document of a split: all of it, and what has one of these bits.
  std::pair<std::string, std::string> First(const std::string& split, uint8_t bits) const {
    const auto tokenizer = Tokenizer::Load(Prefix("tokenizer.json"));
    const auto file = TokenFile::Open(Prefix(split));
    EXPECT_TRUE(tokenizer.ok() && file.ok());
    std::vector<int32_t> tokens(static_cast<size_t>((*file)->document_length(0)));
    (*file)->Read(0, absl::MakeSpan(tokens));
    const auto labels = ReadLabels(Prefix(split), 0, (*file)->document_length(0));
    EXPECT_TRUE(labels.ok());
    std::vector<int32_t> labelled;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if ((labels->at(i) & bits) != 0) {
        labelled.push_back(tokens[i]);
      }
    }
    return {tokenizer->Decode(tokens).value(), tokenizer->Decode(labelled).value()};
  }

  TestDirectory directory_;
  std::string root_;
  PrepareOptions options_;
};

TEST_F(PrepareLabelsTest, EverySplitOfATextHasLabels) {
  AddTexts();
  const auto manifest = Prepare();
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_THAT(manifest->dataset.rule_languages(), ElementsAre("ko", "en"));
  EXPECT_EQ(manifest->dataset.rules_hash(), RuleSet::Create({"ko", "en"})->hash());
  for (const v1::Split& split : manifest->dataset.splits()) {
    EXPECT_EQ(ReadFile(Prefix(split.name()) + ".labels")->size(), static_cast<size_t>(split.tokens()));
    EXPECT_GE(split.fact_tokens(), split.documents());
    EXPECT_GE(split.reason_tokens(), split.documents());
    EXPECT_GE(split.correct_tokens(), split.documents());
    EXPECT_EQ(split.response_tokens(), 0);
  }
  EXPECT_TRUE(VerifyDataset(root_ + "/ko", *manifest, true).ok());
  EXPECT_THAT(First("train", kCategoryBits).second, HasSubstr("따라서"));
}

TEST_F(PrepareLabelsTest, WithoutRulesATextHasNone) {
  AddTexts();
  options_.rules = {};
  const auto manifest = Prepare();
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_FALSE(Exists(Prefix("train.labels")));
  EXPECT_EQ(manifest->dataset.splits(0).labels_hash(), "");
  EXPECT_EQ(manifest->dataset.rules_hash(), "");
  EXPECT_THAT(manifest->dataset.rule_languages(), IsEmpty());
}

TEST_F(PrepareLabelsTest, LabelsAreTheSameOnAnyNumberOfThreads) {
  AddTexts();
  options_.threads = 1;
  ASSERT_TRUE(Prepare().ok());
  const std::string labels = ReadFile(Prefix("train.labels")).value();
  options_.threads = 5;
  options_.force = true;
  ASSERT_TRUE(Prepare().ok());
  EXPECT_EQ(ReadFile(Prefix("train.labels")).value(), labels);
}

TEST_F(PrepareLabelsTest, SamplesShowTheSpans) {
  AddTexts();
  const auto manifest = Prepare();
  ASSERT_TRUE(manifest.ok());
  const auto plain = SampleDocuments(root_ + "/ko", *manifest, 1);
  const auto marked = SampleDocuments(root_ + "/ko", *manifest, 1, true);
  ASSERT_TRUE(plain.ok() && marked.ok());
  EXPECT_EQ((*plain)[0].text + "</s>", First("train", 0).first);
  EXPECT_THAT((*marked)[0].text, HasSubstr("[R "));
  std::string without = (*marked)[0].text;
  for (const char* mark : {"[F ", "[R ", "[C ", "]"}) {
    for (size_t at; (at = without.find(mark)) != std::string::npos;) {
      without.erase(at, std::string(mark).size());
    }
  }
  EXPECT_EQ(without, (*plain)[0].text);
}

TEST_F(PrepareLabelsTest, ConversationsKeepTheirLinesAndLabelWhatAssistantsSay) {
  AddChats();
  const auto manifest = Prepare();
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_TRUE(manifest->chat);
  EXPECT_EQ(manifest->line_characters, 0);
  EXPECT_EQ(manifest->counts.repeated_lines, 0);
  const auto [text, response] = First("train", kResponse);
  EXPECT_THAT(text, ::testing::StartsWith("<|user|>\n따라서 "));
  EXPECT_THAT(text, HasSubstr("\n<|assistant|>\n그것은 "));
  EXPECT_THAT(response, ::testing::StartsWith("그것은 "));
  EXPECT_THAT(response, ::testing::EndsWith(absl::StrCat(kLine, "\n</s>")));
  const std::string ruled = First("train", kCategoryBits).second;
  EXPECT_THAT(ruled, HasSubstr("개"));
  EXPECT_EQ(ruled.find("따라서"), std::string::npos);
  EXPECT_GT(manifest->dataset.splits(0).response_tokens(), 0);
}

TEST_F(PrepareLabelsTest, WithoutRulesConversationsStillHaveResponses) {
  AddChats();
  options_.rules = {};
  const auto manifest = Prepare();
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->dataset.splits(0).fact_tokens(), 0);
  EXPECT_GT(manifest->dataset.splits(0).response_tokens(), 0);
}

TEST_F(PrepareLabelsTest, ConversationsNeedATokenizerThatKnowsTheRoles) {
  AddTexts();
  ASSERT_TRUE(Prepare().ok());
  AddChats();
  options_.inputs = {directory_.path() + "/in/chat.jsonl"};
  options_.vocab = 0;
  options_.tokenizer = "ko";
  options_.name = "chat";
  EXPECT_EQ(InfoOf(Prepare().status()).reason(), "CHAT_TOKENS_MISSING");
  options_.vocab = 320;
  options_.tokenizer = "";
  ASSERT_TRUE(Prepare().ok());
  options_.vocab = 0;
  options_.tokenizer = "chat";
  options_.name = "more";
  EXPECT_TRUE(Prepare().ok());
}

TEST_F(PrepareLabelsTest, MixedInputIsRefusedAndLeavesNothing) {
  AddTexts();
  AddChats();
  const auto mixed = Prepare();
  EXPECT_EQ(InfoOf(mixed.status()).reason(), "INPUT_INVALID");
  EXPECT_THAT(std::string(mixed.status().message()), HasSubstr("chat.jsonl:1: a conversation, where"));
  EXPECT_THAT(ListDirectory(root_).value(), IsEmpty());
}

}  // namespace
}  // namespace cherry::client
