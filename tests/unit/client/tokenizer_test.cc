#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/file.h"
#include "common/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::Not;

// As many tokens as Corpus gives, or fewer.
constexpr int kVocabSize = 384;

// Some Korean, some English, made from a fixed seed: enough regularity for a few hundred merges.
std::vector<std::string> Corpus() {
  const std::vector<std::string> words = {"학습",     "모델을", "훈련합니다.", "데이터",      "체크포인트를",
                                          "저장하고", "다시",   "시작합니다.", "the",         "worker",
                                          "trains",   "a",      "model,",      "coordinator", "records",
                                          "every",    "2024",   "checkpoint.", "손실이",      "줄어듭니다."};
  std::mt19937 random(7);
  std::vector<std::string> texts;
  for (int i = 0; i < 400; ++i) {
    std::string text;
    for (int j = 0; j < 30; ++j) {
      absl::StrAppend(&text, words[random() % words.size()], j % 10 == 9 ? "\n" : " ");
    }
    texts.push_back(text);
  }
  return texts;
}

std::vector<absl::string_view> Views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

absl::StatusOr<Tokenizer> TrainOn(const std::vector<std::string>& texts, int vocab_size = kVocabSize,
                                  int threads = 2, std::vector<std::string> specials = {}) {
  ASSIGN_OR_RETURN(
      TokenizerTrainer trainer,
      TokenizerTrainer::Create(
          {.vocab_size = vocab_size, .threads = threads, .special_tokens = std::move(specials)}));
  RETURN_IF_ERROR(trainer.Feed(Views(texts)));
  return trainer.Train();
}

Tokenizer Trained() {
  absl::StatusOr<Tokenizer> tokenizer = TrainOn(Corpus());
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

// Appends a code point in UTF-8.
void AppendUtf8(char32_t c, std::string* out) {
  const auto tail = [&](int shift) { out->push_back(static_cast<char>(0x80 | ((c >> shift) & 0x3f))); };
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xc0 | (c >> 6)));
    tail(0);
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | (c >> 12)));
    tail(6), tail(0);
  } else {
    out->push_back(static_cast<char>(0xf0 | (c >> 18)));
    tail(12), tail(6), tail(0);
  }
}

// A text of everything that has ever upset a tokenizer: spaces, controls, Hangul, emoji, any code point,
// and words that look like tokens.
std::string RandomText(std::mt19937* random) {
  static const std::vector<std::string> pieces = {" ",
                                                  "  ",
                                                  "\n",
                                                  "\r\n",
                                                  "\t",
                                                  "\u2581",
                                                  "<0x41>",
                                                  "<0x0a>",
                                                  "<0x+5>",
                                                  "<unk>",
                                                  "<s>",
                                                  "</s>",
                                                  "모델을 ",
                                                  "체크",
                                                  "the ",
                                                  "model",
                                                  "2024",
                                                  "👩‍👩‍👧‍👦",
                                                  "🇰🇷",
                                                  "e\u0301",
                                                  "\u00e9",
                                                  "\ufeff",
                                                  "\u200b",
                                                  "가각갂",
                                                  "\u1112\u1161\u11ab"};
  std::string text;
  const int length = static_cast<int>((*random)() % 24);
  for (int i = 0; i < length; ++i) {
    switch ((*random)() % 5) {
      case 0:
        AppendUtf8((*random)() % 0x80, &text);
        break;
      case 1:
        AppendUtf8(0xac00 + (*random)() % 11172, &text);
        break;
      case 2: {
        const char32_t c = (*random)() % 0x110000;
        AppendUtf8(c >= 0xd800 && c < 0xe000 ? U'?' : c, &text);
        break;
      }
      default:
        text += pieces[(*random)() % pieces.size()];
    }
  }
  return text;
}

