#include "common/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "common/file.h"
#include "common/status.h"
#include "tests/test_directory.h"

namespace cherry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TokenFileTest : public ::testing::Test {
 protected:
  void SetUp() override { prefix_ = directory_ + "/tokens"; }

  void Write(int bytes_per_token, const std::vector<std::vector<int32_t>>& documents) {
    auto writer = TokenFileWriter::Create(prefix_, bytes_per_token);
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (const auto& document : documents) {
      ASSERT_TRUE((*writer)->Add(document).ok());
    }
    ASSERT_TRUE((*writer)->Finish().ok());
  }
  std::string Bytes(const std::string& suffix) { return ReadFile(prefix_ + suffix).value(); }
  void Replace(const std::string& suffix, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(prefix_ + suffix, bytes).ok());
  }
  absl::Status OpenStatus() { return TokenFile::Open(prefix_).status(); }

  const TestDirectory own_;
  const std::string directory_ = own_.path();
  std::string prefix_;
};

std::string LittleEndian(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) {
    out.push_back(static_cast<char>(value >> (8 * i)));
  }
  return out;
}

// An index written by hand, as Megatron's IndexedDatasetBuilder lays it out.
std::string HandWrittenIndex(int code, const std::vector<int>& lengths, const std::vector<int>& bounds) {
  std::string index("MMIDIDX\0\0", 9);
  index += LittleEndian(1, 8) + LittleEndian(code, 1);
  index += LittleEndian(lengths.size(), 8) + LittleEndian(bounds.size(), 8);
  for (const int length : lengths) {
    index += LittleEndian(length, 4);
  }
  int offset = 0;
  for (const int length : lengths) {
    index += LittleEndian(offset, 8);
    offset += length * (code == 8 ? 2 : 4);
  }
  for (const int bound : bounds) {
    index += LittleEndian(bound, 8);
  }
  return index;
}

TEST_F(TokenFileTest, ReturnsWhatWasWrittenInBothWidths) {
  for (const int width : {2, 4}) {
    Write(width, {{5, 65535, 0}, {}, {7}});
    auto file = TokenFile::Open(prefix_);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->tokens(), 4);
    EXPECT_EQ((*file)->documents(), 3);
    EXPECT_EQ((*file)->bytes_per_token(), width);
    EXPECT_EQ((*file)->document_length(0), 3);
    EXPECT_EQ((*file)->document_length(1), 0);
    EXPECT_EQ((*file)->document_begin(2), 3);
    EXPECT_EQ((*file)->document_length(2), 1);
    std::vector<int32_t> narrow(4);
    (*file)->Read(0, absl::MakeSpan(narrow));
    EXPECT_THAT(narrow, ElementsAre(5, 65535, 0, 7));
    std::vector<int64_t> wide(2);
    (*file)->Read(1, absl::MakeSpan(wide));
    EXPECT_THAT(wide, ElementsAre(65535, 0));
  }
}

TEST_F(TokenFileTest, WritesMegatronsBytes) {
  Write(2, {{1, 2, 3}, {258}});
  EXPECT_EQ(Bytes(".bin"), std::string("\1\0\2\0\3\0\2\1", 8));
  EXPECT_EQ(Bytes(".idx"), HandWrittenIndex(8, {3, 1}, {0, 1, 2}));
  Write(4, {{1}, {65536}});
  EXPECT_EQ(Bytes(".bin"), std::string("\1\0\0\0\0\0\1\0", 8));
  EXPECT_EQ(Bytes(".idx"), HandWrittenIndex(4, {1, 1}, {0, 1, 2}));
}

TEST_F(TokenFileTest, ReadsAForeignIndexWithSeveralSequencesPerDocument) {
  Replace(".bin", std::string("\1\0\2\0\3\0\4\0", 8));
  Replace(".idx", HandWrittenIndex(8, {1, 2, 1}, {0, 2, 3}));
  auto file = TokenFile::Open(prefix_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->documents(), 2);
  EXPECT_EQ((*file)->document_length(0), 3);
  EXPECT_EQ((*file)->document_begin(1), 3);
  EXPECT_EQ((*file)->document_length(1), 1);
}

