#include "worker/kernels/attention_kernel.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "worker/kernels/gemm.h"
#include "worker/kernels/simd.h"
#include "worker/kernels/vector_math.h"

namespace cherry::trainer {
namespace {

constexpr int64_t kRows = 64;  // Query rows that share a block of scores.

// out = rotation of x by (cos, sign * sin), times factor; t rows, strides in elements.
CHERRY_SIMD void Rotate(int64_t t, int64_t head_dim, float sign, float factor, const float* cos,
                        const float* sin, const float* x, int64_t x_stride, float* out, int64_t out_stride) {
  const int64_t half = head_dim / 2;
  for (int64_t row = 0; row < t; ++row, x += x_stride, out += out_stride, cos += half, sin += half) {
#pragma omp simd
    for (int64_t i = 0; i < half; ++i) {
      const float c = cos[i] * factor, s = sin[i] * (sign * factor);
      const float first = x[i], second = x[i + half];
      out[i] = first * c - second * s;
      out[i + half] = second * c + first * s;
    }
  }
}

// Rows first.. of scores: softmax over the visible prefix, zero behind it. Returns through log_sum.
CHERRY_SIMD void SoftmaxRows(int64_t first, int64_t rows, int64_t width, float* scores, float* log_sum) {
  for (int64_t row = 0; row < rows; ++row, scores += width) {
    const int64_t visible = first + row + 1;
    float largest = scores[0];
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < visible; ++i) {
      largest = scores[i] > largest ? scores[i] : largest;
    }
    float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < visible; ++i) {
      scores[i] = FastExp(scores[i] - largest);
      sum += scores[i];
    }
    const float scale = 1.0F / sum;
#pragma omp simd
    for (int64_t i = 0; i < visible; ++i) {
      scores[i] *= scale;
    }
    std::fill(scores + visible, scores + width, 0.0F);
    log_sum[row] = largest + std::log(sum);
  }
}

// From scores to probabilities in place, and from dprobabilities to dscores in place.
CHERRY_SIMD void SoftmaxGradientRows(int64_t first, int64_t rows, int64_t width, const float* log_sum,
                                     const float* dot, float* scores, float* gradients) {
  for (int64_t row = 0; row < rows; ++row, scores += width, gradients += width) {
    const int64_t visible = first + row + 1;
    const float shift = log_sum[row], mean = dot[row];
#pragma omp simd
    for (int64_t i = 0; i < visible; ++i) {
      const float probability = FastExp(scores[i] - shift);
      scores[i] = probability;
      gradients[i] = probability * (gradients[i] - mean);
    }
    std::fill(scores + visible, scores + width, 0.0F);
    std::fill(gradients + visible, gradients + width, 0.0F);
  }
}

// dot[i] = sum of out * dout of row i: the mean gradient that softmax subtracts.
CHERRY_SIMD void RowDots(int64_t t, int64_t head_dim, int64_t stride, const float* out, const float* dout,
                         float* dot) {
  for (int64_t row = 0; row < t; ++row, out += stride, dout += stride) {
    float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < head_dim; ++i) {
      sum += out[i] * dout[i];
    }
    dot[row] = sum;
  }
}

// Where one head of one sequence lies in the layouts of the header.
struct Place {
  int64_t q, kv;              // In q and out; in k and v. Row strides are heads (kv_heads) * head_dim.
  int64_t saved_q, saved_kv;  // In the saved queries and keys; row stride head_dim.
  int64_t row;                // In log_sum.
};

Place PlaceOf(const AttentionShape& shape, int64_t sequence, int64_t head) {
  const int64_t kv_head = head / (shape.heads / shape.kv_heads);
  const int64_t row = (sequence * shape.heads + head) * shape.length;
  return {.q = (sequence * shape.length * shape.heads + head) * shape.head_dim,
          .kv = (sequence * shape.length * shape.kv_heads + kv_head) * shape.head_dim,
          .saved_q = row * shape.head_dim,
          .saved_kv = (sequence * shape.kv_heads + kv_head) * shape.length * shape.head_dim,
          .row = row};
}

void ForwardHead(const AttentionShape& shape, const AttentionInput& input, const AttentionSaved& saved,
                 const Place& at, float* scores, float* out) {
  const int64_t d = shape.head_dim, stride = shape.heads * d, kv_stride = shape.kv_heads * d;
  Rotate(shape.length, d, 1.0F, 1.0F / std::sqrt(static_cast<float>(d)), input.cos, input.sin, input.q + at.q,
         stride, saved.q + at.saved_q, d);
  for (int64_t first = 0; first < shape.length; first += kRows) {
    const int64_t rows = std::min(kRows, shape.length - first), width = first + rows;
    Gemm(rows, width, d, {saved.q + at.saved_q + first * d, d}, {saved.k + at.saved_kv, d, true}, 0.0F,
         scores, width);
    SoftmaxRows(first, rows, width, scores, saved.log_sum + at.row + first);
    Gemm(rows, d, width, {scores, width}, {input.v + at.kv, kv_stride}, 0.0F, out + at.q + first * stride,
         stride);
  }
}

