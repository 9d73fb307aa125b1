#include "client/data/text_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/data/chat.h"
#include "common/status.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class TextSourceTest : public ::testing::Test {
 protected:
  absl::Status Read(const std::string& path, const TextOptions& options = {}) {
    documents_.clear();
    const auto list = ListInputs({path});
    if (!list.ok()) {
      return list.status();
    }
    DocumentForm form;
    auto record = ReadDocuments(list->files.at(0), options, &form, [this](absl::string_view document) {
      documents_.emplace_back(document);
      return absl::OkStatus();
    });
    if (record.ok()) {
      record_ = *record;
    }
    return record.status();
  }

  TestDirectory directory_;
  std::vector<std::string> documents_;
  InputRecord record_;
};

TEST_F(TextSourceTest, OneTextFileIsOneDocument) {
  ASSERT_TRUE(Read(directory_.File("a.txt", "\xEF\xBB\xBFone\r\ntwo\rthree\n")).ok());
  EXPECT_THAT(documents_, ElementsAre("one\ntwo\nthree\n"));
  EXPECT_EQ(record_.bytes, 18);
  EXPECT_EQ(record_.documents, 1);
  EXPECT_EQ(record_.hash.size(), 32u);
}

TEST_F(TextSourceTest, ASeparatorLineEndsADocument) {
  TextOptions options;
  options.separator = "---";
  ASSERT_TRUE(Read(directory_.File("a.txt", "one\n---\ntwo\nmore ---\n---\n---\nthree"), options).ok());
  EXPECT_THAT(documents_, ElementsAre("one\n", "two\nmore ---\n", "three"));
  options.separator = "";
  ASSERT_TRUE(Read(directory_.File("b.txt", "one\n\ntwo\n"), options).ok());
  EXPECT_THAT(documents_, ElementsAre("one\n", "two\n"));
}

TEST_F(TextSourceTest, EachJsonLineIsADocument) {
  const std::string path =
      directory_.File("a.jsonl", "{\"text\":\"한\\r\\n글\"}\n\n{\"id\":1,\"text\":\"two\"}");
  ASSERT_TRUE(Read(path).ok());
  EXPECT_THAT(documents_, ElementsAre("한\n글", "two"));
}

TEST_F(TextSourceTest, AnotherFieldMayHoldTheText) {
  TextOptions options;
  options.text_field = "body";
  ASSERT_TRUE(Read(directory_.File("a.jsonl", "{\"body\":\"one\"}\n"), options).ok());
  EXPECT_THAT(documents_, ElementsAre("one"));
}

TEST_F(TextSourceTest, BadJsonNamesFileAndLine) {
  for (const char* bad : {"{\"text\":1}", "{}", "[]", "{\"text\":\"a\"", "{\"text\":\"\\ud800\"}"}) {
    const absl::Status status =
        Read(directory_.File("bad.jsonl", std::string("{\"text\":\"a\"}\n") + bad + "\n"));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("bad.jsonl:2: ")) << bad;
    EXPECT_FALSE(InfoOf(status).remedy().empty());
  }
}

TEST_F(TextSourceTest, InvalidUtf8NamesFileLineAndByte) {
  const absl::Status text = Read(directory_.File("bad.txt", "one\ntwo\xFF\n"));
  EXPECT_EQ(text.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(text.message()), HasSubstr("bad.txt:2: not UTF-8 at byte 7"));
  const absl::Status json = Read(directory_.File("bad.jsonl", "{\"text\":\"a\"}\n{\"text\":\"\xC0\x80\"}\n"));
  EXPECT_THAT(std::string(json.message()), HasSubstr("bad.jsonl:2: not UTF-8 at byte 22"));
}

TEST_F(TextSourceTest, DirectoriesAreReadInOrderToTheirLeaves) {
  directory_.File("in/b.txt", "b");
  directory_.File("in/a/z.jsonl", "{\"text\":\"z\"}");
  directory_.File("in/a/readme.md", "ignored");
  directory_.File("in/.hidden.txt", "ignored");
  directory_.File("in/.git/c.txt", "ignored");
  const auto list = ListInputs({directory_.path() + "/in"});
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->files.size(), 2u);
  EXPECT_THAT(list->files[0].path, EndsWith("in/a/z.jsonl"));
  EXPECT_THAT(list->files[1].path, EndsWith("in/b.txt"));
  EXPECT_EQ(list->ignored, 1);
}

TEST_F(TextSourceTest, TokenFilesAreGivenByPrefixOrEitherName) {
  directory_.File("corpus.bin", "");
  directory_.File("corpus.idx", "");
  const std::string prefix = directory_.path() + "/corpus";
  for (const char* suffix : {"", ".bin", ".idx"}) {
    const auto list = ListInputs({prefix + suffix});
    ASSERT_TRUE(list.ok()) << list.status();
    EXPECT_THAT(list->token_prefixes, ElementsAre(prefix));
  }
}

