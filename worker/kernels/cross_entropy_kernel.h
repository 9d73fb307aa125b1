// Softmax and its loss on raw fp32 rows of logits. Results do not depend on the number of threads.
#ifndef CHERRY_WORKER_KERNELS_CROSS_ENTROPY_KERNEL_H_
#define CHERRY_WORKER_KERNELS_CROSS_ENTROPY_KERNEL_H_

#include <cstdint>

namespace cherry::trainer {

// Returns the sum over rows of logsumexp(row) - row[target]; a negative target counts nothing. Overwrites
// logits [rows, vocab] with the gradient of that sum. REQUIRES: targets below vocab.
double SoftmaxLossInPlace(int64_t rows, int64_t vocab, const int64_t* targets, float* logits);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_CROSS_ENTROPY_KERNEL_H_
