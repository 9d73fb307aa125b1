// Which flags of `cherry get` mean something for which kind of thing, and what -w shows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "tests/unit/client/cli/app_fixture.h"

namespace cherry::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class GetTest : public AppTest {
 protected:
  void AddWorker(const std::string& name, v1::Worker::State state, const std::string& gpu) {
    v1::Worker worker;
    worker.set_name(name);
    worker.set_state(state);
    (*worker.mutable_labels())["gpu"] = gpu;
    cluster_.workers.push_back(worker);
  }
  void AddCheckpoint(int64_t step, v1::Checkpoint::State state) {
    v1::Checkpoint checkpoint;
    checkpoint.set_step(step);
    checkpoint.set_state(state);
    cluster_.checkpoints.push_back(checkpoint);
  }
  static v1::Event Event(int64_t sequence, const std::string& subject, const std::string& uid = "") {
    v1::Event event;
    event.set_sequence(sequence);
    event.set_subject(subject);
    event.set_job_uid(uid);
    event.set_type("Placed");
    return event;
  }
};

TEST_F(GetTest, AFlagWithoutMeaningIsRefusedByName) {
  AddJob("a", v1::Job::RUNNING);
  for (const auto& [args, text] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"events", "-l", "team=ko"}, "-l: events have no labels"},
           {{"datasets", "-l", "team=ko"}, "-l: datasets have no labels"},
           {{"presets", "-l", "team=ko"}, "-l: presets have no labels"},
           {{"events", "--state", "running"}, "--state: events have no state"},
           {{"datasets", "--state", "running"}, "--state: datasets have no state"},
           {{"presets", "--state", "running"}, "--state: presets have no state"},
           {{"datasets", "-w"}, "-w: nothing tells when datasets change"},
           {{"presets", "--watch"}, "-w: nothing tells when presets change"},
           {{"job", "a", "-l", "team=ko"}, "-l: does not go with names"},
           {{"job", "a", "--state", "running"}, "--state: does not go with names"},
           {{"worker", "w0", "--state", "lost"}, "--state: does not go with names"},
           {{"checkpoints", "a", "-l", "team=ko"}, "-l: does not go with names"},
           {{"job", "a", "-w", "-o", "spec"}, "-w: the spec of a job never changes"},
           {{"workers", "--state", "running"}, "--state: 'running' is not a state of workers: use ready,"},
           {{"checkpoints", "--state", "lost"}, "use committed or corrupt"}}) {
    std::vector<std::string> command = {"get"};
    command.insert(command.end(), args.begin(), args.end());
    EXPECT_EQ(Run(command), 2) << text;
    std::string line = err_;
    std::replace(line.begin(), line.end(), '\n', ' ');
    EXPECT_THAT(line, AllOf(StartsWith("error: "), HasSubstr(text)));
    EXPECT_THAT(out_, IsEmpty());
  }
  EXPECT_THAT(cluster_.events_watched, IsEmpty());
}

TEST_F(GetTest, WorkersAreChosenByLabelsAndState) {
  AddWorker("w0", v1::Worker::READY, "H100");
  AddWorker("w1", v1::Worker::LOST, "H100");
  AddWorker("w2", v1::Worker::READY, "A100");
  ASSERT_EQ(Run({"get", "workers", "-l", "gpu=H100", "-o", "name"}), 0) << err_;
  EXPECT_EQ(out_, "w0\nw1\n");
  ASSERT_EQ(Run({"get", "workers", "--state", "ready,draining", "-o", "name"}), 0) << err_;
  EXPECT_EQ(out_, "w0\nw2\n");
  ASSERT_EQ(Run({"get", "workers", "-l", "gpu=H100", "--state", "lost", "-o", "name"}), 0) << err_;
  EXPECT_EQ(out_, "w1\n");
}

TEST_F(GetTest, CheckpointsAreChosenByTheirOwnStateAndByLabelsOfTheirJobs) {
  AddJob("a", v1::Job::SUCCEEDED);
  AddCheckpoint(10, v1::Checkpoint::CORRUPT);
  AddCheckpoint(20, v1::Checkpoint::COMMITTED);
  ASSERT_EQ(Run({"get", "checkpoints", "a", "--state", "corrupt", "-o", "name"}), 0) << err_;
  EXPECT_EQ(out_, "a:10\n");
  ASSERT_EQ(Run({"get", "checkpoints", "-l", "team=ko", "--state", "committed", "-o", "name"}), 0) << err_;
  EXPECT_EQ(out_, "a:20\n");
  EXPECT_EQ(cluster_.listed.back().labels().at("team"), "ko");
  EXPECT_THAT(cluster_.listed.back().states(), IsEmpty());
}

