#include "worker/agent/outbox.h"

#include <gtest/gtest.h>

#include <vector>

namespace cherry::worker {
namespace {

v1::WorkerMessage Note(const std::string& text) {
  v1::WorkerMessage message;
  message.mutable_note()->set_message(text);
  return message;
}

v1::WorkerMessage Progress(const std::string& uid, int64_t step) {
  v1::WorkerMessage message;
  message.mutable_progress()->mutable_attempt()->set_job_uid(uid);
  message.mutable_progress()->mutable_progress()->set_step(step);
  message.mutable_progress()->add_samples()->set_step(step);
  message.mutable_progress()->set_checkpoint_seconds(1);
  return message;
}

std::vector<int64_t> TakeSequences(Outbox* outbox) {
  std::vector<int64_t> sequences;
  while (const v1::WorkerMessage* next = outbox->Peek()) {
    sequences.push_back(next->sequence());
    outbox->Pop();
  }
  return sequences;
}

TEST(OutboxTest, SendsUnacknowledgedAgainInOrderAfterARestart) {
  Outbox outbox;
  outbox.Report(Note("a"));
  outbox.Report(Note("b"));
  outbox.Report(Note("c"));
  EXPECT_EQ(TakeSequences(&outbox), (std::vector<int64_t>{1, 2, 3}));
  outbox.Ack(1);
  EXPECT_EQ(outbox.unacknowledged(), 2u);
  outbox.Restart();
  outbox.Report(Note("d"));
  EXPECT_EQ(TakeSequences(&outbox), (std::vector<int64_t>{2, 3, 4}));
  outbox.Ack(4);
  EXPECT_EQ(outbox.unacknowledged(), 0u);
  outbox.Report(Note("e"));
  EXPECT_EQ(TakeSequences(&outbox), (std::vector<int64_t>{5}));
}

TEST(OutboxTest, KeepsTheOrderBetweenBothKinds) {
  Outbox outbox;
  outbox.Report(Note("a"));
  outbox.Offer(Progress("job", 1));
  outbox.Report(Note("b"));
  EXPECT_EQ(TakeSequences(&outbox), (std::vector<int64_t>{1, 0, 2}));
}

TEST(OutboxTest, NewestProgressWinsAndCarriesTheSamplesOfTheOld) {
  Outbox outbox({.offers = 10, .samples_per_progress = 3});
  for (int step = 1; step <= 5; ++step) {
    outbox.Offer(Progress("job", step));
  }
  outbox.Offer(Progress("other", 1));
  const v1::ProgressReport& report = outbox.Peek()->progress();
  EXPECT_EQ(report.progress().step(), 5);
  EXPECT_EQ(report.checkpoint_seconds(), 5);
  ASSERT_EQ(report.samples_size(), 3);
  EXPECT_EQ(report.samples(0).step(), 3);
  outbox.Pop();
  EXPECT_EQ(outbox.Peek()->progress().attempt().job_uid(), "other");
}

TEST(OutboxTest, DropsOldOffersButNeverState) {
  Outbox outbox({.offers = 2, .samples_per_progress = 3});
  for (int i = 0; i < 100; ++i) {
    outbox.Report(Note("state"));
    v1::WorkerMessage get;
    get.mutable_rendezvous_get()->set_key(std::to_string(i));
    outbox.Offer(get);
  }
  EXPECT_EQ(outbox.unacknowledged(), 100u);
  EXPECT_EQ(outbox.dropped(), 98);
  EXPECT_EQ(TakeSequences(&outbox).size(), 102u);
}

TEST(OutboxTest, RestartDropsRendezvousButNotProgress) {
  Outbox outbox;
  v1::WorkerMessage get;
  get.mutable_rendezvous_get()->set_key("k");
  outbox.Offer(get);
  outbox.Offer(Progress("job", 1));
  outbox.Restart();
  EXPECT_TRUE(outbox.Peek()->has_progress());
  outbox.Pop();
  EXPECT_EQ(outbox.Peek(), nullptr);
}

}  // namespace
}  // namespace cherry::worker
