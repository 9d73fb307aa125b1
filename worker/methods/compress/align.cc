#include "worker/methods/compress/align.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <limits>

namespace cherry::trainer {
namespace {

std::vector<int64_t> BestOrder(const at::Tensor& likeness) {
  const at::Tensor host = likeness.to(at::kCPU).to(at::kDouble).contiguous();
  return AssignHighest(absl::MakeConstSpan(host.const_data_ptr<double>(), static_cast<size_t>(host.numel())),
                       host.size(0));
}

at::Tensor Index(const std::vector<int64_t>& order, const at::Tensor& like) {
  return at::tensor(order, at::kLong).to(like.device());
}

// Rows [heads * width, d] as [kv_heads, rest]: each key head with what belongs to it.
at::Tensor ByHead(const at::Tensor& matrix, int64_t kv_heads) { return matrix.reshape({kv_heads, -1}); }

}  // namespace

LayerOrder Align(const LayerWeights& first, const LayerWeights& layer, const ModelShape& shape) {
  const at::NoGradGuard no_gradient;
  // A unit is a row of gate and of up, and a column of down.
  const auto units = [](const LayerWeights& weights) {
    return at::cat({weights.at("mlp.gate_proj"), weights.at("mlp.up_proj"), weights.at("mlp.down_proj").t()},
                   1);
  };
  const auto heads = [&](const LayerWeights& weights) {
    return at::cat({ByHead(weights.at("self_attn.q_proj"), shape.kv_heads),
                    ByHead(weights.at("self_attn.k_proj"), shape.kv_heads),
                    ByHead(weights.at("self_attn.v_proj"), shape.kv_heads),
                    ByHead(weights.at("self_attn.o_proj").t().contiguous(), shape.kv_heads)},
                   1);
  };
  return {BestOrder(at::mm(units(first), units(layer).t())),
          BestOrder(at::mm(heads(first), heads(layer).t()))};
}

at::Tensor Reordered(const at::Tensor& matrix, absl::string_view part, const ModelShape& shape,
                     const LayerOrder& order) {
  const auto by_head = [&](const at::Tensor& rows) {
    return ByHead(rows, shape.kv_heads).index_select(0, Index(order.kv_heads, matrix)).reshape(rows.sizes());
  };
  if (matrix.dim() == 1) {  // A bias: that of the output belongs to no head.
    return part == "self_attn.o_proj" ? matrix : by_head(matrix);
  }
  if (part == "mlp.down_proj") {
    return matrix.index_select(1, Index(order.units, matrix));
  }
  if (part == "self_attn.o_proj") {
    return by_head(matrix.t().contiguous()).t();
  }
  return part == "mlp.gate_proj" || part == "mlp.up_proj" ? matrix.index_select(0, Index(order.units, matrix))
                                                          : by_head(matrix);
}

std::vector<int64_t> AssignHighest(absl::Span<const double> values, int64_t n) {
  // Rows and columns from 1; 0 stands for none. Costs are the negated values.
  const auto size = static_cast<size_t>(n) + 1;
  std::vector<double> row_potential(size, 0.0), column_potential(size, 0.0);
  std::vector<size_t> row_of(size, 0), previous(size, 0);
  for (size_t row = 1; row < size; ++row) {
    std::vector<double> shortest(size, std::numeric_limits<double>::infinity());
    std::vector<bool> done(size, false);
    row_of[0] = row;
    size_t column = 0;
    do {
      done[column] = true;
      const size_t at = row_of[column];
      double step = std::numeric_limits<double>::infinity();
      size_t next = 0;
      for (size_t other = 1; other < size; ++other) {
        if (done[other]) {
          continue;
        }
        const double cost =
            -values[(at - 1) * (size - 1) + other - 1] - row_potential[at] - column_potential[other];
        if (cost < shortest[other]) {
          shortest[other] = cost;
          previous[other] = column;
        }
        if (shortest[other] < step) {
          step = shortest[other];
          next = other;
        }
      }
      for (size_t other = 0; other < size; ++other) {
        if (done[other]) {
          row_potential[row_of[other]] += step;
          column_potential[other] -= step;
        } else {
          shortest[other] -= step;
        }
      }
      column = next;
    } while (row_of[column] != 0);
    while (column != 0) {
      row_of[column] = row_of[previous[column]];
      column = previous[column];
    }
  }
  std::vector<int64_t> assigned(static_cast<size_t>(n), 0);
  for (size_t column = 1; column < size; ++column) {
    assigned[row_of[column] - 1] = static_cast<int64_t>(column) - 1;
  }
  return assigned;
}

}  // namespace cherry::trainer
