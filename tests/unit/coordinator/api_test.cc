// The edge: who may call, what errors carry, and a job from submit to success.
#include <gmock/gmock.h>
#include <grpcpp/health_check_service_interface.h>
#include <unistd.h>

#include <functional>

#include "coordinator/api/roles.h"
#include "tests/unit/coordinator/api_fixture.h"

namespace cherry::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST_F(Api, EveryMethodIsInTheTableOfRoles) {
  const std::vector<std::string> methods = Methods();
  EXPECT_EQ(methods.size(), RpcRules().size());
  for (const std::string& method : methods) {
    const std::string name = method.substr(method.rfind('/') + 1);
    EXPECT_TRUE(Authorise({"all", kSubmitter | kOperator | kWorker}, name).ok()) << name;
    EXPECT_EQ(InfoOf(Authorise({"nobody", 0}, name)).reason(), "ROLE_MISSING");
  }
  EXPECT_FALSE(Authorise({"all", kSubmitter | kOperator | kWorker}, "Unlisted").ok());
}

TEST_F(Api, NoMethodAnswersWithoutTheToken) {
  for (const std::string& method : Methods()) {
    const absl::Status without = CallByName(method, "", kPatience);
    EXPECT_EQ(without.code(), absl::StatusCode::kUnauthenticated) << method << without;
    EXPECT_EQ(InfoOf(without).reason(), "TOKEN_MISSING") << method;
    const absl::Status wrong = CallByName(method, token_ + "x", kPatience);
    EXPECT_EQ(wrong.code(), absl::StatusCode::kUnauthenticated) << method;
    EXPECT_EQ(InfoOf(wrong).reason(), "TOKEN_WRONG") << method;
    // A watch of all events waits for some: the short deadline ends it.
    const absl::Status right = CallByName(method, token_, std::chrono::milliseconds(500));
    EXPECT_NE(right.code(), absl::StatusCode::kUnauthenticated) << method;
    EXPECT_NE(right.code(), absl::StatusCode::kPermissionDenied) << method;
    EXPECT_NE(right.code(), absl::StatusCode::kUnimplemented) << method;
  }
}

TEST_F(Api, ADeadlineIsRequired) {
  grpc::ClientContext context;
  context.AddMetadata("authorization", token_);
  v1::ServerInfo info;
  const absl::Status status = FromGrpc(cherry_->GetServerInfo(&context, {}, &info));
  EXPECT_EQ(InfoOf(status).reason(), "DEADLINE_REQUIRED");
}

TEST_F(Api, AnotherMajorVersionIsRefused) {
  for (const auto& [version, fine] : {std::pair{"1", true}, std::pair{"1.7", true}, std::pair{"2", false}}) {
    auto context = Context();
    context->AddMetadata("cherry-api-version", version);
    v1::ServerInfo info;
    const absl::Status status = FromGrpc(cherry_->GetServerInfo(context.get(), {}, &info));
    EXPECT_EQ(status.ok(), fine) << version;
    EXPECT_EQ(InfoOf(status).reason(), fine ? "" : "API_VERSION_UNSUPPORTED");
  }
}

TEST_F(Api, ErrorsNameReasonFieldAndRemedy) {
  v1::SubmitJobResponse response;
  v1::SubmitJobRequest request = SubmitRequest("a");  // Its dataset is not registered.
  const absl::Status status = FromGrpc(cherry_->SubmitJob(Context().get(), request, &response));
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(InfoOf(status).field(), "data.train");
  EXPECT_FALSE(InfoOf(status).remedy().empty());
}

TEST_F(Api, ADatasetMustLieBeneathTheDataRoot) {
  v1::RegisterDatasetRequest request;
  request.set_request_id(NewUuid());
  request.mutable_dataset()->set_name("ko");
  v1::Dataset reply;
  for (const std::string path : {"../token", "/etc", "nowhere"}) {
    request.mutable_dataset()->set_path(path);
    const absl::Status status = FromGrpc(cherry_->RegisterDataset(Context().get(), request, &reply));
    EXPECT_FALSE(status.ok()) << path;
    EXPECT_EQ(InfoOf(status).field(), "dataset.path") << status;
  }
}

