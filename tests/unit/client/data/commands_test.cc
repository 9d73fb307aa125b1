// The commands as people run them, with a coordinator that answers from memory.
#include "client/data/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/context.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/hf_config.h"
#include "common/manifest.h"
#include "common/safetensors.h"
#include "common/status.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::_;
using ::testing::HasSubstr;
using ::testing::Invoke;
using ::testing::NiceMock;
using ::testing::Return;

template <typename T>
using Or = absl::StatusOr<T>;

class MockClient : public Client {
 public:
  MOCK_METHOD(Or<v1::SubmitJobResponse>, SubmitJob, (v1::SubmitJobRequest), (override));
  MOCK_METHOD(Or<v1::SubmitPipelineResponse>, SubmitPipeline, (v1::SubmitPipelineRequest), (override));
  MOCK_METHOD(Or<v1::ListPipelinesResponse>, ListPipelines, (v1::ListPipelinesRequest), (override));
  MOCK_METHOD(Or<v1::Job>, GetJob, (v1::GetJobRequest), (override));
  MOCK_METHOD(Or<v1::ListJobsResponse>, ListJobs, (v1::ListJobsRequest), (override));
  MOCK_METHOD(Or<v1::Job>, CancelJob, (v1::CancelJobRequest), (override));
  MOCK_METHOD(Or<v1::Job>, PauseJob, (v1::PauseJobRequest), (override));
  MOCK_METHOD(Or<v1::Job>, ResumeJob, (v1::ResumeJobRequest), (override));
  MOCK_METHOD(Or<v1::ExplainJobResponse>, ExplainJob, (v1::ExplainJobRequest), (override));
  MOCK_METHOD(Or<v1::ListMetricsResponse>, ListMetrics, (v1::ListMetricsRequest), (override));
  MOCK_METHOD(Or<v1::ListEventsResponse>, ListEvents, (v1::ListEventsRequest), (override));
  MOCK_METHOD(Or<v1::Checkpoint>, GetCheckpoint, (v1::GetCheckpointRequest), (override));
  MOCK_METHOD(Or<v1::ListCheckpointsResponse>, ListCheckpoints, (v1::ListCheckpointsRequest), (override));
  MOCK_METHOD(Or<v1::Checkpoint>, ReportCheckpoint, (v1::ReportCheckpointRequest), (override));
  MOCK_METHOD(Or<v1::Worker>, GetWorker, (v1::GetWorkerRequest), (override));
  MOCK_METHOD(Or<v1::ListWorkersResponse>, ListWorkers, (v1::ListWorkersRequest), (override));
  MOCK_METHOD(Or<v1::Worker>, SetWorkerState, (v1::SetWorkerStateRequest), (override));
  MOCK_METHOD(Or<v1::Dataset>, RegisterDataset, (v1::RegisterDatasetRequest), (override));
  MOCK_METHOD(Or<v1::Dataset>, GetDataset, (v1::GetDatasetRequest), (override));
  MOCK_METHOD(Or<v1::ListDatasetsResponse>, ListDatasets, (v1::ListDatasetsRequest), (override));
  MOCK_METHOD(Or<v1::Model>, RegisterModel, (v1::RegisterModelRequest), (override));
  MOCK_METHOD(Or<v1::ListModelsResponse>, ListModels, (v1::ListModelsRequest), (override));
  MOCK_METHOD(Or<v1::ListPresetsResponse>, ListPresets, (v1::ListPresetsRequest), (override));
  MOCK_METHOD(Or<v1::ServerInfo>, GetServerInfo, (v1::GetServerInfoRequest), (override));
  MOCK_METHOD(absl::Status, WatchJob,
              (const v1::WatchJobRequest&, absl::Time,
               const std::function<bool(const v1::WatchJobResponse&)>&),
              (override));
  MOCK_METHOD(absl::Status, ReadLogs,
              (const v1::ReadLogsRequest&, absl::Time,
               const std::function<bool(const v1::ReadLogsResponse&)>&),
              (override));
  MOCK_METHOD(absl::Status, WatchEvents,
              (const v1::WatchEventsRequest&, absl::Time, const std::function<bool(const v1::Event&)>&),
              (override));
  MOCK_METHOD(void, Interrupt, (), (override));
};

class CommandsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 20; ++i) {
      directory_.File(absl::StrCat("in/", i, ".txt"), absl::StrCat("문서 ", i, "\n본문입니다.\n"));
    }
    ON_CALL(*mock_, RegisterDataset(_))
        .WillByDefault(Invoke([this](v1::RegisterDatasetRequest request) -> Or<v1::Dataset> {
          registered_ = request.dataset();
          return request.dataset();
        }));
  }

  // Exit code of `cherry ARGUMENTS`, as main gives it. One connection for each test.
  int Run(const std::string& arguments) {
    out_.str("");
    err_.str("");
    Context context(&out_, &err_, false, [this](const ClientOptions&) -> Or<std::unique_ptr<Client>> {
      if (mock_ == nullptr) {
        return absl::InternalError("a second connection");
      }
      return std::unique_ptr<Client>(std::move(mock_));
    });
    CLI::App app;
    app.fallthrough();
    context.AddGlobalOptions(app);
    RegisterDataCommands(app, &context);
    std::vector<std::string> words =
        absl::StrSplit(absl::StrCat("--home ", directory_.path(), " ", arguments), ' ');
    std::reverse(words.begin(), words.end());
    app.parse(words);
    result_ = context.result();
    return context.exit_code().value_or(ExitCodeOf(result_));
  }
  std::string In() const { return directory_.path() + "/in"; }

  // A checkpoint where the coordinator says that job ko-base has one.
  std::string SaveCheckpoint() {
    const std::string path = "default/uid/epoch-1/step-00000050";
    Manifest manifest;
    manifest.step = 50;
    const float one = 1.0F;
    EXPECT_TRUE(MakeDirectories(absl::StrCat(directory_.path(), "/checkpoints/", path)).ok());
    EXPECT_TRUE(WriteSafetensors(absl::StrCat(directory_.path(), "/checkpoints/", path, "/", kModelFile),
                                 {{"model.norm.weight", "F32", {1}, &one, sizeof(one)}}, {})
                    .ok());
    ModelShape shape;
    shape.layers = shape.heads = shape.kv_heads = shape.ffn_dim = 1;
    shape.dim = 2;
    shape.vocab = 300;
    directory_.File(absl::StrCat("checkpoints/", path, "/", kConfigFile), HfConfig(shape, 8));
    auto trainer = TokenizerTrainer::Create({.vocab_size = 300});
    EXPECT_TRUE(trainer.ok());
    directory_.File(absl::StrCat("checkpoints/", path, "/", kTokenizerFile),
                    trainer->Train()->ToJson().value());
    directory_.File(absl::StrCat("checkpoints/", path, "/", kOptimizerFile), "moments");
    for (const char* name : {kModelFile, kOptimizerFile, kConfigFile, kTokenizerFile}) {
      const std::string content =
          ReadFile(absl::StrCat(directory_.path(), "/checkpoints/", path, "/", name)).value();
      manifest.files.push_back({name, static_cast<int64_t>(content.size()), HashBytes(content)});
    }
    directory_.File(absl::StrCat("checkpoints/", path, "/manifest.json"), ManifestToJson(manifest));
    v1::Checkpoint checkpoint;
    checkpoint.set_path(path);
    checkpoint.set_step(50);
    ON_CALL(*mock_, GetCheckpoint(_)).WillByDefault(Return(checkpoint));
    return absl::StrCat(directory_.path(), "/checkpoints/", path);
  }

  TestDirectory directory_;
  std::unique_ptr<NiceMock<MockClient>> mock_ = std::make_unique<NiceMock<MockClient>>();
  std::ostringstream out_;
  std::ostringstream err_;
  absl::Status result_;
  v1::Dataset registered_;
};

TEST_F(CommandsTest, PrepareRegistersWhatItMade) {
  ASSERT_EQ(Run(absl::StrCat("data prepare --name ko --vocab 280 ", In())), 0) << result_;
  EXPECT_EQ(registered_.name(), "ko");
  EXPECT_EQ(registered_.path(), "ko");
  EXPECT_EQ(registered_.splits_size(), 2);
  EXPECT_EQ(registered_.manifest_hash(), HashFile(directory_.path() + "/data/ko/manifest.json").value());
  EXPECT_THAT(out_.str(), HasSubstr("(unigram, nats a token)"));
}

TEST_F(CommandsTest, PrepareWithoutACoordinatorSaysHowToRegisterLater) {
  EXPECT_CALL(*mock_, RegisterDataset(_)).WillOnce(Return(absl::UnavailableError("away")));
  EXPECT_EQ(Run(absl::StrCat("data prepare --name ko --vocab 280 ", In())), 0) << result_;
  EXPECT_THAT(err_.str(), HasSubstr("cherry data register ko"));
  EXPECT_TRUE(Exists(directory_.path() + "/data/ko/manifest.json"));
}