TEST_F(GetTest, EventsAreThoseOfTheNamespaceOrOfTheNamedJobs) {
  AddJob("a", v1::Job::RUNNING).set_uid("uid-a");
  AddJob("b", v1::Job::RUNNING).set_uid("uid-b");
  cluster_.events = {Event(1, "namespaces/default/jobs/a", "uid-a"), Event(2, "workers/w0"),
                     Event(3, "namespaces/team/jobs/c", "uid-c"),
                     Event(4, "namespaces/default/jobs/b", "uid-b")};
  ASSERT_EQ(Run({"get", "events", "-n", "team", "-o", "name"}), 0) << err_;
  EXPECT_EQ(out_, "3\n");
  ASSERT_EQ(Run({"get", "events", "b", "a", "-o", "name"}), 0) << err_;
  EXPECT_EQ(out_, "1\n4\n");
  cluster_.event_watches = {{{Event(5, "namespaces/team/jobs/c", "uid-c"),
                              Event(6, "namespaces/default/jobs/a", "uid-a"), Event(7, "workers/w0")},
                             absl::CancelledError("interrupted")}};
  ASSERT_EQ(Run({"get", "events", "a", "b", "-w", "-o", "name"}), 0) << err_;
  EXPECT_EQ(out_, "1\n4\n6\n");
  EXPECT_EQ(cluster_.events_watched.at(0).after_sequence(), 4);
  EXPECT_EQ(Run({"get", "events", "a", "nobody"}), 4);
}

TEST_F(GetTest, AWatchOfEventsLivesThroughARestartWithoutRepeatingAny) {
  cluster_.events = {Event(1, "workers/w0")};
  cluster_.event_watches = {{{Event(2, "workers/w0")}, absl::UnavailableError("gone")},
                            {{}, absl::UnavailableError("not yet there")},
                            {{Event(3, "workers/w0")}, absl::DeadlineExceededError("late")}};
  ASSERT_EQ(Run({"get", "events", "-w", "-o", "name"}), 0) << err_;
  EXPECT_EQ(out_, "1\n2\n3\n");
  ASSERT_THAT(cluster_.events_watched, SizeIs(3));
  EXPECT_EQ(cluster_.events_watched[0].after_sequence(), 1);
  EXPECT_EQ(cluster_.events_watched[2].after_sequence(), 2);
}

TEST_F(GetTest, AWatchThatIsRefusedEndsWithItsError) {
  cluster_.event_watches = {{{}, absl::PermissionDeniedError("not yours")}};
  EXPECT_EQ(Run({"get", "events", "-w"}), 5);
  EXPECT_THAT(err_, HasSubstr("not yours"));
}

TEST_F(GetTest, AWatchedListIsShownAgainOnlyWhereItHasChanged) {
  v1::Worker busy;
  busy.set_name("w0");
  busy.mutable_last_seen_time()->set_seconds(1);
  cluster_.workers = {busy};
  AddJob("a", v1::Job::RUNNING);
  cluster_.event_watches = {{{Event(1, "namespaces/default/jobs/b"), Event(2, "namespaces/default/jobs/b")},
                             absl::CancelledError("interrupted")}};
  ASSERT_EQ(Run({"get", "job", "a", "-w", "-o", "name"}), 0) << err_;
  EXPECT_EQ(out_, "a\n");
  cluster_.events_watched.clear();
  ASSERT_EQ(Run({"get", "workers", "-w", "-o", "name"}), 0) << err_;
  EXPECT_EQ(out_, "w0\n");
  cluster_.events_watched.clear();
  ASSERT_EQ(Run({"get", "jobs", "--state", "failed", "-w"}), 0) << err_;
  EXPECT_THAT(cluster_.listed.back().states(), ElementsAre(v1::Job::FAILED));
}

}  // namespace
}  // namespace cherry::client
