#include "client/data/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/data/inspect.h"
#include "client/data/split_writer.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/hash.h"
#include "common/token_file.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kLine[] = "이 문서의 저작권은 모두에게 있습니다. 자유롭게 쓰십시오.";

class PrepareTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = directory_.path() + "/data";
    ASSERT_TRUE(MakeDirectories(root_).ok());
    std::string lines;
    for (int i = 0; i < 40; ++i) {
      directory_.File(absl::StrCat("in/", i, ".txt"), Document(i));
      absl::StrAppend(&lines, "{\"text\":\"", i, "번째 JSON 문서: 값 ", i * i, "\"}\n");
    }
    directory_.File("in/more.jsonl", lines);
    directory_.File("in/twin.txt", Document(3));
    options_.name = "ko";
    options_.data_root = root_;
    options_.vocab = 300;
    options_.valid_share = 0.1;
    options_.inputs = {directory_.path() + "/in"};
  }

  static std::string Document(int i) {
    return absl::StrCat("문서 번호 ", i, "\n도움말 ", i % 5, "과 제목\n\n", kLine, "\n");
  }
  absl::StatusOr<DatasetManifest> Prepare() {
    Progress silent(nullptr, false);
    return PrepareDataset(options_, &silent);
  }
  std::string Prefix(const std::string& split) const {
    return absl::StrCat(root_, "/", options_.name, "/", split);
  }
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    const std::string dataset = absl::StrCat(root_, "/", options_.name);
    const std::vector<std::string> names = ListDirectory(dataset).value();
    for (const std::string& name : names) {
      files[name] = ReadFile(dataset + "/" + name).value();
    }
    return files;
  }
  // Every document of a split as text again.
  std::multiset<std::string> Decoded(const std::string& split) const {
    const auto tokenizer = Tokenizer::Load(Prefix("tokenizer.json"));
    const auto file = TokenFile::Open(Prefix(split));
    EXPECT_TRUE(tokenizer.ok() && file.ok());
    std::multiset<std::string> texts;
    for (int64_t i = 0; i < (*file)->documents(); ++i) {
      std::vector<int32_t> tokens(static_cast<size_t>((*file)->document_length(i)));
      (*file)->Read((*file)->document_begin(i), absl::MakeSpan(tokens));
      EXPECT_EQ(tokens.back(), 2);
      tokens.pop_back();
      texts.insert(tokenizer->Decode(tokens).value());
    }
    return texts;
  }
  void ExpectNothingLeft() const { EXPECT_THAT(ListDirectory(root_).value(), ElementsAre()); }

  TestDirectory directory_;
  std::string root_;
  PrepareOptions options_;
};

TEST_F(PrepareTest, EveryDocumentComesBackFromItsTokensOnce) {
  const auto manifest = Prepare();
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  std::multiset<std::string> all = Decoded("train");
  const std::multiset<std::string> valid = Decoded("valid");
  EXPECT_GE(valid.size(), 1u);
  all.insert(valid.begin(), valid.end());
  EXPECT_EQ(all.size(), 80u);
  EXPECT_EQ(all.count("3번째 JSON 문서: 값 9"), 1u);
  int with_line = 0;
  for (const std::string& text : all) {
    with_line += text.find(kLine) != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(with_line, 1);
}

TEST_F(PrepareTest, TheManifestTellsWhatTheFilesHold) {
  const auto manifest = Prepare();
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->counts.documents_read, 81);
  EXPECT_EQ(manifest->counts.repeated_documents, 1);
  EXPECT_EQ(manifest->counts.repeated_lines, 39);
  EXPECT_EQ(manifest->inputs.size(), 42u);
  const v1::Dataset& dataset = manifest->dataset;
  EXPECT_EQ(dataset.path(), "ko");
  EXPECT_EQ(dataset.bytes_per_token(), 2);
  EXPECT_LE(dataset.vocab(), 300);
  EXPECT_EQ(dataset.manifest_hash(), HashFile(Prefix("manifest.json")).value());
  EXPECT_EQ(dataset.tokenizer_hash(), HashFile(Prefix("tokenizer.json")).value());
  ASSERT_EQ(dataset.splits_size(), 2);
  for (const v1::Split& split : dataset.splits()) {
    const auto file = TokenFile::Open(Prefix(split.name()));
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(split.tokens(), (*file)->tokens());
    EXPECT_EQ(split.documents(), (*file)->documents());
    EXPECT_EQ(split.bin_hash(), HashFile(Prefix(split.name()) + ".bin").value());
    EXPECT_EQ(split.bin_bytes(), (*file)->tokens() * 2);
    EXPECT_GT(split.unigram_entropy(), 1.0);
  }
  EXPECT_TRUE(VerifyDataset(root_ + "/ko", *manifest, true).ok());
}

