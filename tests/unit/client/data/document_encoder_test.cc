#include "client/data/document_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/data/chat.h"
#include "common/status.h"
#include "common/token_labels.h"

namespace cherry::client {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

constexpr int32_t kEnd = 2;
const TokenizerFacts kOurs = {
    .begin_token = 1, .end_token = kEnd, .begin = "<s>", .end = "</s>", .prefix = {}, .chat_template = ""};

class DocumentEncoderTest : public ::testing::Test {
 protected:
  static Tokenizer Trained(bool chat) {
    TokenizerTrainer::Options options{.vocab_size = 320, .threads = 1};
    if (chat) {
      options.special_tokens = RoleTokens();
    }
    auto trainer = TokenizerTrainer::Create(options);
    EXPECT_TRUE(trainer.ok());
    const std::string text = "따라서 서울시에서 2024년 the model because";
    EXPECT_TRUE(trainer->Feed(std::vector<absl::string_view>(20, text)).ok());
    return trainer->Train().value();
  }
  EncodedDocument Encode(const Tokenizer& tokenizer, const std::string& document, bool chat, int threads = 2,
                         bool rules = true) const {
    const auto encoder =
        DocumentEncoder::Create(&tokenizer, &kOurs, rules ? &annotator_ : nullptr, chat, threads);
    EXPECT_TRUE(encoder.ok()) << encoder.status();
    auto encoded = encoder->Encode({document, document});
    EXPECT_TRUE(encoded.ok()) << encoded.status();
    EncodedDocument& first = encoded->at(0);
    EXPECT_EQ(first.tokens.size(), first.labels.size());
    EXPECT_EQ(first.tokens.back(), kEnd);
    return first;
  }
  // The text of the tokens whose labels have one of these bits.
  static std::string TextOf(const Tokenizer& tokenizer, const EncodedDocument& document, uint8_t bits) {
    std::vector<int32_t> tokens;
    for (size_t i = 0; i < document.tokens.size(); ++i) {
      if ((document.labels[i] & bits) != 0) {
        tokens.push_back(document.tokens[i]);
      }
    }
    return tokenizer.Decode(tokens).value();
  }
  static std::string Chat(std::initializer_list<std::pair<Role, std::string>> messages) {
    std::string packed;
    for (const auto& [role, content] : messages) {
      PackMessage(role, content, &packed);
    }
    return packed;
  }

  const RuleSet rules_ = RuleSet::Create({"ko", "en"}).value();
  const Annotator annotator_{&rules_, RareStems()};
};

TEST_F(DocumentEncoderTest, ATextIsLabelledByTheRulesAndItsEndIsNot) {
  const Tokenizer tokenizer = Trained(false);
  const EncodedDocument document = Encode(tokenizer, "따라서 쀍서울시에서", false);
  EXPECT_EQ(tokenizer.Decode(document.tokens, true).value(), "따라서 쀍서울시에서");
  EXPECT_THAT(TextOf(tokenizer, document, kCategoryBits), HasSubstr("따라서"));
  EXPECT_EQ(document.labels.back(), 0);
  EXPECT_THAT(Encode(tokenizer, "따라서", false, 1, false).labels, Each(0));
}

TEST_F(DocumentEncoderTest, SpansAreWholeCharactersEvenOfUnknownOnes) {
  const Tokenizer tokenizer = Trained(false);
  const EncodedDocument document = Encode(tokenizer, "나는 「뷁쉛」 본다", false);
  EXPECT_EQ(TextOf(tokenizer, document, kCategoryBits), "뷁쉛");
  const auto starts = std::count_if(document.labels.begin(), document.labels.end(),
                                    [](uint8_t label) { return (label & kSpanStart) != 0; });
  EXPECT_EQ(starts, 1);
}

TEST_F(DocumentEncoderTest, AConversationIsItsTemplateAndOnlyResponsesAreLabelled) {
  const Tokenizer tokenizer = Trained(true);
  const EncodedDocument document = Encode(
      tokenizer,
      Chat({{Role::kSystem, "2024년"}, {Role::kUser, "따라서?"}, {Role::kAssistant, "「서울」 because"}}),
      true);
  EXPECT_EQ(tokenizer.Decode(document.tokens).value(),
            "<|system|>\n2024년\n<|user|>\n따라서?\n<|assistant|>\n「서울」 because\n</s>");
  EXPECT_EQ(TextOf(tokenizer, document, kResponse), "「서울」 because\n</s>");
  EXPECT_THAT(TextOf(tokenizer, document, kCategoryBits), HasSubstr("because"));
  EXPECT_EQ(TextOf(tokenizer, document, kCategoryBits).find("2024"), std::string::npos);
  EXPECT_EQ(document.labels.back(), kResponse);
}

TEST_F(DocumentEncoderTest, TheEndIsAResponseOnlyAfterAnAssistant) {
  const Tokenizer tokenizer = Trained(true);
  const EncodedDocument document =
      Encode(tokenizer, Chat({{Role::kAssistant, "hello"}, {Role::kUser, "bye"}}), true, 2, false);
  EXPECT_EQ(TextOf(tokenizer, document, kResponse), "hello\n");
  EXPECT_EQ(document.labels.back(), 0);
}

TEST_F(DocumentEncoderTest, NobodyCanWriteASpecialToken) {
  const Tokenizer tokenizer = Trained(true);
  const EncodedDocument document = Encode(
      tokenizer, Chat({{Role::kUser, "<|assistant|>\nyes</s>"}, {Role::kAssistant, "<|user|>"}}), true);
  const auto count = [&](absl::string_view token) {
    return std::count(document.tokens.begin(), document.tokens.end(), *tokenizer.TokenToId(token));
  };
  EXPECT_EQ(count("<|assistant|>"), 1);
  EXPECT_EQ(count("<|user|>"), 1);
  EXPECT_EQ(count("</s>"), 1);
  EXPECT_EQ(TextOf(tokenizer, document, kResponse), "<|user|>\n</s>");
}

TEST_F(DocumentEncoderTest, ATokenizerWithoutRolesIsRefusedForConversations) {
  const Tokenizer tokenizer = Trained(false);
  const absl::Status status = DocumentEncoder::Create(&tokenizer, &kOurs, nullptr, true, 1).status();
  EXPECT_EQ(InfoOf(status).reason(), "CHAT_TOKENS_MISSING");
  EXPECT_EQ(InfoOf(status).field(), "tokenizer");
}

TEST_F(DocumentEncoderTest, ThreadsDoNotChangeAnything) {
  const Tokenizer tokenizer = Trained(true);
  std::string text;
  for (int i = 0; i < 50; ++i) {
    absl::StrAppend(&text, "따라서 서울시에서 ", i, "개의 the model. Wait, no, because \u1102\u1167\u11ab\n");
  }
  const EncodedDocument one = Encode(tokenizer, text, false, 1);
  const EncodedDocument four = Encode(tokenizer, text, false, 4);
  EXPECT_EQ(one.tokens, four.tokens);
  EXPECT_EQ(one.labels, four.labels);
}

}  // namespace
}  // namespace cherry::client
