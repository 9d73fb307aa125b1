#include "worker/parallel/gloo_collective.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <cstring>
#include <latch>
#include <mutex>
#include <random>

#include "common/status.h"
#include "tests/unit/worker/parallel/gang_of_threads.h"

namespace cherry::trainer {
namespace {

std::vector<float> RandomValues(int rank, size_t size) {
  std::mt19937 random(static_cast<uint32_t>(rank) + 1);
  std::normal_distribution<float> normal;
  std::vector<float> values(size);
  for (float& value : values) {
    value = normal(random);
  }
  return values;
}

// The sum as each rank sees it.
std::vector<std::vector<float>> SumOver(int world_size, size_t size) {
  std::vector<std::vector<float>> results(static_cast<size_t>(world_size));
  RunRanks(world_size, [&](std::unique_ptr<Collective> collective) {
    std::vector<float> values = RandomValues(collective->rank(), size);
    ASSERT_TRUE(collective->AllReduceSum(absl::MakeSpan(values)).ok());
    results[static_cast<size_t>(collective->rank())] = values;
  });
  return results;
}

TEST(GlooCollectiveTest, SumsOverRanksOfAnySizeAndLength) {
  for (const int world_size : {2, 3, 4}) {
    for (const size_t size : {size_t{1}, size_t{5}, size_t{1000}, size_t{700001}}) {
      const auto results = SumOver(world_size, size);
      std::vector<double> expected(size, 0.0);
      for (int rank = 0; rank < world_size; ++rank) {
        const std::vector<float> values = RandomValues(rank, size);
        for (size_t i = 0; i < size; ++i) {
          expected[i] += values[i];
        }
      }
      for (size_t i = 0; i < size; ++i) {
        ASSERT_NEAR(results[0][i], expected[i], 1e-5)
            << world_size << " ranks, element " << i << " of " << size;
      }
    }
  }
}

TEST(GlooCollectiveTest, EveryRankAndEveryRunGetsTheSameBits) {
  const auto first = SumOver(3, 100003);
  const auto second = SumOver(3, 100003);
  for (const auto& results : {first, second}) {
    for (const std::vector<float>& values : results) {
      EXPECT_EQ(std::memcmp(values.data(), first[0].data(), values.size() * sizeof(float)), 0);
    }
  }
}

TEST(GlooCollectiveTest, StartedSumsArriveInOrder) {
  RunRanks(2, [](std::unique_ptr<Collective> collective) {
    std::vector<std::vector<float>> buckets;
    for (int i = 0; i < 20; ++i) {
      buckets.emplace_back(static_cast<size_t>(100 * i + 1), static_cast<float>(collective->rank() + i));
    }
    for (int round = 0; round < 3; ++round) {
      for (std::vector<float>& bucket : buckets) {
        collective->Start(absl::MakeSpan(bucket));
      }
      ASSERT_TRUE(collective->Wait().ok());
    }
    for (int i = 0; i < 20; ++i) {
      // Summed once it is 2 i + 1, and doubled twice after that.
      EXPECT_EQ(buckets[static_cast<size_t>(i)].back(), static_cast<float>(4 * (2 * i + 1)));
    }
  });
}

TEST(GlooCollectiveTest, BroadcastsAnyRanksBytes) {
  RunRanks(3, [](std::unique_ptr<Collective> collective) {
    std::string text = collective->rank() == 2 ? "from two" : "........";
    ASSERT_TRUE(collective->Broadcast(absl::MakeSpan(text.data(), text.size()), 2).ok());
    EXPECT_EQ(text, "from two");
    EXPECT_TRUE(collective->Barrier().ok());
  });
}

TEST(GlooCollectiveTest, ALostPeerIsAnErrorAndNoHang) {
  signal(SIGPIPE, SIG_IGN);  // As the trainer does.
  std::latch connected(2);
  RunRanks(2, [&connected](std::unique_ptr<Collective> collective) {
    connected.arrive_and_wait();
    if (collective->rank() == 1) {
      collective.reset();
      return;
    }
    std::vector<float> values(1000, 1.0f);
    absl::Status status = collective->AllReduceSum(absl::MakeSpan(values));
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_EQ(InfoOf(status).reason(), "PEER_LOST");
    collective->Start(absl::MakeSpan(values));
    EXPECT_FALSE(collective->Wait().ok());
  });
}

TEST(GlooCollectiveTest, ASilentPeerEndsWithTheTimeout) {
  absl::Mutex mutex;
  bool done = false;
  RunRanks(
      2,
      [&](std::unique_ptr<Collective> collective) {
        if (collective->rank() == 1) {
          absl::MutexLock lock(&mutex);
          mutex.Await(absl::Condition(&done));
          return;
        }
        double value = 1.0;
        const absl::Status status = collective->AllReduceSum(absl::MakeSpan(&value, 1));
        EXPECT_EQ(InfoOf(status).reason(), "PEER_LOST") << status;
        absl::MutexLock lock(&mutex);
        done = true;
      },
      absl::Milliseconds(300));
}

TEST(GlooCollectiveTest, ARankThatNeverComesEndsTheRendezvous) {
  LocalRendezvous rendezvous;
  GlooOptions options;
  options.rank = 0;
  options.world_size = 2;
  options.address = "127.0.0.1";
  options.rendezvous_timeout = absl::Milliseconds(300);
  const auto collective = MakeGloo(options, &rendezvous);
  EXPECT_EQ(InfoOf(collective.status()).reason(), "PEER_LOST") << collective.status();
}

TEST(GlooCollectiveTest, AnAddressOfAnotherHostIsRefused) {
  LocalRendezvous rendezvous;
  GlooOptions options;
  options.world_size = 2;
  options.address = "192.0.2.1";
  const auto collective = MakeGloo(options, &rendezvous);
  EXPECT_TRUE(absl::IsInvalidArgument(collective.status())) << collective.status();
}

}  // namespace
}  // namespace cherry::trainer
