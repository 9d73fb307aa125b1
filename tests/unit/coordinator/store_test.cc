// The store, and the executor over it: what is synced comes back, nothing is told before.
#include "coordinator/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/status.h"
#include "coordinator/api/executor.h"
#include "coordinator/api/log_store.h"
#include "coordinator/api/roles.h"
#include "coordinator/api/token.h"
#include "tests/test_directory.h"

namespace cherry::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Directory : public ::testing::Test {
 protected:
  const TestDirectory directory_;
  const std::string path_ = directory_.path();
};

class Stores : public Directory {
 protected:
  Stores() { Open(); }
  void Open() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(path_ + "/db");
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  std::vector<int64_t> StepsOf(const std::string& name, int limit, std::string* resume) {
    std::string next;
    const auto samples = store_->ReadSamples("uid", name, -1, *resume, limit, &next);
    EXPECT_TRUE(samples.ok());
    std::vector<int64_t> steps;
    for (const v1::MetricSample& sample : *samples) {
      steps.push_back(sample.step());
    }
    *resume = next;
    return steps;
  }
  std::unique_ptr<Store> store_;
};

Changes SomeChanges() {
  Changes changes;
  v1::JobRecord& job = changes.put_jobs.emplace_back();
  job.mutable_job()->set_uid("uid");
  job.set_arrival(7);
  v1::Checkpoint& checkpoint = changes.put_checkpoints.emplace_back();
  checkpoint.set_job_uid("uid");
  checkpoint.set_step(50);
  checkpoint.set_epoch(2);
  changes.put_workers.emplace_back().mutable_worker()->set_name("w0");
  changes.put_datasets.emplace_back().set_name("ko");
  v1::PipelineRecord& pipeline = changes.put_pipelines.emplace_back();
  pipeline.mutable_pipeline()->set_uid("pipeline-uid");
  pipeline.set_arrival(7);
  pipeline.add_job_uids("uid");
  v1::RequestRecord& request = changes.put_requests.emplace_back();
  request.set_request_id("r1");
  request.set_reply("reply");
  for (int i = 1; i <= 3; ++i) {
    v1::Event& event = changes.put_events.emplace_back();
    event.set_sequence(i);
    event.set_job_uid(i == 2 ? "" : "uid");
  }
  changes.cluster.set_format(1);
  changes.cluster.set_next_event(3);
  return changes;
}

