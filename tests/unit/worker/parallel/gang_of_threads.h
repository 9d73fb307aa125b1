// Ranks as threads of the test.
#ifndef CHERRY_TESTS_UNIT_WORKER_PARALLEL_GANG_OF_THREADS_H_
#define CHERRY_TESTS_UNIT_WORKER_PARALLEL_GANG_OF_THREADS_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "worker/parallel/gloo_collective.h"

namespace cherry::trainer {

// Runs `body` once per rank, each with a Gloo collective of its own over the loopback interface.
inline void RunRanks(int world_size, const std::function<void(std::unique_ptr<Collective>)>& body,
                     absl::Duration timeout = absl::Seconds(30)) {
  LocalRendezvous rendezvous;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world_size; ++rank) {
    threads.emplace_back([&, rank] {
      GlooOptions options;
      options.rank = rank;
      options.world_size = world_size;
      options.context = "test";
      options.address = "127.0.0.1";
      options.timeout = timeout;
      auto collective = MakeGloo(options, &rendezvous);
      ASSERT_TRUE(collective.ok()) << collective.status();
      body(*std::move(collective));
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace cherry::trainer

#endif  // CHERRY_TESTS_UNIT_WORKER_PARALLEL_GANG_OF_THREADS_H_
