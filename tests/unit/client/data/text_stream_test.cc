#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "client/data/generate.h"
#include "client/data/text_source.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::HasSubstr;

// Decodes as byte-fallback tokenizers do: a token is a byte; what is no UTF-8 becomes U+FFFD.
absl::StatusOr<std::string> DecodeBytes(absl::Span<const int32_t> tokens) {
  std::string bytes(tokens.begin(), tokens.end());
  std::string text;
  while (!bytes.empty()) {
    const size_t bad = std::min(FirstInvalidUtf8(bytes), bytes.size());
    text += bytes.substr(0, bad);
    bytes.erase(0, bad);
    if (!bytes.empty()) {
      text += "\xEF\xBF\xBD";
      bytes.erase(0, 1);
    }
  }
  return text;
}

TEST(TextStreamTest, ShowsWholeCharactersOnly) {
  TextStream stream(DecodeBytes, {'a', ' '});
  std::string shown;
  for (const char c : std::string("x한글\xF0\x9F\x8D\x92!")) {
    const auto piece = stream.Add(static_cast<unsigned char>(c));
    ASSERT_TRUE(piece.ok());
    EXPECT_EQ(FirstInvalidUtf8(*piece), absl::string_view::npos);
    EXPECT_EQ(piece->find("\xEF\xBF\xBD"), std::string::npos);
    shown += *piece;
  }
  EXPECT_EQ(shown, "x한글\xF0\x9F\x8D\x92!");
  EXPECT_EQ(*stream.Finish(), "");
}

TEST(TextStreamTest, TellsOfAnUnfinishedCharacterAtTheEnd) {
  TextStream stream(DecodeBytes, {});
  EXPECT_EQ(*stream.Add('a'), "a");
  EXPECT_EQ(*stream.Add(0xED), "");
  EXPECT_EQ(*stream.Finish(), "\xEF\xBF\xBD");
}

// As Hugging Face's ByteFallback does it: of a run of bytes that is no UTF-8, every byte becomes U+FFFD. 256
// is "x".
absl::StatusOr<std::string> DecodeRuns(absl::Span<const int32_t> tokens) {
  std::string text;
  std::string run;
  const auto flush = [&] {
    if (FirstInvalidUtf8(run) == absl::string_view::npos) {
      text += run;
    } else {
      for (size_t i = 0; i < run.size(); ++i) {
        text += "\xEF\xBF\xBD";
      }
    }
    run.clear();
  };
  for (const int32_t token : tokens) {
    if (token == 256) {
      flush();
      text += "x";
    } else {
      run.push_back(static_cast<char>(token));
    }
  }
  flush();
  return text;
}

TEST(TextStreamTest, BytesThatAreNoCharacterDoNotChangeWhatWasShown) {
  TextStream stream(DecodeRuns, {});
  std::string shown;
  for (const int32_t token : {256, 0x33, 0xFF, 256, 0xED, 256, 0x34}) {
    const auto piece = stream.Add(token);
    ASSERT_TRUE(piece.ok());
    EXPECT_EQ(FirstInvalidUtf8(*piece), absl::string_view::npos) << token;
    shown += *piece;
  }
  EXPECT_EQ(shown, "x3\xEF\xBF\xBDx\xEF\xBF\xBDx4");
}

TEST(RunGenerateTest, AProgramThatIsNotThereIsNamed) {
  const auto result =
      RunGenerate("/nonexistent/cherry-trainer", {}, [](int32_t) { return absl::OkStatus(); });
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("/nonexistent/cherry-trainer"));
}

TEST(RunGenerateTest, AProgramThatDiesTellsItsLastLine) {
  const TestDirectory directory;
  const std::string program =
      directory.File("trainer", "#!/bin/sh\necho loading >&2\necho out of luck >&2\nexit 68\n");
  ASSERT_EQ(chmod(program.c_str(), 0755), 0);
  const auto result = RunGenerate(program, {}, [](int32_t) { return absl::OkStatus(); });
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("exit code 68): out of luck"));
}

}  // namespace
}  // namespace cherry::client
