// Causal attention with rotary positions on raw fp32 memory, one (sequence, key head) after the other, in
// blocks of query rows that skip what the mask hides. Results do not depend on the number of threads.
#ifndef CHERRY_WORKER_KERNELS_ATTENTION_KERNEL_H_
#define CHERRY_WORKER_KERNELS_ATTENTION_KERNEL_H_

#include <cstdint>

namespace cherry::trainer {

struct AttentionShape {
  int64_t batch = 0;
  int64_t length = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
};

// Inputs and outputs are contiguous: q and out [batch, length, heads, head_dim], k and v [.., kv_heads, ..],
// cos and sin [length, head_dim / 2]. The two passes share what forward leaves behind: queries (rotated and
// divided by sqrt(head_dim)) and keys (rotated) by head, [batch, heads, length, head_dim], and the logarithm
// of each row's softmax sum, [batch, heads, length].
struct AttentionInput {
  const float* q = nullptr;
  const float* k = nullptr;
  const float* v = nullptr;
  const float* cos = nullptr;
  const float* sin = nullptr;
};

struct AttentionSaved {
  float* q = nullptr;
  float* k = nullptr;
  float* log_sum = nullptr;
};

void AttentionForward(const AttentionShape& shape, const AttentionInput& input, const AttentionSaved& saved,
                      float* out);

struct AttentionGradient {
  float* q = nullptr;
  float* k = nullptr;
  float* v = nullptr;
};

// `input` gives v, cos and sin; gradients, laid out as the inputs, are overwritten.
void AttentionBackward(const AttentionShape& shape, const AttentionInput& input, const AttentionSaved& saved,
                       const float* out, const float* dout, const AttentionGradient& gradient);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_ATTENTION_KERNEL_H_
