// Logs that are followed: to the attempt's end and to the log's end, whichever comes last.
#include <gmock/gmock.h>

#include <optional>

#include "tests/unit/coordinator/api_fixture.h"

namespace cherry::coordinator {
namespace {

class LogsApi : public Api {
 protected:
  using Reader = grpc::ClientReader<v1::ReadLogsResponse>;

  // A job whose only rank has ended badly with a log of 8 bytes, of which the first 4 are here.
  void EndWithHalfOfTheLog(FakeWorker* worker) {
    AddDataset();
    v1::SubmitJobRequest submit = SubmitRequest("a");
    submit.mutable_spec()->mutable_limits()->set_retries(0);
    v1::SubmitJobResponse submitted;
    ASSERT_TRUE(cherry_->SubmitJob(Context().get(), submit, &submitted).ok());
    name_ = submitted.job().name();
    attempt_ = worker->Await(v1::CoordinatorMessage::kStart).start().attempt();
    SendLog(worker, 0, "one\n");
    v1::WorkerMessage message;
    *message.mutable_rank_exited()->mutable_attempt() = attempt_;
    message.mutable_rank_exited()->set_cause(v1::CAUSE_USER);
    message.mutable_rank_exited()->set_log_bytes(8);
    worker->Say(message);
    worker->Await(v1::CoordinatorMessage::kAck);
    v1::GetJobRequest get;
    get.set_name(name_);
    v1::Job job;
    ASSERT_TRUE(cherry_->GetJob(Context().get(), get, &job).ok());
    ASSERT_EQ(job.state(), v1::Job::FAILED);
  }
  void SendLog(FakeWorker* worker, int64_t offset, const std::string& text) {
    v1::WorkerMessage message;
    *message.mutable_log()->mutable_attempt() = attempt_;
    message.mutable_log()->set_offset(offset);
    message.mutable_log()->set_data(text);
    worker->Say(message);
    worker->Await(v1::CoordinatorMessage::kLogAck);
  }
  std::unique_ptr<Reader> Follow(grpc::ClientContext* context) {
    v1::ReadLogsRequest request;
    request.set_name(name_);
    request.set_follow(true);
    return cherry_->ReadLogs(context, request);
  }
  static std::string Next(Reader* reader) {
    v1::ReadLogsResponse piece;
    return reader->Read(&piece) ? piece.data() : "the end";
  }

  std::string name_;
  v1::AttemptRef attempt_;
};

TEST_F(LogsApi, AFollowWaitsForWhatTheWorkerSendsAfterTheEnd) {
  FakeWorker worker(channel_, token_, home_);
  EndWithHalfOfTheLog(&worker);
  const auto context = Context();
  const auto reader = Follow(context.get());
  EXPECT_EQ(Next(reader.get()), "one\n");
  SendLog(&worker, 4, "two\n");
  EXPECT_EQ(Next(reader.get()), "two\n");
  EXPECT_EQ(Next(reader.get()), "the end");
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(LogsApi, AFollowEndsWhenItsWorkerIsNoLongerThereToSendTheRest) {
  std::optional<FakeWorker> worker(std::in_place, channel_, token_, home_);
  EndWithHalfOfTheLog(&*worker);
  const auto context = Context();
  const auto reader = Follow(context.get());
  EXPECT_EQ(Next(reader.get()), "one\n");
  worker.reset();
  const FakeWorker another(channel_, token_, home_);  // Of the same name: a new process.
  EXPECT_EQ(Next(reader.get()), "the end");
  EXPECT_TRUE(reader->Finish().ok());
}

}  // namespace
}  // namespace cherry::coordinator
