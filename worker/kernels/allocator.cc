#include "worker/kernels/allocator.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace cherry::trainer {

bool ConfigureAllocator() {
#ifdef __GLIBC__
  // No block gets a mapping of its own, and the top of the heap is never returned (-1, see mallopt(3)).
  return mallopt(M_MMAP_MAX, 0) == 1 && mallopt(M_TRIM_THRESHOLD, -1) == 1;
#else
  return false;
#endif
}

}  // namespace cherry::trainer