TEST_F(TextSourceTest, UnknownInputsAreRefused) {
  EXPECT_EQ(ListInputs({directory_.path() + "/none.txt"}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ListInputs({directory_.File("a.pdf", "x")}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ListInputs({directory_.File("lonely.bin", "x")}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Utf8Test, AcceptsEveryWellFormedLength) {
  EXPECT_EQ(FirstInvalidUtf8("plain ascii text of some length"), absl::string_view::npos);
  EXPECT_EQ(FirstInvalidUtf8("é 한글 \xF0\x9F\x8D\x92 \xF4\x8F\xBF\xBF \xED\x9F\xBF"),
            absl::string_view::npos);
  EXPECT_EQ(FirstInvalidUtf8(absl::string_view("\0", 1)), absl::string_view::npos);
}

TEST(Utf8Test, FindsTheFirstBadByte) {
  const std::vector<std::string> bad = {"\x80",
                                        "\xC1\xBF",
                                        "\xE0\x9F\xBF",
                                        "\xED\xA0\x80",
                                        "\xF0\x8F\xBF\xBF",
                                        "\xF4\x90\x80\x80",
                                        "\xF5\x80\x80\x80",
                                        "\xC3",
                                        "\xE3\x81",
                                        "\xF0\x9F\x8D",
                                        "\xC3("};
  for (const std::string& bytes : bad) {
    EXPECT_EQ(FirstInvalidUtf8("12345678한" + bytes), 11u) << testing::PrintToString(bytes);
  }
}

std::string Packed(const std::string& path, const std::string& command) {
  EXPECT_EQ(std::system(absl::StrCat(command, " ", path).c_str()), 0);
  return path;
}

TEST_F(TextSourceTest, PackedFilesReadAsTheyAre) {
  std::string lines;
  for (int i = 0; i < 20000; ++i) {
    absl::StrAppend(&lines, "{\"text\":\"문서 ", i, "\"}\n");
  }
  ASSERT_TRUE(Read(directory_.File("a.jsonl", lines)).ok());
  const std::vector<std::string> plain = documents_;
  const InputRecord record = record_;
  for (const auto& [suffix, command] : {std::pair{".gz", "gzip -k"}, {".zst", "zstd -q -k"}}) {
    const std::string path = Packed(directory_.path() + "/a.jsonl", command) + suffix;
    ASSERT_TRUE(Read(path).ok()) << suffix;
    EXPECT_EQ(documents_, plain);
    EXPECT_EQ(record_.hash, record.hash);
    EXPECT_EQ(record_.bytes, record.bytes);
    ASSERT_EQ(truncate(path.c_str(), 5000), 0);
    const absl::Status torn = Read(path);
    EXPECT_EQ(InfoOf(torn).reason(), "INPUT_INVALID");
    EXPECT_THAT(std::string(torn.message()), HasSubstr(absl::StrCat("a.jsonl", suffix, ": ")));
    const absl::Status other = Read(directory_.File(absl::StrCat("b.txt", suffix), "plain text"));
    EXPECT_EQ(InfoOf(other).reason(), "INPUT_INVALID") << suffix;
  }
  ASSERT_TRUE(Read(Packed(directory_.File("t.txt", "one\n\r\ntwo"), "gzip") + ".gz").ok());
  EXPECT_THAT(documents_, ElementsAre("one\n\ntwo"));
}

TEST_F(TextSourceTest, LinesEndWhereTheyEndWhateverIsReadAtATime) {
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    absl::StrAppend(&text, "{\"text\":\"", std::string(static_cast<size_t>(i) % 700, 'x'), i, "\"}\n");
  }
  ASSERT_TRUE(Read(directory_.File("a.jsonl", text.substr(0, text.size() - 1))).ok());
  ASSERT_EQ(documents_.size(), 3000u);
  EXPECT_THAT(documents_[2999], EndsWith("x2999"));
}

// Written by pyarrow: tests/golden/parquet/make.py.
TEST_F(TextSourceTest, ParquetRowsAreDocuments) {
  const std::string golden = absl::StrCat(CHERRY_SOURCE_DIRECTORY, "/tests/golden/parquet/");
  for (const char* compression : {"snappy", "gzip", "zstd", "none"}) {
    ASSERT_TRUE(Read(absl::StrCat(golden, "texts-", compression, ".parquet")).ok()) << compression;
    ASSERT_EQ(documents_.size(), 15u);
    EXPECT_EQ(documents_[0], "첫 문서 0");
    EXPECT_EQ(documents_[1], "a second\none 1");
    EXPECT_EQ(documents_[12], "the third 😀 12");
  }
  ASSERT_TRUE(Read(golden + "chats.parquet").ok());
  ASSERT_EQ(documents_.size(), 6u);
  const std::vector<Message> messages = UnpackChat(documents_[5]);
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[1].role, Role::kAssistant);
  EXPECT_EQ(messages[1].text, "답 5.\n");
}

TEST_F(TextSourceTest, ParquetThatDoesNotFitIsRefusedWithItsRow) {
  const std::string golden = absl::StrCat(CHERRY_SOURCE_DIRECTORY, "/tests/golden/parquet/");
  EXPECT_THAT(std::string(Read(golden + "holes.parquet").message()),
              HasSubstr("holes.parquet:3: no string 'text'"));
  TextOptions options;
  options.text_field = "words";
  const absl::Status missing = Read(golden + "texts-zstd.parquet", options);
  EXPECT_THAT(std::string(missing.message()),
              HasSubstr("no column words or messages; it has id, text, score"));
  EXPECT_EQ(InfoOf(Read(directory_.File("a.parquet", "PAR1 no"))).reason(), "PARQUET_INVALID");
}

}  // namespace
}  // namespace cherry::client