TEST_F(Stores, WhatWasCommittedIsThereAfterReopening) {
  ASSERT_TRUE(store_->Commit({SomeChanges()}).ok());
  Open();
  const Records records = store_->Load().value();
  ASSERT_THAT(records.jobs, SizeIs(1));
  EXPECT_EQ(records.jobs[0].arrival(), 7);
  EXPECT_THAT(records.checkpoints, SizeIs(1));
  EXPECT_THAT(records.workers, SizeIs(1));
  EXPECT_THAT(records.datasets, SizeIs(1));
  ASSERT_THAT(records.pipelines, SizeIs(1));
  EXPECT_EQ(records.pipelines[0].arrival(), 7);
  EXPECT_THAT(records.pipelines[0].job_uids(), ElementsAre("uid"));
  ASSERT_THAT(records.requests, SizeIs(1));
  EXPECT_EQ(records.cluster.next_event(), 3);
  EXPECT_EQ(store_->ReadReply("r1").value(), "reply");
  EXPECT_THAT(store_->ReadEvents("", 0, 10).value(), SizeIs(3));
  EXPECT_THAT(store_->ReadEvents("", 1, 1).value(), SizeIs(1));
  EXPECT_THAT(store_->ReadEvents("uid", 0, 10).value(), SizeIs(2));
  EXPECT_EQ(store_->ReadLastEvents("uid", 1).value()[0].sequence(), 3);
  EXPECT_EQ(store_->ReadReply("r2").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(Stores, DeletesAreKeptToo) {
  ASSERT_TRUE(store_->Commit({SomeChanges()}).ok());
  Changes changes;
  changes.delete_checkpoints.push_back({"uid", 50, 2});
  changes.delete_requests.push_back("r1");
  changes.delete_workers.push_back("w0");
  changes.cluster.set_format(1);
  ASSERT_TRUE(store_->Commit({changes}).ok());
  Open();
  const Records records = store_->Load().value();
  EXPECT_THAT(records.checkpoints, IsEmpty());
  EXPECT_THAT(records.requests, IsEmpty());
  EXPECT_THAT(records.workers, IsEmpty());
  EXPECT_THAT(records.jobs, SizeIs(1));
}

TEST_F(Stores, AnotherFormatIsRefused) {
  Changes changes = SomeChanges();
  changes.cluster.set_format(2);
  ASSERT_TRUE(store_->Commit({changes}).ok());
  store_.reset();
  EXPECT_EQ(InfoOf(Store::Open(path_ + "/db").status()).reason(), "STORE_FORMAT_UNSUPPORTED");
}

TEST_F(Stores, TwoProcessesDoNotShareOne) {
  EXPECT_EQ(InfoOf(Store::Open(path_ + "/db").status()).reason(), "STORE_IN_USE");
}

TEST_F(Stores, SeriesAreOrderedPagedAndOverwritten) {
  RecordSamples samples{"uid", {}};
  for (const auto& [name, step, value] :
       {std::tuple{"loss", 2, 1.0}, std::tuple{"loss", 10, 2.0}, std::tuple{"loss", 1, 3.0},
        std::tuple{"speed", 5, 4.0}, std::tuple{"loss", 2, 5.0}}) {
    v1::MetricSample& sample = samples.samples.emplace_back();
    sample.set_name(name);
    sample.set_step(step);
    sample.set_value(value);
  }
  ASSERT_TRUE(store_->AppendSamples({samples}).ok());
  std::string resume;
  EXPECT_THAT(StepsOf("", 3, &resume), ElementsAre(1, 2, 10));
  EXPECT_THAT(StepsOf("", 3, &resume), ElementsAre(5));
  EXPECT_EQ(resume, "");
  std::string next;
  EXPECT_EQ(store_->ReadSamples("uid", "loss", 1, "", 10, &next).value()[0].value(), 5.0);
  const auto newest = store_->ReadNewest("uid").value();
  ASSERT_THAT(newest, SizeIs(2));
  EXPECT_EQ(newest[0].step(), 10);
  EXPECT_EQ(newest[1].name(), "speed");
}

TEST_F(Stores, ALongSeriesIsThinnedFromItsOldEnd) {
  for (int64_t step = 0; step <= Store::kFullResolution; step += 100) {
    RecordSamples samples{"uid", {}};
    for (int64_t i = step; i < step + 100; ++i) {
      v1::MetricSample& sample = samples.samples.emplace_back();
      sample.set_name("loss");
      sample.set_step(i);
    }
    ASSERT_TRUE(store_->AppendSamples({samples}).ok());
  }
  std::string resume;
  const std::vector<int64_t> steps = StepsOf("loss", 100000, &resume);
  EXPECT_LE(steps.size(), static_cast<size_t>(Store::kFullResolution));
  EXPECT_GT(steps.size(), static_cast<size_t>(Store::kFullResolution * 7 / 10));
  EXPECT_THAT(std::vector<int64_t>(steps.begin(), steps.begin() + 3), ElementsAre(0, 2, 4));
  EXPECT_EQ(steps.back(), Store::kFullResolution + 99);
  EXPECT_EQ(steps[steps.size() - 2], Store::kFullResolution + 98);
}

// The executor with a clock and a store of the test's.
class HandClock final : public Clock {
 public:
  absl::Time Now() override { return now; }
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
};
class Recorder final : public ActionSink {
 public:
  void OnAction(const Action&) override { ++actions; }
  void OnEvents() override { ++events; }
  int actions = 0;
  int events = 0;
};

class Executors : public Stores {
 protected:
  v1::RegisterDatasetRequest Request() {
    v1::RegisterDatasetRequest request;
    request.mutable_dataset()->set_name("ko");
    request.mutable_dataset()->set_vocab(10);
    request.mutable_dataset()->set_bytes_per_token(2);
    request.mutable_dataset()->add_splits()->set_name("train");
    return request;
  }
  void Register(Executor* executor, const std::string& id, std::vector<std::string>* replies) {
    executor->Call<v1::Dataset>(
        [this, id](Core* core, Decision* decision) {
          Mutation mutation;
          mutation.caller.identity = "kim";
          mutation.method = "RegisterDataset";
          mutation.request_id = id;
          mutation.content = "content";
          return core->RegisterDataset(decision, mutation, Request());
        },
        [replies](absl::StatusOr<v1::Dataset> reply) {
          ASSERT_TRUE(reply.ok()) << reply.status();
          replies->push_back(reply->SerializeAsString());
        });
  }
  Core core_{Config()};
  HandClock clock_;
  Recorder recorder_;
};

TEST_F(Executors, DecisionsThatWaitTogetherShareOneSync) {
  int syncs = 0;
  store_->set_sync_observer([&syncs](double) { ++syncs; });
  Executor executor(&core_, store_.get(), &clock_, &recorder_);
  ASSERT_TRUE(executor.Restore().ok());
  syncs = 0;
  std::vector<std::string> replies;
  for (int i = 0; i < 50; ++i) {
    Register(&executor, absl::StrCat("r", i), &replies);
  }
  EXPECT_THAT(replies, IsEmpty());
  EXPECT_TRUE(executor.Step());
  EXPECT_THAT(replies, SizeIs(50));
  EXPECT_EQ(syncs, 1);
  EXPECT_FALSE(executor.Step());
}

TEST_F(Executors, ARepeatInTheSameGroupGetsTheFirstReply) {
  Executor executor(&core_, store_.get(), &clock_, &recorder_);
  ASSERT_TRUE(executor.Restore().ok());
  std::vector<std::string> replies;
  Register(&executor, "r", &replies);
  Register(&executor, "r", &replies);
  executor.Step();
  ASSERT_THAT(replies, SizeIs(2));
  EXPECT_EQ(replies[0], replies[1]);
}

TEST_F(Executors, CallsFromManyThreadsAreAllAnsweredBeforeItStops) {
  SteadyClock clock;
  Executor executor(&core_, store_.get(), &clock, &recorder_);
  ASSERT_TRUE(executor.Restore().ok());
  executor.Start();
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 50; ++i) {
        std::promise<bool> done;
        executor.Call<v1::Dataset>(
            [&, thread, i](Core* core, Decision* decision) {
              Mutation mutation;
              mutation.method = "RegisterDataset";
              mutation.request_id = absl::StrCat(thread, "-", i);
              return core->RegisterDataset(decision, mutation, Request());
            },
            [&done](absl::StatusOr<v1::Dataset> reply) { done.set_value(reply.ok()); });
        answered += done.get_future().get() ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  executor.Stop();
  EXPECT_EQ(answered, 200);
  EXPECT_THAT(store_->Load()->requests, SizeIs(200));
}

TEST_F(Executors, TimeNeverGoesBackOverARestart) {
  std::vector<std::string> replies;
  absl::Time seen;
  {
    Executor executor(&core_, store_.get(), &clock_, &recorder_);
    ASSERT_TRUE(executor.Restore().ok());
    Register(&executor, "r", &replies);
    executor.Step();
    seen = executor.Now();
  }
  clock_.now -= absl::Hours(24 * 365);
  Open();
  Core second{Config()};
  Executor executor(&second, store_.get(), &clock_, &recorder_);
  ASSERT_TRUE(executor.Restore().ok());
  EXPECT_GE(executor.Now(), seen);
}

TEST_F(Directory, LogsAreResentByOffsetAndCapped) {
  LogStore logs(path_, 200);
  const LogName name{"default", "uid", 1, 0};
  EXPECT_EQ(logs.Append(name, 0, "hello\n").value(), 6);
  EXPECT_EQ(logs.Append(name, 0, "hello\n").value(), 6);       // A repeat.
  EXPECT_EQ(logs.Append(name, 3, "lo\nworld\n").value(), 12);  // An overlap.
  EXPECT_EQ(logs.Append(name, 50, "gap").value(), 12);         // Not taken.
  EXPECT_EQ(logs.Read(name, 0, 100).value().data, "hello\nworld\n");
  EXPECT_EQ(logs.TailOffset(name, 1).value(), 6);
  EXPECT_EQ(logs.TailOffset(name, 5).value(), 0);
  for (int i = 0; i < 50; ++i) {
    const int64_t end = logs.End(name).value();
    EXPECT_EQ(logs.Append(name, end, "0123456789\n").value(), end + 11);
  }
  const int64_t end = logs.End(name).value();
  const LogPiece oldest = logs.Read(name, 0, 1000).value();
  EXPECT_GT(oldest.offset, 0);
  EXPECT_LT(end - oldest.offset, 250);
  const LogPiece newest = logs.Read(name, end - 11, 1000).value();
  EXPECT_EQ(newest.data, "0123456789\n");
  EXPECT_EQ(logs.TailOffset(name, 2).value(), end - 22);
}

TEST_F(Directory, ATokenIsMadeOnceAndReadableByItsOwnerOnly) {
  const std::string token = LoadOrCreateToken(path_ + "/token").value();
  EXPECT_GE(token.size(), 32u);
  EXPECT_EQ(LoadOrCreateToken(path_ + "/token").value(), token);
  EXPECT_TRUE(TokensEqual(token, token));
  EXPECT_FALSE(TokensEqual(token, token.substr(1)));
  EXPECT_FALSE(TokensEqual("", token));
  EXPECT_FALSE(TokensEqual(token, ""));
}

TEST(Certificates, TheSubjectGivesNameAndRole) {
  const Identity kim = IdentityFromSubject("CN=kim,OU=submitter,O=team").value();
  EXPECT_EQ(kim.name, "kim");
  EXPECT_EQ(kim.roles, static_cast<unsigned>(kSubmitter));
  EXPECT_EQ(IdentityFromSubject("OU=worker+CN=w0").value().roles, static_cast<unsigned>(kWorker));
  EXPECT_EQ(IdentityFromSubject("CN=a\\,OU=operator,OU=worker").value().roles,
            static_cast<unsigned>(kWorker));
  EXPECT_FALSE(IdentityFromSubject("CN=kim").ok());
  EXPECT_FALSE(IdentityFromSubject("OU=worker").ok());
  EXPECT_FALSE(IdentityFromSubject("").ok());
}

}  // namespace
}  // namespace cherry::coordinator
