// Causal attention with rotary positions (Su et al., 2021) and grouped queries. Thread-safe; differentiable
// once.
#ifndef CHERRY_WORKER_KERNELS_ATTENTION_H_
#define CHERRY_WORKER_KERNELS_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cherry/v1/job.pb.h"

namespace cherry::trainer {

// Rotations of consecutive positions, fp32 [positions, head_dim / 2].
struct Rope {
  at::Tensor cos;
  at::Tensor sin;
};

// Radians per position of each pair i, fp32 [head_dim / 2]: theta^(-2 i / head_dim), then scaled, as Hugging
// Face computes them.
at::Tensor RopeFrequencies(int64_t head_dim, double theta, const v1::RopeScaling& scaling = {});

// Angle of pair i at position p: p * frequencies[i].
Rope MakeRope(int64_t positions, const at::Tensor& frequencies, at::Device device);

// x [b, t, heads, head_dim], rope of its t positions: element i is rotated with element i + head_dim / 2.
at::Tensor ApplyRope(const at::Tensor& x, const Rope& rope);

// q [b, t, heads, head_dim]; k, v [b, t, kv_heads, head_dim] -> [b, t, heads * head_dim]. Rotates q and k,
// then softmax(q k^T / sqrt(head_dim)) v where position i sees 0..i. Query head h reads key head h * kv_heads
// / heads.
at::Tensor RopeAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Rope& rope);

// The same as a composition of ATen operators: the oracle, and what runs where there is no own kernel.
at::Tensor PlainRopeAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const Rope& rope);

// q [1, t, heads, head_dim] at the last t of the s positions of k, v [1, s, kv_heads, head_dim], all already
// rotated -> [1, t, heads * head_dim]. For decoding: no own kernel.
at::Tensor CachedAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_ATTENTION_H_
