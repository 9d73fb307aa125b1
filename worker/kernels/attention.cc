#include "worker/kernels/attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <optional>

#include "worker/kernels/attention_kernel.h"

namespace cherry::trainer {
namespace {

// [b, s, kv_heads, head_dim] -> [b, heads, s, head_dim].
at::Tensor ForEachQueryHead(const at::Tensor& x, int64_t heads) {
  at::Tensor by_head = x.transpose(1, 2);
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

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class CpuRopeAttention : public torch::autograd::Function<CpuRopeAttention> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q_in, const at::Tensor& k_in,
                            const at::Tensor& v_in, const at::Tensor& cos, const at::Tensor& sin) {
    const at::Tensor q = q_in.contiguous(), k = k_in.contiguous(), v = v_in.contiguous();
    const AttentionShape shape = ShapeOf(q, k);
    at::Tensor out = at::empty({shape.batch, shape.length, shape.heads * shape.head_dim}, q.options());
    const at::Tensor rotated_q = at::empty_like(q), rotated_k = at::empty_like(k);
    const at::Tensor log_sum = at::empty({shape.batch, shape.heads, shape.length}, q.options());
    AttentionForward(shape,
                     {.q = q.const_data_ptr<float>(),
                      .k = k.const_data_ptr<float>(),
                      .v = v.const_data_ptr<float>(),
                      .cos = cos.const_data_ptr<float>(),
                      .sin = sin.const_data_ptr<float>()},
                     Saved(rotated_q, rotated_k, log_sum), out.mutable_data_ptr<float>());
    context->save_for_backward({rotated_q, rotated_k, v, cos, sin, log_sum, out});
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    const at::Tensor dout = gradients[0].contiguous();
    const at::Tensor dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
    AttentionBackward(ShapeOf(q, k),
                      {.v = v.const_data_ptr<float>(),
                       .cos = saved[3].const_data_ptr<float>(),
                       .sin = saved[4].const_data_ptr<float>()},
                      Saved(q, k, saved[5]), saved[6].const_data_ptr<float>(), dout.const_data_ptr<float>(),
                      {.q = dq.mutable_data_ptr<float>(),
                       .k = dk.mutable_data_ptr<float>(),
                       .v = dv.mutable_data_ptr<float>()});
    return {dq, dk, dv, at::Tensor(), at::Tensor()};
  }

 private:
  static AttentionShape ShapeOf(const at::Tensor& q, const at::Tensor& k) {
    return {.batch = q.size(0),
            .length = q.size(1),
            .heads = q.size(2),
            .kv_heads = k.size(2),
            .head_dim = q.size(3)};
  }
  // By head although of the inputs' shape: only the kernel reads them.
  static AttentionSaved Saved(const at::Tensor& q, const at::Tensor& k, const at::Tensor& log_sum) {
    return {q.mutable_data_ptr<float>(), k.mutable_data_ptr<float>(), log_sum.mutable_data_ptr<float>()};
  }
};

// Rotation in three passes over x, and its inverse for the gradient in three more; composed of differentiable
// operators it takes nine and a dozen.
class GpuRope : public torch::autograd::Function<GpuRope> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return Rotate(x, cos, sin);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    return {Rotate(gradients[0], saved[0], -saved[1]), at::Tensor(), at::Tensor()};
  }

 private:
  static at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
    at::Tensor out = x * at::cat({cos, cos}, -1);
    const std::vector<at::Tensor> from = x.chunk(2, -1);
    std::vector<at::Tensor> to = out.chunk(2, -1);
    to[0].addcmul_(from[1], sin, -1);
    to[1].addcmul_(from[0], sin);
    return out;
  }
};

}  // namespace

at::Tensor RopeFrequencies(int64_t head_dim, double theta, const v1::RopeScaling& scaling) {
  const at::Tensor exponent =
      at::arange(0, head_dim, 2, at::TensorOptions().dtype(at::kFloat)) / static_cast<double>(head_dim);
  at::Tensor plain = at::reciprocal(at::pow(theta, exponent));
  if (scaling.type() == v1::RopeScaling::DEFAULT) {
    return plain;
  }
  at::Tensor stretched = plain / scaling.factor();
  if (scaling.type() == v1::RopeScaling::LINEAR) {
    return stretched;
  }
  const double positions = scaling.original_positions();
  const double low = scaling.low_freq_factor(), high = scaling.high_freq_factor();
  const at::Tensor wave = 2.0 * M_PI / plain;
  const at::Tensor smooth = (positions / wave - low) / (high - low);
  const at::Tensor blended = (1.0 - smooth) * stretched + smooth * plain;
  return at::where(wave > positions / low, stretched, at::where(wave < positions / high, plain, blended));
}

Rope MakeRope(int64_t positions, const at::Tensor& frequencies, at::Device device) {
  const at::Tensor angle =
      at::outer(at::arange(positions, at::TensorOptions().dtype(at::kFloat)), frequencies);
  return {angle.cos().to(device), angle.sin().to(device)};
}

at::Tensor ApplyRope(const at::Tensor& x, const Rope& rope) {
  const at::Tensor cos = rope.cos.unsqueeze(1).to(x.scalar_type());
  const at::Tensor sin = rope.sin.unsqueeze(1).to(x.scalar_type());
  if (x.is_cuda()) {
    return GpuRope::apply(x, cos, sin);
  }
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
  if (q.is_cpu() && q.scalar_type() == at::kFloat) {
    return CpuRopeAttention::apply(q, k, v, rope.cos, rope.sin);
  }
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