TEST_F(Api, LabelsOfADatasetMustBeThereWithTheirLength) {
  ASSERT_TRUE(MakeDirectories(home_ + "/data/ko").ok());
  v1::RegisterDatasetRequest request;
  request.set_request_id(NewUuid());
  request.mutable_dataset()->set_name("ko");
  request.mutable_dataset()->set_path("ko");
  request.mutable_dataset()->set_vocab(2048);
  request.mutable_dataset()->set_bytes_per_token(2);
  v1::Split* split = request.mutable_dataset()->add_splits();
  split->set_name("train");
  split->set_tokens(3);
  split->set_labels_hash("00");
  v1::Dataset reply;
  const auto registered = [&] {
    return FromGrpc(cherry_->RegisterDataset(Context().get(), request, &reply));
  };
  EXPECT_EQ(InfoOf(registered()).reason(), "DATASET_DAMAGED");
  ASSERT_TRUE(WriteFileAtomically(home_ + "/data/ko/train.labels", "12").ok());
  EXPECT_THAT(std::string(registered().message()), HasSubstr("train.labels has 2 bytes, not 3"));
  ASSERT_TRUE(WriteFileAtomically(home_ + "/data/ko/train.labels", "123").ok());
  EXPECT_TRUE(registered().ok());
  split->set_name("../train");
  request.set_request_id(NewUuid());
  EXPECT_EQ(InfoOf(registered()).field(), "dataset.splits.name");
}

TEST_F(Api, ARepeatedSubmitGetsTheFirstReplyAlsoAfterARestart) {
  AddDataset();
  const v1::SubmitJobRequest request = SubmitRequest("a");
  v1::SubmitJobResponse first;
  ASSERT_TRUE(cherry_->SubmitJob(Context().get(), request, &first).ok());
  v1::SubmitJobResponse second;
  ASSERT_TRUE(cherry_->SubmitJob(Context().get(), request, &second).ok());
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
  Restart();
  v1::SubmitJobResponse third;
  ASSERT_TRUE(cherry_->SubmitJob(Context().get(), request, &third).ok());
  EXPECT_EQ(first.SerializeAsString(), third.SerializeAsString());
  v1::ListJobsResponse jobs;
  ASSERT_TRUE(cherry_->ListJobs(Context().get(), {}, &jobs).ok());
  EXPECT_THAT(jobs.jobs(), SizeIs(1));
}

TEST_F(Api, APipelineIsSubmittedOnceAndItsJobsAreListedAlsoAfterARestart) {
  AddDataset();
  v1::SubmitPipelineRequest request;
  request.set_name("mini");
  *request.add_jobs() = SubmitRequest("child").spec();
  request.mutable_jobs(0)->mutable_from()->set_job("base");
  *request.add_jobs() = SubmitRequest("base").spec();
  auto& axes = *request.mutable_jobs(1)->mutable_matrix()->mutable_axes();
  axes["train.seed"].add_values()->set_number_value(1);
  axes["train.seed"].add_values()->set_number_value(2);
  request.mutable_jobs(0)->mutable_from()->set_job("base-2");
  request.set_validate_only(true);
  v1::SubmitPipelineResponse planned;
  ASSERT_TRUE(cherry_->SubmitPipeline(Context().get(), request, &planned).ok());
  EXPECT_THAT(planned.jobs(), SizeIs(3));
  EXPECT_EQ(planned.pipeline().uid(), "");
  request.set_validate_only(false);
  EXPECT_EQ(InfoOf(FromGrpc(cherry_->SubmitPipeline(Context().get(), request, &planned))).reason(),
            "REQUEST_ID_MISSING");
  request.set_request_id(NewUuid());
  v1::SubmitPipelineResponse first;
  const absl::Status status = FromGrpc(cherry_->SubmitPipeline(Context().get(), request, &first));
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(first.jobs(), SizeIs(3));
  EXPECT_NE(first.jobs(0).uid(), first.jobs(1).uid());
  Restart();
  v1::SubmitPipelineResponse second;
  ASSERT_TRUE(cherry_->SubmitPipeline(Context().get(), request, &second).ok());
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
  v1::ListJobsRequest list;
  list.set_pipeline(first.pipeline().name());
  v1::ListJobsResponse jobs;
  ASSERT_TRUE(cherry_->ListJobs(Context().get(), list, &jobs).ok());
  ASSERT_THAT(jobs.jobs(), SizeIs(3));
  // The newest first: parents before children, else the documents in order.
  EXPECT_EQ(jobs.jobs(0).resolved().name(), "base-1");
  EXPECT_EQ(jobs.jobs(1).resolved().name(), "child");
  EXPECT_EQ(jobs.jobs(1).reason(), "waits for base-2 (PENDING)");
  v1::ListPipelinesResponse pipelines;
  ASSERT_TRUE(cherry_->ListPipelines(Context().get(), {}, &pipelines).ok());
  ASSERT_THAT(pipelines.pipelines(), SizeIs(1));
  EXPECT_EQ(pipelines.pipelines(0).job_states().at("PENDING"), 3);
  request.set_request_id(NewUuid());
  EXPECT_EQ(InfoOf(FromGrpc(cherry_->SubmitPipeline(Context().get(), request, &second))).reason(),
            "PIPELINE_EXISTS");
}

