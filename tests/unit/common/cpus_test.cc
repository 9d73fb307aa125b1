// A container's limits, as both versions of control groups write them.
#include "common/cpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "common/file.h"
#include "tests/test_directory.h"

namespace cherry {
namespace {

class ContainerLimitsTest : public testing::Test {
 protected:
  ContainerLimits Read(const std::string& cgroups, const std::map<std::string, std::string>& files) {
    for (const auto& [name, text] : files) {
      const std::string path = directory_.path() + "/" + name;
      EXPECT_TRUE(MakeDirectories(path.substr(0, path.rfind('/'))).ok());
      EXPECT_TRUE(WriteFileAtomically(path, text).ok());
    }
    return ReadContainerLimits(cgroups, directory_.path());
  }

 private:
  const TestDirectory directory_;
};

TEST_F(ContainerLimitsTest, ReadsTheUnifiedHierarchyAndRoundsUp) {
  const ContainerLimits limits = Read("0::/\n", {{"cpu.max", "150000 100000\n"}, {"memory.max", "4096\n"}});
  EXPECT_EQ(limits.cpus, 2);
  EXPECT_EQ(limits.memory_bytes, 4096);
}

TEST_F(ContainerLimitsTest, TheTightestGroupAboveCounts) {
  const ContainerLimits limits = Read("0::/pods/this\n", {{"pods/this/cpu.max", "max 100000\n"},
                                                          {"pods/this/memory.max", "8192\n"},
                                                          {"pods/cpu.max", "300000 100000\n"},
                                                          {"pods/memory.max", "max\n"},
                                                          {"memory.max", "16384\n"}});
  EXPECT_EQ(limits.cpus, 3);
  EXPECT_EQ(limits.memory_bytes, 8192);
}

TEST_F(ContainerLimitsTest, ReadsVersionOneWhosePathIsTheHosts) {
  const ContainerLimits limits = Read("5:memory:/kube/pod/one\n4:cpu,cpuacct:/kube/pod/one\n3:pids:/\n",
                                      {{"cpu/cpu.cfs_quota_us", "100000\n"},
                                       {"cpu/cpu.cfs_period_us", "100000\n"},
                                       {"memory/memory.limit_in_bytes", "1048576\n"}});
  EXPECT_EQ(limits.cpus, 1);
  EXPECT_EQ(limits.memory_bytes, 1048576);
}

TEST_F(ContainerLimitsTest, NoLimitIsNone) {
  const ContainerLimits limits =
      Read("4:memory:/a\n3:cpu:/a\n0::/a\n", {{"cpu/a/cpu.cfs_quota_us", "-1\n"},
                                              {"cpu/a/cpu.cfs_period_us", "100000\n"},
                                              {"memory/a/memory.limit_in_bytes", "9223372036854771712\n"},
                                              {"a/cpu.max", "max 100000\n"}});
  EXPECT_EQ(limits.cpus, 0);
  EXPECT_EQ(limits.memory_bytes, 0);
  EXPECT_EQ(ReadContainerLimits("", "/nowhere").cpus, 0);
}

TEST(CpusTest, ThisProcessHasAtLeastOne) {
  EXPECT_GE(AvailableCpus(), 1);
  EXPECT_LE(AvailableCpus(), static_cast<int>(AllowedCores().size()));
}

}  // namespace
}  // namespace cherry