TEST_F(PrepareTest, TwoRunsGiveTheSameBytesOnAnyNumberOfThreads) {
  options_.threads = 1;
  ASSERT_TRUE(Prepare().ok());
  const auto first = Files();
  options_.threads = 4;
  options_.force = true;
  ASSERT_TRUE(Prepare().ok());
  EXPECT_EQ(Files(), first);
  EXPECT_THAT(ListDirectory(root_).value(), ElementsAre("ko"));
}

TEST_F(PrepareTest, TheSplitDoesNotDependOnTheOrderOfTheInput) {
  const std::string in = directory_.path() + "/in/";
  options_.inputs = {in + "more.jsonl", in + "5.txt", in + "3.txt", in + "twin.txt"};
  ASSERT_TRUE(Prepare().ok());
  const auto valid = Decoded("valid");
  options_.inputs = {in + "twin.txt", in + "3.txt", in + "more.jsonl", in + "5.txt"};
  options_.name = "ok";
  ASSERT_TRUE(Prepare().ok());
  EXPECT_EQ(Decoded("valid"), valid);
}

TEST_F(PrepareTest, AnExistingDatasetStaysUnlessForced) {
  ASSERT_TRUE(Prepare().ok());
  const auto before = Files();
  const auto again = Prepare();
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(InfoOf(again.status()).remedy(), HasSubstr("--force"));
  EXPECT_EQ(Files(), before);
}

TEST_F(PrepareTest, AnotherDatasetsTokenizerIsTakenAsItIs) {
  ASSERT_TRUE(Prepare().ok());
  const std::string tokenizer = ReadFile(Prefix("tokenizer.json")).value();
  options_.vocab = 0;
  for (const std::string& where : {std::string("ko"), Prefix("tokenizer.json"), root_ + "/ko"}) {
    options_.name = "next";
    options_.force = true;
    options_.tokenizer = where;
    const auto manifest = Prepare();
    ASSERT_TRUE(manifest.ok()) << manifest.status();
    EXPECT_EQ(ReadFile(Prefix("tokenizer.json")).value(), tokenizer);
    EXPECT_FALSE(manifest->tokenizer_trained);
  }
}

TEST_F(PrepareTest, TokenFilesAreTakenAsTheyAre) {
  ASSERT_TRUE(Prepare().ok());
  options_.inputs = {Prefix("valid"), Prefix("train.bin")};
  const std::string bytes = ReadFile(Prefix("train.bin")).value();
  options_.name = "taken";
  options_.vocab = 0;
  options_.tokenizer = "ko";
  const auto manifest = Prepare();
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(ReadFile(Prefix("train.bin")).value(), bytes);
  EXPECT_EQ(manifest->dataset.splits_size(), 2);
  EXPECT_TRUE(VerifyDataset(root_ + "/taken", *manifest, true).ok());
}

TEST_F(PrepareTest, LabelsBesideTokenFilesAreTakenAlong) {
  options_.name = "own";
  ASSERT_TRUE(Prepare().ok());
  const std::string train = Prefix("train");
  const auto tokens = TokenFile::Open(train);
  ASSERT_TRUE(tokens.ok());
  const std::string labels(static_cast<size_t>((*tokens)->tokens()), kResponse);
  ASSERT_TRUE(WriteFileAtomically(train + ".labels", labels).ok());
  options_.inputs = {train};
  options_.vocab = 0;
  options_.tokenizer = "own";
  options_.name = "taken";
  const auto manifest = Prepare();
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->dataset.splits(0).response_tokens(), (*tokens)->tokens());
  EXPECT_EQ(manifest->dataset.splits(0).labels_hash(), HashFile(Prefix("train.labels")).value());
  EXPECT_TRUE(VerifyDataset(root_ + "/taken", *manifest, true).ok());
  ASSERT_TRUE(WriteFileAtomically(train + ".labels", labels.substr(1)).ok());
  options_.force = true;
  EXPECT_EQ(InfoOf(Prepare().status()).reason(), "LABELS_MISMATCH");
}