TEST_F(Api, ARepeatedRegistrationGetsTheFirstReplyAlsoWhenItsFilesHaveGone) {
  ASSERT_TRUE(MakeDirectories(home_ + "/data/ko").ok());
  v1::RegisterDatasetRequest request;
  request.set_request_id(NewUuid());
  request.mutable_dataset()->set_name("ko");
  request.mutable_dataset()->set_path("ko");
  request.mutable_dataset()->set_vocab(2048);
  request.mutable_dataset()->set_bytes_per_token(2);
  request.mutable_dataset()->add_splits()->set_name("train");
  v1::Dataset first;
  ASSERT_TRUE(cherry_->RegisterDataset(Context().get(), request, &first).ok());
  ASSERT_EQ(rmdir((home_ + "/data/ko").c_str()), 0);
  v1::Dataset second;
  const absl::Status repeated = FromGrpc(cherry_->RegisterDataset(Context().get(), request, &second));
  EXPECT_TRUE(repeated.ok()) << repeated;
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
  // The same id for something else, and another id, are told what is wrong.
  v1::RegisterDatasetRequest other = request;
  other.mutable_dataset()->set_vocab(4096);
  v1::Dataset reply;
  EXPECT_EQ(InfoOf(FromGrpc(cherry_->RegisterDataset(Context().get(), other, &reply))).reason(),
            "REQUEST_ID_REUSED");
  request.set_request_id(NewUuid());
  EXPECT_EQ(InfoOf(FromGrpc(cherry_->RegisterDataset(Context().get(), request, &reply))).reason(),
            "DATASET_NOT_THERE");
}