TEST_F(TokenFileTest, HoldsNoDocuments) {
  Write(2, {});
  auto file = TokenFile::Open(prefix_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->tokens(), 0);
  EXPECT_EQ((*file)->documents(), 0);
}

TEST_F(TokenFileTest, FlushesDocumentsLargerThanItsBuffer) {
  std::vector<int32_t> document(3 << 18);
  for (size_t i = 0; i < document.size(); ++i) {
    document[i] = static_cast<int32_t>(i);
  }
  Write(4, {document, {9}});
  auto file = TokenFile::Open(prefix_);
  ASSERT_TRUE(file.ok()) << file.status();
  std::vector<int32_t> read(document.size());
  (*file)->Read(0, absl::MakeSpan(read));
  EXPECT_EQ(read, document);
}

TEST_F(TokenFileTest, RefusesTokensThatDoNotFit) {
  auto narrow = TokenFileWriter::Create(prefix_, 2);
  ASSERT_TRUE(narrow.ok());
  const std::vector<int32_t> wide_token = {65536};
  EXPECT_EQ((*narrow)->Add(wide_token).code(), absl::StatusCode::kOutOfRange);
  auto wide = TokenFileWriter::Create(prefix_, 4);
  ASSERT_TRUE(wide.ok());
  const std::vector<int32_t> negative = {-1};
  EXPECT_EQ((*wide)->Add(negative).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(TokenFileWriter::Create(prefix_, 3).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(TokenFileTest, RefusesATruncatedOrLongerBin) {
  Write(2, {{1, 2, 3}});
  const std::string bytes = Bytes(".bin");
  for (size_t size = 0; size < bytes.size(); ++size) {
    Replace(".bin", bytes.substr(0, size));
    EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_THAT(std::string(OpenStatus().message()),
              HasSubstr(prefix_ + ".bin: 5 bytes, but its index names 6"));
  EXPECT_FALSE(InfoOf(OpenStatus()).remedy().empty());
  Replace(".bin", bytes + "x");
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kDataLoss);
}

TEST_F(TokenFileTest, RefusesAnIndexTruncatedAnywhere) {
  Write(2, {{1, 2, 3}, {4}});
  const std::string bytes = Bytes(".idx");
  for (size_t size = 0; size < bytes.size(); ++size) {
    Replace(".idx", bytes.substr(0, size));
    EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kDataLoss) << size;
  }
}

TEST_F(TokenFileTest, RefusesAnIndexThatContradictsItself) {
  Write(2, {{1, 2}, {3}});
  Replace(".idx", HandWrittenIndex(8, {2, 1}, {0, 2, 1}));
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kDataLoss);
  Replace(".idx", HandWrittenIndex(8, {2, 1}, {0, 1}));
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kDataLoss);
  Replace(".idx", HandWrittenIndex(8, {4, -1}, {0, 1, 2}));
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kDataLoss);
  std::string shifted = HandWrittenIndex(8, {2, 1}, {0, 1, 2});
  shifted[34 + 8] = 2;  // The first sequence's offset.
  Replace(".idx", shifted);
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kDataLoss);
  std::string huge = HandWrittenIndex(8, {2, 1}, {0, 1, 2});
  huge.replace(18, 8, LittleEndian(std::numeric_limits<uint64_t>::max() / 4, 8));
  Replace(".idx", huge);
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kDataLoss);
}

TEST_F(TokenFileTest, RefusesOtherVersionsAndTokenTypes) {
  Write(2, {{1}});
  std::string version = HandWrittenIndex(8, {1}, {0, 1});
  version[9] = 2;
  Replace(".idx", version);
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kUnimplemented);
  Replace(".idx", HandWrittenIndex(6, {1}, {0, 1}));
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(TokenFileTest, NamesAMissingFile) {
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(OpenStatus().message()), HasSubstr(prefix_ + ".bin"));
}

}  // namespace
}  // namespace cherry