TEST_F(PrepareTest, TokensOutsideOfTheVocabularyAreRefused) {
  ASSERT_TRUE(Prepare().ok());
  auto writer = TokenFileWriter::Create(directory_.path() + "/foreign", 2);
  ASSERT_TRUE((*writer)->Add(std::vector<int32_t>{5, 40000}).ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  options_.name = "foreign";
  options_.inputs = {directory_.path() + "/foreign"};
  options_.vocab = 0;
  options_.tokenizer = "ko";
  const auto manifest = Prepare();
  EXPECT_EQ(InfoOf(manifest.status()).reason(), "VOCAB_MISMATCH");
  EXPECT_THAT(std::string(manifest.status().message()),
              HasSubstr("token 40000 is not in the tokenizer's vocabulary"));
  EXPECT_FALSE(Exists(Prefix("manifest.json")));
}

TEST_F(PrepareTest, BadInputLeavesNothingBehind) {
  directory_.File("in/zz.txt", "ok\n\xFF\n");
  const auto utf8 = Prepare();
  EXPECT_THAT(std::string(utf8.status().message()), HasSubstr("zz.txt:2: not UTF-8 at byte 3"));
  ExpectNothingLeft();
  options_.inputs = {directory_.path() + "/in/1.txt"};
  EXPECT_EQ(InfoOf(Prepare().status()).reason(), "DATASET_TOO_SMALL");
  ExpectNothingLeft();
  options_.vocab = 100;
  options_.inputs = {directory_.path() + "/in/1.txt", directory_.path() + "/in/2.txt"};
  const auto small = Prepare();
  EXPECT_EQ(small.status().code(), absl::StatusCode::kInvalidArgument) << small.status();
  EXPECT_THAT(std::string(small.status().message()), HasSubstr("vocab"));
  ExpectNothingLeft();
}

TEST_F(PrepareTest, BadOptionsNameTheFlag) {
  const auto field_of = [this](void (*change)(PrepareOptions*)) {
    const PrepareOptions good = options_;
    change(&options_);
    const absl::Status status = Prepare().status();
    options_ = good;
    EXPECT_FALSE(InfoOf(status).remedy().empty()) << status;
    return InfoOf(status).field();
  };
  EXPECT_EQ(field_of([](PrepareOptions* o) { o->name = "../ko"; }), "name");
  EXPECT_EQ(field_of([](PrepareOptions* o) { o->name = ".."; }), "name");
  EXPECT_EQ(field_of([](PrepareOptions* o) { o->vocab = 0; }), "vocab");
  EXPECT_EQ(field_of([](PrepareOptions* o) { o->tokenizer = "ko"; }), "vocab");
  EXPECT_EQ(field_of([](PrepareOptions* o) { o->valid_share = 0; }), "valid-share");
  EXPECT_EQ(field_of([](PrepareOptions* o) { o->valid_share = std::nan(""); }), "valid-share");
  EXPECT_EQ(field_of([](PrepareOptions* o) { o->threads = -1; }), "threads");
  EXPECT_EQ(field_of([](PrepareOptions* o) {
              o->vocab = 0;
              o->tokenizer = "../../etc";
            }),
            "tokenizer");
  ExpectNothingLeft();
}

TEST_F(PrepareTest, AnotherVocabularysTokenizerNeedsItsEndOfText) {
  ASSERT_TRUE(Prepare().ok());
  std::string json = ReadFile(Prefix("tokenizer.json")).value();
  for (size_t at; (at = json.find("</s>")) != std::string::npos;) {
    json.replace(at, 4, "<|e|>");
  }
  options_.name = "next";
  options_.vocab = 0;
  options_.tokenizer = directory_.File("t/tokenizer.json", json);
  EXPECT_EQ(InfoOf(Prepare().status()).reason(), "TOKENIZER_UNSUPPORTED");
}

TEST_F(PrepareTest, LeftoversOfADeadProcessAreRemoved) {
  directory_.File("data/.ko.tmp-1/text", "left");
  ASSERT_TRUE(Prepare().ok());
  EXPECT_THAT(ListDirectory(root_).value(), ElementsAre("ko"));
}

TEST_F(PrepareTest, AChangedFileIsNamedWhenItIsReadBack) {
  const auto manifest = Prepare();
  ASSERT_TRUE(manifest.ok());
  std::string bytes = ReadFile(Prefix("valid.bin")).value();
  bytes[0] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(Prefix("valid.bin"), bytes).ok());
  EXPECT_TRUE(VerifyDataset(root_ + "/ko", *manifest, false).ok());
  const absl::Status changed = VerifyDataset(root_ + "/ko", *manifest, true);
  EXPECT_EQ(changed.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(changed.message()), HasSubstr("valid.bin: checksum"));
  ASSERT_TRUE(WriteFileAtomically(Prefix("train.bin"), "ab").ok());
  EXPECT_THAT(std::string(VerifyDataset(root_ + "/ko", *manifest, false).message()),
              HasSubstr("train.bin: 2 bytes"));
}