TEST_F(CommandsTest, ARefusedRegistrationFailsAndKeepsTheDataset) {
  EXPECT_CALL(*mock_, RegisterDataset(_)).WillOnce(Return(absl::PermissionDeniedError("no")));
  EXPECT_EQ(Run(absl::StrCat("data prepare --name ko --vocab 280 ", In())), kExitRefused);
  EXPECT_THAT(std::string(result_.message()), HasSubstr("the dataset is complete"));
  EXPECT_TRUE(Exists(directory_.path() + "/data/ko/manifest.json"));
}

TEST_F(CommandsTest, InspectShowsTextBackAndVerifies) {
  ASSERT_EQ(Run(absl::StrCat("data prepare --no-register --name ko --vocab 280 ", In())), 0) << result_;
  ASSERT_EQ(Run("data inspect ko --samples 1 --verify"), 0) << result_;
  EXPECT_THAT(out_.str(), HasSubstr("본문입니다."));
  EXPECT_THAT(out_.str(), HasSubstr("(read back, right)"));
  directory_.File("data/ko/valid.bin", "x");
  EXPECT_EQ(Run("data inspect ko"), 1);
  EXPECT_THAT(std::string(result_.message()), HasSubstr("valid.bin"));
}

TEST_F(CommandsTest, ALanguageThatWasAskedForAndIsHardlyThereIsAWarning) {
  const std::string prepare = "data prepare --no-register --name ko --vocab 280 " + In();
  ASSERT_EQ(Run(prepare), 0) << result_;
  EXPECT_EQ(err_.str().find("warning"), std::string::npos);
  EXPECT_THAT(out_.str(), HasSubstr("letters 100.0 % ko, 0.0 % en"));
  ASSERT_EQ(Run(prepare + " --force --rules en"), 0) << result_;
  EXPECT_THAT(err_.str(), HasSubstr("warning: --rules en: 0.0 % of the letters are English; its rules label "
                                    "almost nothing\n"));
  ASSERT_EQ(Run(prepare + " --force --rules none"), 0) << result_;
  EXPECT_THAT(out_.str(), HasSubstr("train none"));
}

TEST_F(CommandsTest, RulesOfAnUnknownLanguageAreRefused) {
  EXPECT_EQ(Run("data prepare --no-register --name ko --vocab 280 --rules ko,fr " + In()), kExitInvalid);
  EXPECT_EQ(InfoOf(result_).field(), "rules");
  EXPECT_THAT(std::string(result_.message()), HasSubstr("no rules for 'fr'"));
}

TEST_F(CommandsTest, PrepareAndInspectTellTheControlAndWhatSurvives) {
  ASSERT_EQ(Run(absl::StrCat("data prepare --name ko --vocab 280 --control shuffle --control-seed 7 ", In())),
            0)
      << result_;
  EXPECT_EQ(registered_.control(), "shuffle");
  EXPECT_THAT(out_.str(), HasSubstr("control     shuffle, seed 7\n"));
  ASSERT_EQ(Run("data inspect ko"), 0) << result_;
  EXPECT_THAT(out_.str(), HasSubstr("control     shuffle, seed 7\n"));
  EXPECT_THAT(out_.str(), HasSubstr("surviving   train 3-grams 0."));
}

TEST_F(CommandsTest, StructuredOutputIsTheDatasetAndNothingElse) {
  ASSERT_EQ(Run(absl::StrCat("data prepare --no-register --name ko --vocab 280 -o json ", In())), 0)
      << result_;
  EXPECT_EQ(out_.str().front(), '{');
  EXPECT_THAT(out_.str(), HasSubstr("\"tokenizer_hash\""));
}

TEST_F(CommandsTest, RootsThatAreNotMountedAreNamed) {
  EXPECT_EQ(Run("data inspect ko --data-root /nonexistent"), kExitNotFound);
  EXPECT_EQ(Run(absl::StrCat("data prepare --name ko --vocab 280 --data-root /nonexistent ", In())),
            kExitNotFound);
  EXPECT_THAT(std::string(result_.message()), HasSubstr("/nonexistent"));
  SaveCheckpoint();
  EXPECT_EQ(Run("checkpoint verify ko-base --checkpoint-root /nonexistent"), kExitNotFound);
  EXPECT_EQ(InfoOf(result_).reason(), "ROOT_NOT_MOUNTED");
}

