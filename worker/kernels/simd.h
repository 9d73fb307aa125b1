// One source, several instruction sets: the loader picks the best that the processor has.
//
// CHERRY_SIMD stands before a function whose loops are to be vectorised. Loops with a sum need
// `#pragma omp simd reduction`; the compiler must not reorder sums on its own.
#ifndef CHERRY_WORKER_KERNELS_SIMD_H_
#define CHERRY_WORKER_KERNELS_SIMD_H_

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CHERRY_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CHERRY_SIMD
#endif

#endif  // CHERRY_WORKER_KERNELS_SIMD_H_
