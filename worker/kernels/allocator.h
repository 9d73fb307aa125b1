// Keeps big blocks in the process instead of giving them back to the kernel after each use.
#ifndef CHERRY_WORKER_KERNELS_ALLOCATOR_H_
#define CHERRY_WORKER_KERNELS_ALLOCATOR_H_

namespace cherry::trainer {

// Call once at the start of main, before other threads exist. A step frees and allocates its activations
// again: without this glibc maps and clears their pages anew each time. Returns false where the C library
// refuses, which costs speed only.
bool ConfigureAllocator();

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_ALLOCATOR_H_