TEST(TokenizerTest, SpecialAndByteTokensComeFirst) {
  const Tokenizer tokenizer = Trained();
  EXPECT_EQ(tokenizer.VocabSize(), kVocabSize);
  EXPECT_EQ(tokenizer.TokenToId("<unk>"), 0);
  EXPECT_EQ(tokenizer.TokenToId("<s>"), 1);
  EXPECT_EQ(tokenizer.TokenToId("</s>"), 2);
  EXPECT_EQ(tokenizer.TokenToId("<0x00>"), 3);
  EXPECT_EQ(tokenizer.IdToToken(3 + 255), std::string("<0xFF>"));
  EXPECT_EQ(tokenizer.TokenToId("no such token"), absl::nullopt);
  EXPECT_EQ(tokenizer.IdToToken(kVocabSize), absl::nullopt);
  EXPECT_EQ(tokenizer.IdToToken(-1), absl::nullopt);
}

TEST(TokenizerTest, FrequentWordsBecomeOneToken) {
  const Tokenizer tokenizer = Trained();
  const auto ids = tokenizer.Encode("worker 체크포인트를");
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_EQ(ids->size(), 2u);
}

TEST(TokenizerTest, DecodingAnEncodedTextGivesTheTextBack) {
  const Tokenizer tokenizer = Trained();
  std::mt19937 random(11);
  for (int i = 0; i < 5000; ++i) {
    const std::string text = RandomText(&random);
    const auto ids = tokenizer.Encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status();
    ASSERT_THAT(*ids, Each(Gt(2))) << "a special token in a text: " << text;
    ASSERT_THAT(*ids, Each(Lt(tokenizer.VocabSize())));
    const auto back = tokenizer.Decode(*ids);
    ASSERT_TRUE(back.ok()) << back.status();
    ASSERT_EQ(*back, text) << "round " << i;
  }
}