TEST_F(PrepareTest, SamplesAreTheTextOfDocuments) {
  const auto manifest = Prepare();
  ASSERT_TRUE(manifest.ok());
  const auto samples = SampleDocuments(root_ + "/ko", *manifest, 2);
  ASSERT_TRUE(samples.ok()) << samples.status();
  ASSERT_EQ(samples->size(), 4u);
  EXPECT_EQ(Decoded("train").count((*samples)[0].text), 1u);
}

TEST_F(PrepareTest, ReadingADatasetThatIsNotThereSaysWhere) {
  EXPECT_EQ(InfoOf(ReadDatasetManifest(root_, "none").status()).reason(), "DATASET_NOT_FOUND");
  EXPECT_EQ(InfoOf(ReadDatasetManifest(root_ + "/gone", "ko").status()).reason(), "ROOT_NOT_MOUNTED");
  EXPECT_EQ(ReadDatasetManifest(root_, "../data").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(DatasetManifestTest, SurvivesARoundTripAndRefusesOthers) {
  DatasetManifest manifest;
  manifest.dataset.set_name("ko");
  manifest.dataset.set_vocab(2048);
  manifest.dataset.add_rule_languages("ko");
  manifest.dataset.set_rules_hash("0123");
  v1::Split* split = manifest.dataset.add_splits();
  split->set_name("train");
  split->set_labels_hash("4567");
  split->set_fact_tokens(3);
  manifest.text_bytes = {17};
  manifest.text.separator = "---";
  manifest.inputs.push_back({"a.txt", 3, 1, "00"});
  const std::string json = DatasetManifestToJson(manifest);
  const auto read = DatasetManifestFromJson(json);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(DatasetManifestToJson(*read), json);
  EXPECT_EQ(read->dataset.SerializeAsString(), manifest.dataset.SerializeAsString());
  EXPECT_EQ(DatasetManifestFromJson("{}").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DatasetManifestFromJson("{\"format\":1}").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DatasetManifestFromJson("{\"format\":2}").status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(DatasetManifestFromJson("not json").status().code(), absl::StatusCode::kDataLoss);
}

TEST(UnigramEntropyTest, MatchesClosedForms) {
  EXPECT_NEAR(UnigramEntropy({1, 1, 1, 1}), std::log(4.0), 1e-12);
  EXPECT_NEAR(UnigramEntropy({3, 1, 0}), 0.75 * std::log(4.0 / 3) + 0.25 * std::log(4.0), 1e-12);
  EXPECT_EQ(UnigramEntropy({0, 0}), 0);
  EXPECT_EQ(UnigramEntropy({}), 0);
}

TEST(BytesPerTokenTest, TwoUntilTheVocabularyOutgrowsThem) {
  EXPECT_EQ(BytesPerToken(65536), 2);
  EXPECT_EQ(BytesPerToken(65537), 4);
}

}  // namespace
}  // namespace cherry::client
