// Puts the interchangeable parts of one layer in the order of another's. One thread.
#ifndef CHERRY_WORKER_METHODS_COMPRESS_ALIGN_H_
#define CHERRY_WORKER_METHODS_COMPRESS_ALIGN_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/model_plan.h"

namespace cherry::trainer {

// Matrices of a layer by their part: "self_attn.q_proj", "mlp.up_proj", ...
using LayerWeights = std::map<std::string, at::Tensor>;

// Unit order.units[i] of a layer takes place i, and so for heads. Groups of query heads move with their key
// head.
struct LayerOrder {
  std::vector<int64_t> units;  // Of the FFN.
  std::vector<int64_t> kv_heads;
};

// The order of `layer` that makes it most like `first`.
LayerOrder Align(const LayerWeights& first, const LayerWeights& layer, const ModelShape& shape);

// A matrix of a layer, in that order.
at::Tensor Reordered(const at::Tensor& matrix, absl::string_view part, const ModelShape& shape,
                     const LayerOrder& order);

// The assignment of columns to rows with the highest sum of values [n * n], row-major: result[row] is its
// column. The Hungarian method with potentials (Jonker and Volgenant's shortest paths), O(n^3).
std::vector<int64_t> AssignHighest(absl::Span<const double> values, int64_t n);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_METHODS_COMPRESS_ALIGN_H_