TEST_F(CommandsTest, VerifyReadsACheckpointBack) {
  SaveCheckpoint();
  EXPECT_CALL(*mock_, GetCheckpoint(_)).Times(1);
  EXPECT_CALL(*mock_, ReportCheckpoint(_)).Times(0);
  EXPECT_EQ(Run("checkpoint verify ko-base:latest"), 0) << result_;
  EXPECT_THAT(out_.str(), HasSubstr("step 50, 4 files"));
}

TEST_F(CommandsTest, ADamagedCheckpointIsNamedReportedAndFails) {
  const std::string path = SaveCheckpoint();
  ASSERT_TRUE(WriteFileAtomically(path + "/optimizer.safetensors", "optimizer.safetensorz").ok());
  EXPECT_CALL(*mock_, ReportCheckpoint(_))
      .WillOnce(Invoke([](v1::ReportCheckpointRequest request) -> Or<v1::Checkpoint> {
        EXPECT_EQ(request.job(), "namespaces/default/jobs/ko-base");
        EXPECT_EQ(request.step(), 50);
        EXPECT_TRUE(request.corrupt());
        EXPECT_THAT(request.detail(), HasSubstr("optimizer.safetensors"));
        EXPECT_FALSE(request.request_id().empty());
        return v1::Checkpoint();
      }));
  EXPECT_EQ(Run("checkpoint verify ko-base"), 1);
  EXPECT_THAT(std::string(result_.message()), HasSubstr("optimizer.safetensors"));
  EXPECT_THAT(err_.str(), HasSubstr("reported"));
}

TEST_F(CommandsTest, ACheckpointPathThatLeavesTheRootIsRefused) {
  v1::Checkpoint checkpoint;
  checkpoint.set_path("../in");
  SaveCheckpoint();
  ON_CALL(*mock_, GetCheckpoint(_)).WillByDefault(Return(checkpoint));
  EXPECT_EQ(Run("checkpoint verify ko-base"), kExitInvalid);
  EXPECT_EQ(InfoOf(result_).reason(), "PATH_LEAVES_ROOT");
}

TEST_F(CommandsTest, BadReferencesDoNotReachTheCoordinator) {
  EXPECT_CALL(*mock_, GetCheckpoint(_)).Times(0);
  EXPECT_EQ(Run("checkpoint verify ko-base:newest"), kExitInvalid);
  EXPECT_EQ(Run("checkpoint export Ko --output out"), kExitInvalid);
  EXPECT_EQ(Run("generate ko-base:-2 --prompt a"), kExitInvalid);
}

TEST_F(CommandsTest, ExportTakesADirectoryWithoutACoordinator) {
  const std::string path = SaveCheckpoint();
  EXPECT_CALL(*mock_, GetCheckpoint(_)).Times(0);
  const std::string output = directory_.path() + "/hf";
  EXPECT_EQ(Run(absl::StrCat("checkpoint export ", path, " --output ", output)), 0) << result_;
  EXPECT_TRUE(Exists(output + "/tokenizer_config.json"));
  EXPECT_EQ(Run(absl::StrCat("checkpoint export ", path, " --output ", output, " --format cherry")),
            kExitInvalid);
  EXPECT_THAT(InfoOf(result_).remedy(), HasSubstr("--force"));
}

TEST_F(CommandsTest, ADatasetThatAJobTrainsOnIsNotReplaced) {
  const std::string prepare = "data prepare --name ko --vocab 300 --valid-share 0.2 " + In();
  ASSERT_EQ(Run(prepare + " --no-register"), 0) << result_;
  const std::string manifest = ReadFile(directory_.path() + "/data/ko/manifest.json").value();
  v1::ListJobsResponse jobs;
  v1::Job* const job = jobs.add_jobs();
  job->set_name("namespaces/default/jobs/ko-base");
  job->mutable_resolved()->mutable_data()->set_train("ko/train");
  ON_CALL(*mock_, ListJobs(_)).WillByDefault(Return(jobs));
  directory_.File("in/another.txt", "다른 문서\n");
  EXPECT_EQ(Run(prepare + " --force"), kExitInvalid);
  EXPECT_EQ(InfoOf(result_).reason(), "DATASET_IN_USE");
  EXPECT_EQ(ReadFile(directory_.path() + "/data/ko/manifest.json").value(), manifest);
}

}  // namespace
}  // namespace cherry::client
