#include "common/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <random>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/status.h"
#include "tests/test_directory.h"

namespace cherry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SafetensorsTest : public ::testing::Test {
 protected:
  void SetUp() override { path_ = directory_ + "/t.safetensors"; }

  // A file with this header and `data_bytes` zero bytes behind it.
  void WriteRaw(const std::string& header, size_t data_bytes) {
    std::string bytes(8, '\0');
    for (size_t i = 0; i < 8; ++i) {
      bytes[i] = static_cast<char>(header.size() >> (8 * i));
    }
    ASSERT_TRUE(WriteFileAtomically(path_, bytes + header + std::string(data_bytes, '\0')).ok());
  }
  std::string OpenError() {
    const auto file = SafetensorsFile::Open(path_);
    EXPECT_TRUE(absl::IsDataLoss(file.status())) << file.status();
    EXPECT_THAT(std::string(file.status().message()), HasSubstr(path_));
    return std::string(file.status().message());
  }

  std::vector<float> a_ = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f};
  std::vector<int64_t> b_ = {7, 8};
  std::vector<TensorBytes> tensors_ = {{"a", "F32", {2, 3}, a_.data(), 24},
                                       {"b", "I64", {2}, b_.data(), 16},
                                       {"empty", "F32", {0, 4}, nullptr, 0},
                                       {"scalar", "F32", {}, a_.data(), 4}};
  const TestDirectory own_;
  const std::string directory_ = own_.path();
  std::string path_;
};

TEST_F(SafetensorsTest, ReadsWhatWasWritten) {
  const auto written = WriteSafetensors(path_, tensors_, {{"format", "pt"}});
  ASSERT_TRUE(written.ok()) << written.status();
  const auto file = SafetensorsFile::Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->tensors().size(), 4u);
  EXPECT_EQ((*file)->metadata().at("format"), "pt");
  const absl::StatusOr<TensorInfo> a = (*file)->Find("a");
  ASSERT_TRUE(a.ok());
  EXPECT_THAT(a->shape, ElementsAre(2, 3));
  EXPECT_EQ(std::memcmp((*file)->Data(*a), a_.data(), 24), 0);
  const absl::StatusOr<TensorInfo> b = (*file)->Find("b");
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(b->dtype, "I64");
  EXPECT_EQ(std::memcmp((*file)->Data(*b), b_.data(), 16), 0);
  EXPECT_TRUE((*file)->Find("scalar")->shape.empty());
  EXPECT_TRUE(absl::IsNotFound((*file)->Find("c").status()));
}

TEST_F(SafetensorsTest, CountsAndHashesWhatIsOnTheDisk) {
  const auto written = WriteSafetensors(path_, tensors_, {});
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(written->hash, HashFile(path_).value());
  EXPECT_EQ(written->bytes, static_cast<int64_t>(ReadFile(path_).value().size()));
}

TEST_F(SafetensorsTest, TheLayoutIsTheDocumentedOne) {
  ASSERT_TRUE(WriteSafetensors(path_, {{"b", "I64", {2}, b_.data(), 16}}, {}).ok());
  const std::string header = R"({"b":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}})";
  std::string expected(8, '\0');
  expected[0] = static_cast<char>((header.size() + 7) / 8 * 8);
  expected += header + std::string((8 - header.size() % 8) % 8, ' ');
  expected.append(reinterpret_cast<const char*>(b_.data()), 16);
  EXPECT_EQ(ReadFile(path_).value(), expected);
}

TEST_F(SafetensorsTest, RefusesToWriteWhatDoesNotFit) {
  tensors_[0].bytes = 20;
  EXPECT_TRUE(absl::IsInvalidArgument(WriteSafetensors(path_, tensors_, {}).status()));
  tensors_[0].bytes = 24;
  tensors_[1].name = "a";
  EXPECT_TRUE(absl::IsInvalidArgument(WriteSafetensors(path_, tensors_, {}).status()));
}

TEST_F(SafetensorsTest, FindsEveryTruncation) {
  ASSERT_TRUE(WriteSafetensors(path_, tensors_, {}).ok());
  const std::string whole = ReadFile(path_).value();
  for (size_t size = 0; size < whole.size(); ++size) {
    ASSERT_TRUE(WriteFileAtomically(path_, whole.substr(0, size)).ok());
    OpenError();
  }
}

TEST_F(SafetensorsTest, AnyHeaderByteMayBeWrongWithoutHarm) {
  ASSERT_TRUE(WriteSafetensors(path_, tensors_, {{"format", "pt"}}).ok());
  const std::string whole = ReadFile(path_).value();
  for (size_t at = 0; at + 44 < whole.size(); ++at) {
    for (const int bit : {0, 3, 6, 7}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      ASSERT_TRUE(WriteFileAtomically(path_, changed).ok());
      const auto file = SafetensorsFile::Open(path_);
      if (!file.ok()) {
        continue;
      }
      // A changed name or metadata is a valid file; its tensors lie within it all the same.
      for (const TensorInfo& tensor : (*file)->tensors()) {
        ASSERT_LE(tensor.begin + tensor.bytes, static_cast<int64_t>(whole.size()));
      }
    }
  }
}

TEST_F(SafetensorsTest, NamesWhatIsWrongWithAHeader) {
  WriteRaw("[]", 0);
  EXPECT_THAT(OpenError(), HasSubstr("not a JSON object"));
  WriteRaw(R"({"a": {"dtype": "F32", "shape": [1]}})", 4);
  EXPECT_THAT(OpenError(), HasSubstr("lacks dtype, shape or data_offsets"));
  WriteRaw(R"({"a": {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}})", 4);
  EXPECT_THAT(OpenError(), HasSubstr("unknown dtype F33"));
  WriteRaw(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}})", 4);
  EXPECT_THAT(OpenError(), HasSubstr("do not fit its shape"));
  WriteRaw(R"({"a": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 0]}})", 0);
  EXPECT_THAT(OpenError(), HasSubstr("do not fit its shape"));
  WriteRaw(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}})", 4);
  EXPECT_THAT(OpenError(), HasSubstr("lacks"));
  WriteRaw(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})", 8);
  EXPECT_THAT(OpenError(), HasSubstr("begins at 4, not at 0"));
  WriteRaw(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},)"
           R"( "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})",
           8);
  EXPECT_THAT(OpenError(), HasSubstr("begins at 0, not at 4"));
  WriteRaw(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})", 5);
  EXPECT_THAT(OpenError(), HasSubstr("its tensors end at"));
  WriteRaw(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},)"
           R"( "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})",
           4);
  EXPECT_THAT(OpenError(), HasSubstr("names a tensor twice"));
  WriteRaw(R"({"__metadata__": {"a": 1}})", 0);
  EXPECT_THAT(OpenError(), HasSubstr("metadata"));
  WriteRaw(R"({"__metadata__": "text"})", 0);
  EXPECT_THAT(OpenError(), HasSubstr("metadata"));
}

TEST_F(SafetensorsTest, TensorsMayStandInAnyOrderInTheHeader) {
  WriteRaw(R"({"b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},)"
           R"( "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})",
           8);
  const auto file = SafetensorsFile::Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->tensors()[0].name, "a");
  EXPECT_EQ((*file)->tensors()[1].name, "b");
}

TEST_F(SafetensorsTest, AFullDiskIsResourceExhausted) {
  EXPECT_TRUE(absl::IsResourceExhausted(WriteSafetensors("/dev/full", tensors_, {}).status()));
}

}  // namespace
}  // namespace cherry
