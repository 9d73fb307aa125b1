#include "worker/kernels/attention.h"

#include <ATen/ATen.h>

#include <optional>

namespace cherry::trainer {
namespace {

// [b, s, kv_heads, head_dim] -> [b, heads, s, head_dim].
at::Tensor ForEachQueryHead(const at::Tensor& x, int64_t heads) {
  const at::Tensor by_head = x.transpose(1, 2);
  const int64_t kv_heads = by_head.size(1);
  if (kv_heads == heads) {
    return by_head;
  }
  return by_head.unsqueeze(2)
      .expand({x.size(0), kv_heads, heads / kv_heads, x.size(1), x.size(3)})
      .reshape({x.size(0), heads, x.size(1), x.size(3)});
}

// [b, heads, t, head_dim] -> [b, t, heads * head_dim].
at::Tensor JoinHeads(const at::Tensor& x) { return x.transpose(1, 2).flatten(2); }

}  // namespace

Rope MakeRope(int64_t positions, int64_t head_dim, double theta, at::Device device) {
  const at::TensorOptions fp32 = at::TensorOptions().dtype(at::kFloat);
  const at::Tensor exponent = at::arange(0, head_dim, 2, fp32) / static_cast<double>(head_dim);
  const at::Tensor frequency = at::reciprocal(at::pow(theta, exponent));
  const at::Tensor angle = at::outer(at::arange(positions, fp32), frequency);
  return {angle.cos().to(device), angle.sin().to(device)};
}

at::Tensor ApplyRope(const at::Tensor& x, const Rope& rope) {
  const at::Tensor cos = rope.cos.unsqueeze(1).to(x.scalar_type());
  const at::Tensor sin = rope.sin.unsqueeze(1).to(x.scalar_type());
  const std::vector<at::Tensor> half = x.chunk(2, -1);
  return at::cat({half[0] * cos - half[1] * sin, half[1] * cos + half[0] * sin}, -1);
}

at::Tensor PlainRopeAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const Rope& rope) {
  const int64_t heads = q.size(2);
  const at::Tensor attended = at::scaled_dot_product_attention(
      ApplyRope(q, rope).transpose(1, 2), ForEachQueryHead(ApplyRope(k, rope), heads),
      ForEachQueryHead(v, heads), std::nullopt, /*dropout_p=*/0.0, /*is_causal=*/true);
  return JoinHeads(attended);
}

at::Tensor RopeAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Rope& rope) {
  return PlainRopeAttention(q, k, v, rope);
}

at::Tensor CachedAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const int64_t heads = q.size(2);
  const int64_t count = q.size(1);
  const int64_t known = k.size(1);
  // Row i stands at position known - count + i and sees all up to itself.
  const at::Tensor mask = at::ones({count, known}, q.options().dtype(at::kBool)).tril(known - count);
  return JoinHeads(at::scaled_dot_product_attention(q.transpose(1, 2), ForEachQueryHead(k, heads),
                                                    ForEachQueryHead(v, heads), mask));
}

}  // namespace cherry::trainer
