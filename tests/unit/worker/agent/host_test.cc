// What the agent knows of its host: slots, addresses, environment, evidence, deadlines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/file.h"
#include "common/status.h"
#include "tests/test_directory.h"
#include "worker/agent/environment.h"
#include "worker/agent/nvml.h"
#include "worker/agent/oom_evidence.h"
#include "worker/agent/roots.h"
#include "worker/agent/slots.h"
#include "worker/agent/step_deadline.h"

namespace cherry::worker {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

HostResources Host(int cores, int gpus) {
  HostResources host;
  for (int i = 0; i < cores; ++i) {
    host.cores.push_back(10 + i);
  }
  host.memory_bytes = 1000;
  for (int i = 0; i < gpus; ++i) {
    host.gpus.push_back({"GPU-" + std::to_string(i), "H100", 80});
  }
  return host;
}

TEST(SlotsTest, SplitsTheCoresEvenly) {
  const auto slots = PlanSlots(Host(5, 0), 2);
  ASSERT_TRUE(slots.ok());
  EXPECT_THAT((*slots)[0].cores(), ElementsAre(10, 11));
  EXPECT_THAT((*slots)[1].cores(), ElementsAre(12, 13, 14));
  EXPECT_EQ((*slots)[1].memory_bytes(), 500);
  EXPECT_EQ((*slots)[1].device(), v1::Resources::CPU);
}

TEST(GpusTest, OnlyTheVisibleOnesAreOffered) {
  const std::vector<Gpu> all = Host(4, 3).gpus;
  const auto names = [&](absl::string_view visible) {
    std::vector<std::string> uuids;
    for (const Gpu& gpu : VisibleGpus(all, visible)) {
      uuids.push_back(gpu.uuid);
    }
    return uuids;
  };
  EXPECT_THAT(names("2,0"), ElementsAre("GPU-2", "GPU-0"));
  EXPECT_THAT(names("GPU-1"), ElementsAre("GPU-1"));
  EXPECT_THAT(names("1,7,0"), ElementsAre("GPU-1"));
  EXPECT_TRUE(names("").empty());
  EXPECT_TRUE(names("-1").empty());
}

TEST(SlotsTest, MoreSlotsThanCoresShareThem) {
  const auto slots = PlanSlots(Host(2, 0), 4);
  ASSERT_TRUE(slots.ok());
  for (const v1::Slot& slot : *slots) {
    EXPECT_EQ(slot.cores_size(), 1);
  }
}

TEST(SlotsTest, OneSlotForEachGpuUnlessMoreAreAskedFor) {
  const auto gpus = PlanSlots(Host(4, 2), 0);
  ASSERT_EQ(gpus->size(), 2u);
  EXPECT_EQ((*gpus)[1].device(), v1::Resources::CUDA);
  EXPECT_EQ((*gpus)[1].gpu_uuid(), "GPU-1");
  EXPECT_EQ((*gpus)[1].memory_bytes(), 80);
  EXPECT_EQ(PlanSlots(Host(4, 2), 3)->front().device(), v1::Resources::CPU);
  EXPECT_EQ(PlanSlots(Host(4, 0), 0)->size(), 1u);
}

TEST(SlotsTest, RanksShareTheThreadsThatAContainerMayUse) {
  HostResources host = Host(8, 0);
  EXPECT_GE(MostThreads(host, 2), 8);
  host.cpu_limit = 5;
  EXPECT_EQ(MostThreads(host, 1), 5);
  EXPECT_EQ(MostThreads(host, 2), 2);
  EXPECT_EQ(MostThreads(host, 8), 1);
}

TEST(SlotsTest, RefusesANegativeCountNamingTheFlag) {
  EXPECT_EQ(InfoOf(PlanSlots(Host(2, 0), -1).status()).field(), "--slots");
}

TEST(EnvironmentTest, PassesAShortListAndNoSecrets) {
  v1::StartRank start;
  start.set_threads(3);
  start.mutable_slot()->set_gpu_uuid("GPU-7");
  const auto environment = RankEnvironment(
      {"PATH=/bin", "AWS_SECRET_ACCESS_KEY=x", "CHERRY_TOKEN=y", "CHERRY_FAULTS=a@1", "PATHOLOGY=z"}, start,
      "m");
  EXPECT_THAT(environment, ElementsAre("PATH=/bin", "CHERRY_FAULTS=a@1", "OMP_NUM_THREADS=3",
                                       "MKL_NUM_THREADS=3", "CUDA_VISIBLE_DEVICES=GPU-7", "CHERRY_RANK=m"));
}

TEST(OomEvidenceTest, EachCountedKillIsEvidenceOnce) {
  const TestDirectory directory;
  const std::string file = directory.path() + "/memory.events";
  ASSERT_TRUE(WriteFileAtomically(file, "low 0\noom 5\noom_kill 3\n").ok());
  OomEvidence evidence(file);
  EXPECT_FALSE(evidence.Take());
  ASSERT_TRUE(WriteFileAtomically(file, "low 0\noom 6\noom_kill 4\n").ok());
  EXPECT_TRUE(evidence.Take());
  EXPECT_FALSE(evidence.Take());
  ASSERT_TRUE(WriteFileAtomically(file, "oom_kill 9\n").ok());
  evidence.Forget();
  EXPECT_FALSE(evidence.Take());
}

TEST(OomEvidenceTest, FindsTheCounterOfBothVersions) {
  const TestDirectory directory;
  const std::string& root = directory.path();
  std::filesystem::create_directories(root + "/a/b");
  std::filesystem::create_directories(root + "/memory/c");
  EXPECT_EQ(OomCounterFile("0::/a/b\n", root), "");
  ASSERT_TRUE(WriteFileAtomically(root + "/a/b/memory.events", "oom_kill 0\n").ok());
  ASSERT_TRUE(WriteFileAtomically(root + "/memory/c/memory.oom_control", "under_oom 0\noom_kill 1\n").ok());
  EXPECT_EQ(OomCounterFile("0::/a/b\n", root), root + "/a/b/memory.events");
  EXPECT_EQ(OomCounterFile("7:pids:/\n4:memory:/c\n", root), root + "/memory/c/memory.oom_control");
  // In a container of version 1: the host's path, the container's mount.
  ASSERT_TRUE(WriteFileAtomically(root + "/memory/memory.oom_control", "under_oom 0\noom_kill 2\n").ok());
  EXPECT_EQ(OomCounterFile("4:memory:/host/pod\n", root), root + "/memory/memory.oom_control");
}

TEST(RootsTest, RootWithoutIdentityIsNamedWithTheFlag) {
  const TestDirectory first, second;
  const std::string& data = first.path();
  const std::string& checkpoints = second.path();
  ASSERT_TRUE(WriteFileAtomically(data + "/.cherry-root", "id-1\n").ok());
  const auto missing = ReadRoots({data, checkpoints});
  EXPECT_EQ(InfoOf(missing.status()).field(), "--checkpoint-root");
  ASSERT_TRUE(WriteFileAtomically(checkpoints + "/.cherry-root", "id-2\n").ok());
  const auto roots = ReadRoots({data, checkpoints});
  ASSERT_TRUE(roots.ok());
  EXPECT_EQ((*roots)[0].id(), "id-1");
  EXPECT_EQ((*roots)[1].kind(), "checkpoints");
  EXPECT_GT((*roots)[0].size_bytes(), 0);
}

TEST(StepDeadlineTest, LearnsFromTheMedianNotTheMean) {
  StepDeadline deadline{DeadlineLimits()};
  for (int i = 0; i < 9; ++i) {
    deadline.Learn(absl::Seconds(4));
  }
  deadline.Learn(absl::Seconds(1000));
  EXPECT_EQ(deadline.Median(), absl::Seconds(4));
  EXPECT_EQ(deadline.Allowed(v1::PhaseReport::STEPPING, absl::ZeroDuration()), absl::Seconds(40));
}

TEST(StepDeadlineTest, ForgetsOldSteps) {
  StepDeadline deadline{DeadlineLimits()};
  for (int i = 0; i < 64; ++i) {
    deadline.Learn(absl::Seconds(100));
  }
  for (int i = 0; i < 64; ++i) {
    deadline.Learn(absl::Milliseconds(1));
  }
  EXPECT_EQ(deadline.Allowed(v1::PhaseReport::STEPPING, absl::ZeroDuration()), absl::Seconds(30));
}

TEST(StepDeadlineTest, RendezvousHasItsOwnTimeoutAndSomeMore) {
  StepDeadline deadline{DeadlineLimits()};
  EXPECT_EQ(deadline.Allowed(v1::PhaseReport::RENDEZVOUS, absl::Seconds(60)), absl::Minutes(3));
}

}  // namespace
}  // namespace cherry::worker
