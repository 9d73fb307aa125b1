// Named places where a test makes the process die, for crash tests before and after every durable step.
//
//   FaultPoint("checkpoint.before_manifest");
//
// CHERRY_FAULTS="checkpoint.before_manifest@2" kills the process (SIGKILL) the second time it passes there.
// Without that variable a point costs one predictable branch. Thread-safe.
#ifndef CHERRY_COMMON_FAULT_POINTS_H_
#define CHERRY_COMMON_FAULT_POINTS_H_

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace cherry {

inline void FaultPoint(const char* name) {
  static const char* const spec = std::getenv("CHERRY_FAULTS");
  if (spec == nullptr) [[likely]] {
    return;
  }
  const size_t length = std::strlen(name);
  if (std::strncmp(spec, name, length) != 0 || spec[length] != '@') {
    return;
  }
  static std::atomic<int> passes{0};
  if (++passes == std::atoi(spec + length + 1)) {
    std::raise(SIGKILL);
  }
}

}  // namespace cherry

#endif  // CHERRY_COMMON_FAULT_POINTS_H_