TEST_F(Api, AJobRunsFromSubmitToSuccess) {
  AddDataset();
  v1::SubmitJobResponse submitted;
  ASSERT_TRUE(cherry_->SubmitJob(Context().get(), SubmitRequest("a"), &submitted).ok());
  auto watching = Context();
  v1::WatchJobRequest watch;
  watch.set_name(submitted.job().name());
  auto reader = cherry_->WatchJob(watching.get(), watch);

  FakeWorker worker(channel_, token_, home_);
  worker.Await(v1::CoordinatorMessage::kRegistered);
  const v1::StartAttempt start = worker.Await(v1::CoordinatorMessage::kStart).start();
  EXPECT_EQ(start.attempt().job_uid(), submitted.job().uid());
  v1::WorkerMessage message;
  *message.mutable_rank_started()->mutable_attempt() = start.attempt();
  worker.Say(message);
  *message.mutable_log()->mutable_attempt() = start.attempt();
  message.mutable_log()->set_data("one\ntwo\nthree\n");
  worker.Say(message);
  EXPECT_EQ(worker.Await(v1::CoordinatorMessage::kLogAck).log_ack().offset(), 14);
  *message.mutable_progress()->mutable_attempt() = start.attempt();
  message.mutable_progress()->mutable_progress()->set_step(10);
  v1::MetricSample* sample = message.mutable_progress()->add_samples();
  sample->set_name("loss/train");
  sample->set_step(10);
  sample->set_value(4.5);
  worker.Say(message);
  *message.mutable_checkpoint()->mutable_attempt() = start.attempt();
  message.mutable_checkpoint()->mutable_checkpoint()->set_step(10);
  message.mutable_checkpoint()->mutable_checkpoint()->set_path(start.checkpoint_directory() + "/step-10");
  message.mutable_checkpoint()->set_final(true);
  worker.Say(message);
  EXPECT_EQ(worker.Await(v1::CoordinatorMessage::kCommitted).committed().step(), 10);
  *message.mutable_rank_exited()->mutable_attempt() = start.attempt();
  message.mutable_rank_exited()->set_cause(v1::CAUSE_SUCCEEDED);
  worker.Say(message);

  v1::WatchJobResponse seen;
  std::vector<v1::MetricSample> samples;
  v1::Job::State last = v1::Job::STATE_UNSPECIFIED;
  while (reader->Read(&seen)) {
    last = seen.job().state();
    samples.insert(samples.end(), seen.samples().begin(), seen.samples().end());
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(last, v1::Job::SUCCEEDED);
  ASSERT_THAT(samples, SizeIs(1));
  EXPECT_EQ(samples[0].value(), 4.5);

  v1::ReadLogsRequest logs;
  logs.set_name(submitted.job().name());
  logs.set_tail_lines(2);
  logs.set_follow(true);  // It has ended: so does the stream.
  auto reading = Context();
  auto lines = cherry_->ReadLogs(reading.get(), logs);
  v1::ReadLogsResponse piece;
  std::string text;
  while (lines->Read(&piece)) {
    text += piece.data();
  }
  EXPECT_TRUE(lines->Finish().ok());
  EXPECT_EQ(text, "two\nthree\n");

  v1::ListMetricsRequest metrics;
  metrics.set_name(submitted.job().name());
  v1::ListMetricsResponse series;
  ASSERT_TRUE(cherry_->ListMetrics(Context().get(), metrics, &series).ok());
  EXPECT_THAT(series.samples(), SizeIs(1));
  v1::ExplainJobRequest explain;
  explain.set_name(submitted.job().name());
  v1::ExplainJobResponse explained;
  ASSERT_TRUE(cherry_->ExplainJob(Context().get(), explain, &explained).ok());
  EXPECT_EQ(explained.recent_events().rbegin()->type(), "Succeeded");
}

TEST_F(Api, ALogThatIsNotWantedIsRefusedSoThatTheWorkerDropsIt) {
  FakeWorker worker(channel_, token_, home_);
  worker.Await(v1::CoordinatorMessage::kRegistered);
  v1::WorkerMessage message;
  message.mutable_log()->mutable_attempt()->set_job_uid("of-another-coordinator");
  message.mutable_log()->mutable_attempt()->set_epoch(1);
  message.mutable_log()->set_offset(7);
  message.mutable_log()->set_data("text");
  worker.Say(message);
  const v1::LogAck ack = worker.Await(v1::CoordinatorMessage::kLogAck).log_ack();
  EXPECT_EQ(ack.attempt().job_uid(), "of-another-coordinator");
  EXPECT_EQ(ack.offset(), 7);  // Nothing was taken.
}

TEST_F(Api, ALogIsOfARankAndAnAttemptThatTheJobHas) {
  AddDataset();
  v1::SubmitJobRequest submit = SubmitRequest("a");
  submit.mutable_spec()->mutable_resources()->mutable_ranks()->set_min(2);
  v1::SubmitJobResponse submitted;
  ASSERT_TRUE(cherry_->SubmitJob(Context().get(), submit, &submitted).ok());
  // Before the first attempt and followed: it must not wait for what can never come.
  v1::ReadLogsRequest request;
  request.set_name(submitted.job().name());
  request.set_follow(true);
  const auto refusal = [&] {
    auto context = Context();
    auto reader = cherry_->ReadLogs(context.get(), request);
    v1::ReadLogsResponse piece;
    while (reader->Read(&piece)) {
    }
    return FromGrpc(reader->Finish());
  };
  for (const int rank : {2, 5000, -1}) {
    request.set_rank(rank);
    const absl::Status status = refusal();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(status.message(),
                HasSubstr(absl::StrCat("rank: ", rank, ": ", submitted.job().name(), " has 2")));
    EXPECT_EQ(InfoOf(status).field(), "rank");
    EXPECT_EQ(InfoOf(status).remedy(), "use 0..1");
  }
  request.set_rank(0);
  request.set_attempt(7);
  const absl::Status status = refusal();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_THAT(status.message(), HasSubstr("attempt: 7: "));
  EXPECT_EQ(InfoOf(status).field(), "attempt");
}

TEST_F(Api, DrainEndsTheStreamsOfWatchers) {
  auto watching = Context();
  auto reader = cherry_->WatchEvents(watching.get(), {});
  AddDataset();
  server_->Drain();
  v1::Event event;
  while (reader->Read(&event)) {
  }
  EXPECT_FALSE(reader->Finish().ok());
}

TEST_F(Api, HealthIsServed) {
  // grpc.health.v1: an empty request asks for the whole server. SERVING is 1.
  EXPECT_TRUE(CallByName("/grpc.health.v1.Health/Check", "", kPatience).ok());
}

}  // namespace
}  // namespace cherry::coordinator