// Scratch of one thread in backward.
struct Scratch {
  explicit Scratch(const AttentionShape& shape)
      : scores(static_cast<size_t>(kRows * shape.length)),
        gradients(static_cast<size_t>(kRows * shape.length)),
        dq(static_cast<size_t>(kRows * shape.head_dim)),
        dk(static_cast<size_t>(shape.length * shape.head_dim)),
        dot(static_cast<size_t>(shape.length)) {}
  std::vector<float> scores, gradients, dq, dk, dot;
};

// Adds one query head's share to dk (rotated, in scratch) and dv; writes its dq.
void BackwardHead(const AttentionShape& shape, const AttentionInput& input, const AttentionSaved& saved,
                  const float* out, const float* dout, const Place& at, const AttentionGradient& gradient,
                  Scratch* scratch) {
  const int64_t d = shape.head_dim, stride = shape.heads * d, kv_stride = shape.kv_heads * d;
  float* scores = scratch->scores.data();
  float* gradients = scratch->gradients.data();
  const float factor = 1.0F / std::sqrt(static_cast<float>(d));
  RowDots(shape.length, d, stride, out + at.q, dout + at.q, scratch->dot.data());
  for (int64_t first = 0; first < shape.length; first += kRows) {
    const int64_t rows = std::min(kRows, shape.length - first), width = first + rows;
    const float* q = saved.q + at.saved_q + first * d;
    const float* douts = dout + at.q + first * stride;
    Gemm(rows, width, d, {q, d}, {saved.k + at.saved_kv, d, true}, 0.0F, scores, width);
    Gemm(rows, width, d, {douts, stride}, {input.v + at.kv, kv_stride, true}, 0.0F, gradients, width);
    SoftmaxGradientRows(first, rows, width, saved.log_sum + at.row + first, scratch->dot.data() + first,
                        scores, gradients);
    Gemm(width, d, rows, {scores, width, true}, {douts, stride}, 1.0F, gradient.v + at.kv, kv_stride);
    Gemm(width, d, rows, {gradients, width, true}, {q, d}, 1.0F, scratch->dk.data(), d);
    Gemm(rows, d, width, {gradients, width}, {saved.k + at.saved_kv, d}, 0.0F, scratch->dq.data(), d);
    Rotate(rows, d, -1.0F, factor, input.cos + first * (d / 2), input.sin + first * (d / 2),
           scratch->dq.data(), d, gradient.q + at.q + first * stride, stride);
  }
}

}  // namespace

void AttentionForward(const AttentionShape& shape, const AttentionInput& input, const AttentionSaved& saved,
                      float* out) {
  const int64_t group = shape.heads / shape.kv_heads;
#pragma omp parallel
  {
    std::vector<float> scores(static_cast<size_t>(kRows * shape.length));
#pragma omp for schedule(static)
    for (int64_t task = 0; task < shape.batch * shape.kv_heads; ++task) {
      const int64_t sequence = task / shape.kv_heads, head = task % shape.kv_heads * group;
      const Place at = PlaceOf(shape, sequence, head);
      Rotate(shape.length, shape.head_dim, 1.0F, 1.0F, input.cos, input.sin, input.k + at.kv,
             shape.kv_heads * shape.head_dim, saved.k + at.saved_kv, shape.head_dim);
      for (int64_t i = 0; i < group; ++i) {
        ForwardHead(shape, input, saved, PlaceOf(shape, sequence, head + i), scores.data(), out);
      }
    }
  }
}

void AttentionBackward(const AttentionShape& shape, const AttentionInput& input, const AttentionSaved& saved,
                       const float* out, const float* dout, const AttentionGradient& gradient) {
  const int64_t group = shape.heads / shape.kv_heads, d = shape.head_dim, kv_stride = shape.kv_heads * d;
#pragma omp parallel
  {
    Scratch scratch(shape);
#pragma omp for schedule(static)
    for (int64_t task = 0; task < shape.batch * shape.kv_heads; ++task) {
      const int64_t sequence = task / shape.kv_heads, head = task % shape.kv_heads * group;
      const Place at = PlaceOf(shape, sequence, head);
      std::fill(scratch.dk.begin(), scratch.dk.end(), 0.0F);
      for (int64_t row = 0; row < shape.length; ++row) {
        std::fill_n(gradient.v + at.kv + row * kv_stride, d, 0.0F);
      }
      for (int64_t i = 0; i < group; ++i) {
        BackwardHead(shape, input, saved, out, dout, PlaceOf(shape, sequence, head + i), gradient, &scratch);
      }
      Rotate(shape.length, d, -1.0F, 1.0F, input.cos, input.sin, scratch.dk.data(), d, gradient.k + at.kv,
             kv_stride);
    }
  }
}

}  // namespace cherry::trainer
