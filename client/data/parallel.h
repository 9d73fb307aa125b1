// The same work on many things, on several threads.
#ifndef CHERRY_CLIENT_DATA_PARALLEL_H_
#define CHERRY_CLIENT_DATA_PARALLEL_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace cherry::client {

// Calls work(i) once for each i below `count`, in any order, and returns when all are done. `work` must be
// thread-safe.
template <typename Work>
void ParallelFor(int threads, size_t count, const Work& work) {
  std::atomic<size_t> next{0};
  const auto run = [&] {
    for (size_t i; (i = next.fetch_add(1)) < count;) {
      work(i);
    }
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min(static_cast<size_t>(std::max(threads, 1)), count); ++i) {
    others.emplace_back(run);
  }
  run();
  for (std::thread& other : others) {
    other.join();
  }
}

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_PARALLEL_H_