// The file must mean the same to Hugging Face's Python side, which exported checkpoints are opened with.
TEST(TokenizerTest, TransformersGivesTheSameIdsAndTexts) {
  const Tokenizer tokenizer = Trained();
  const TestDirectory own;
  const std::string& directory = own.path();
  ASSERT_TRUE(tokenizer.Save(directory + "/tokenizer.json").ok());
  std::mt19937 random(13);
  std::string cases;
  for (int i = 0; i < 2000; ++i) {
    const std::string text = RandomText(&random);
    // Hexadecimal, so that the cases need no quoting.
    absl::StrAppend(&cases, absl::BytesToHexString(text), " ", absl::StrJoin(*tokenizer.Encode(text), ","),
                    "\n");
  }
  ASSERT_TRUE(WriteFileAtomically(directory + "/cases.txt", cases).ok());
  const std::string command =
      absl::StrCat("PYTHONPATH=", std::getenv("CHERRY_DEPS"), "/site /usr/bin/python3 ",
                   std::getenv("CHERRY_SOURCE"), "/tests/unit/client/tokenizer_transformers.py ", directory);
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

TEST(TokenizerTest, LearntTokensNeverReadLikeBytesOrSpecialTokens) {
  // Texts full of the very strings: a learner that may join punctuation with letters makes them tokens.
  std::vector<std::string> texts(200, "<0x41><0x41> <s> </s> <0xEA><0xB0><0x80> <unk>");
  const auto tokenizer = TrainOn(texts, 300);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto ids = tokenizer->Encode(texts[0]);
  ASSERT_TRUE(ids.ok());
  EXPECT_THAT(*ids, Each(Gt(2 + 256)));
  EXPECT_EQ(*tokenizer->Decode(*ids, /*skip_special=*/true), texts[0]);
}

TEST(TokenizerTest, LongRunsEncodeInReasonableTime) {
  const Tokenizer tokenizer = Trained();
  for (const std::string& run :
       {std::string(1 << 20, ' '), std::string(1 << 20, 'a'), std::string(1 << 20, '\n')}) {
    const auto ids = tokenizer.Encode(run);
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(*tokenizer.Decode(*ids), run);
  }
}

TEST(TokenizerTest, TrainingIsTheSameInAnyOrderAndOnAnyThreads) {
  std::vector<std::string> texts = Corpus();
  const std::string expected = *TrainOn(texts, 400, 1)->ToJson();
  std::mt19937 random(3);
  for (int i = 0; i < 20; ++i) {
    std::shuffle(texts.begin(), texts.end(), random);
    ASSERT_EQ(*TrainOn(texts, 400, 1 + i % 4)->ToJson(), expected) << "round " << i;
  }
  auto trainer = TokenizerTrainer::Create({.vocab_size = 400, .threads = 2});
  ASSERT_TRUE(trainer.ok());
  for (const std::string& text : texts) {
    ASSERT_TRUE(trainer->Feed({text}).ok());
  }
  EXPECT_EQ(*trainer->Train()->ToJson(), expected);
}

TEST(TokenizerTest, SavedAndLoadedItIsTheSame) {
  const Tokenizer tokenizer = Trained();
  const TestDirectory directory;
  const std::string path = directory.path() + "/tokenizer.json";
  ASSERT_TRUE(tokenizer.Save(path).ok());
  const auto loaded = Tokenizer::Load(path);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(*loaded->ToJson(), *tokenizer.ToJson());
  const std::string text = "모델을 훈련합니다. <s> 👍 the worker";
  EXPECT_EQ(*loaded->Encode(text), *tokenizer.Encode(text));
}

TEST(TokenizerTest, ABatchHasTheIdsOfItsTexts) {
  const Tokenizer tokenizer = Trained();
  std::vector<std::string> texts = Corpus();
  texts[5].clear();
  for (int threads : {0, 1, 2, 5}) {
    const auto batch = tokenizer.EncodeBatch(Views(texts), threads);
    ASSERT_TRUE(batch.ok()) << batch.status();
    ASSERT_EQ(batch->size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      ASSERT_EQ((*batch)[i], absl::MakeConstSpan(*tokenizer.Encode(texts[i]))) << "text " << i;
    }
  }
  EXPECT_THAT(tokenizer.EncodeBatch({}, 2)->ids, IsEmpty());
}

TEST(TokenizerTest, SpecialTokensAreReadOutOfTextsOnlyWhenAsked) {
  auto tokenizer = TrainOn(Corpus(), kVocabSize, 1, {"<|user|>", "<|end|>"});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const int32_t user = 3 + 256;
  EXPECT_EQ(tokenizer->TokenToId("<|user|>"), user);
  EXPECT_THAT(*tokenizer->Encode("<|user|>"), Not(Contains(user)));
  tokenizer->ParseSpecials(true);
  EXPECT_THAT(*tokenizer->Encode("<|user|></s><|end|>"), ElementsAre(user, 2, user + 1));
  EXPECT_EQ(*tokenizer->Decode(std::vector<int32_t>{user, 2}), "<|user|></s>");
  EXPECT_EQ(*tokenizer->Decode(std::vector<int32_t>{user, 2}, /*skip_special=*/true), "");
}

TEST(TokenizerTest, BytesThatAreNoTextDecodeToTheReplacementCharacter) {
  const Tokenizer tokenizer = Trained();
  EXPECT_EQ(*tokenizer.Decode(std::vector<int32_t>{3 + 0xff}), "\ufffd");
}

TEST(TokenizerTest, TextThatIsNotUtf8IsRefusedWithItsPlace) {
  const Tokenizer tokenizer = Trained();
  const std::vector<absl::string_view> texts = {"fine", "bad: \xff"};
  const absl::Status status = tokenizer.EncodeBatch(texts, 2).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(InfoOf(status).reason(), "INVALID_UTF8");
  EXPECT_THAT(Describe(status), HasSubstr("text 1 is not valid UTF-8 at byte 5"));
  auto trainer = TokenizerTrainer::Create({.vocab_size = 300});
  ASSERT_TRUE(trainer.ok());
  EXPECT_EQ(InfoOf(trainer->Feed(texts)).reason(), "INVALID_UTF8");
}

TEST(TokenizerTest, IdsOutsideTheVocabularyAreRefused) {
  const Tokenizer tokenizer = Trained();
  for (int32_t id : {-1, kVocabSize, 1 << 30}) {
    const absl::Status status = tokenizer.Decode(std::vector<int32_t>{5, id}).status();
    EXPECT_EQ(InfoOf(status).reason(), "UNKNOWN_TOKEN");
    EXPECT_THAT(Describe(status),
                HasSubstr(absl::StrCat("token id ", id, " is not in the vocabulary of ", kVocabSize)));
  }
}

TEST(TokenizerTest, BrokenFilesAreRefused) {
  for (absl::string_view json :
       {"", "{}", "not json", "{\"version\": \"1.0\", \"model\": {\"type\": \"X\"}}"}) {
    const absl::Status status = Tokenizer::FromJson(json).status();
    EXPECT_EQ(InfoOf(status).reason(), "INVALID_TOKENIZER") << json;
  }
  EXPECT_EQ(Tokenizer::Load("/nonexistent/tokenizer.json").status().code(), absl::StatusCode::kNotFound);
}

TEST(TokenizerTest, FilesDoNotTruncateOrPad) {
  std::string json = *Trained().ToJson();
  const std::string none = "\"truncation\": null";
  ASSERT_NE(json.find(none), std::string::npos);
  json.replace(
      json.find(none), none.size(),
      "\"truncation\": {\"direction\": \"Right\", \"max_length\": 2, \"strategy\": \"LongestFirst\", "
      "\"stride\": 0}");
  const auto tokenizer = Tokenizer::FromJson(json);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_THAT(tokenizer->Encode("the worker trains a model")->size(), Gt(2u));
}

// The library indexes out of bounds for this decoder, which strips more than the token has.
TEST(TokenizerTest, APanicOfTheLibraryIsAStatus) {
  const Tokenizer trained = Trained();
  std::string json = *trained.ToJson();
  const size_t begin = json.find("\"decoder\": {");
  const size_t end = json.find("\"model\": {");
  ASSERT_LT(begin, end);
  json.replace(begin, end - begin,
               "\"decoder\": {\"type\": \"Strip\", \"content\": \"a\", \"start\": 0, \"stop\": 5},");
  const auto tokenizer = Tokenizer::FromJson(json);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto a = tokenizer->TokenToId("a");
  ASSERT_TRUE(a.has_value());
  const absl::Status status = tokenizer->Decode(std::vector<int32_t>{*a}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(Describe(status), HasSubstr("panicked: index out of bounds"));
}

TEST(TokenizerTest, BadTrainingOptionsAreRefused) {
  const auto refusal = [](int vocab_size, std::vector<std::string> specials) {
    return TokenizerTrainer::Create({.vocab_size = vocab_size, .special_tokens = std::move(specials)})
        .status();
  };
  EXPECT_EQ(InfoOf(refusal(259, {})).reason(), "OUT_OF_RANGE");
  EXPECT_THAT(Describe(refusal(10, {})), HasSubstr("give at least 260"));
  EXPECT_EQ(InfoOf(refusal(-1, {})).reason(), "OUT_OF_RANGE");
  for (const char* special : {"<s>", "PAD", "", "<0x41>"}) {
    EXPECT_EQ(InfoOf(refusal(512, {special})).reason(), "INVALID_SPECIAL_TOKEN") << special;
  }
  EXPECT_EQ(InfoOf(refusal(512, {"<|a|>", "<|a|>"})).reason(), "INVALID_SPECIAL_TOKEN");
}

TEST(TokenizerTest, WithoutTextThereAreStillTheBytes) {
  const auto tokenizer = TrainOn({}, 300);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(tokenizer->VocabSize(), 3 + 256);
  EXPECT_EQ(*tokenizer->Decode(*tokenizer->Encode("한글")), "한글");
}

}  // namespace
}  // namespace cherry::client
