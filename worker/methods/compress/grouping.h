// Which layers of a deep model become which of a shallow one (docs/methods.md). Pure functions, thread-safe.
#ifndef CHERRY_WORKER_METHODS_COMPRESS_GROUPING_H_
#define CHERRY_WORKER_METHODS_COMPRESS_GROUPING_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace cherry::trainer {

// Layers [begin, end) of the source.
struct LayerGroup {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
};

// A target layer as a weighted sum of source layers; the weights add up to 1.
using Combination = std::vector<std::pair<int64_t, double>>;

// `targets` contiguous groups whose sizes differ by at most one, the larger ones in the middle. With
// `keep_ends` the first and the last layer are groups of their own. REQUIRES: 1 <= targets <= layers;
// keep_ends: targets >= 3 or targets == layers.
std::vector<LayerGroup> GroupLayers(int64_t layers, int64_t targets, bool keep_ends);

std::vector<Combination> CombineMean(absl::Span<const LayerGroup> groups);
std::vector<Combination> CombineFirst(absl::Span<const LayerGroup> groups);
std::vector<Combination> CombineLast(absl::Span<const LayerGroup> groups);

// Layers round(j (L - 1) / (P - 1)); the first alone when P = 1.
std::vector<Combination> CombineStep(int64_t layers, int64_t targets);

// Weights in proportion to what each layer changes: 1 - the mean cosine of its input and its output
// (ShortGPT's score). A group that changes nothing is averaged.
std::vector<Combination> CombineByInfluence(absl::Span<const LayerGroup> groups,
                                            absl::Span<const double> layer_cosines);

// All but the block of L - P layers whose removal moves the state by the least angle (Gromov et al.);
// block_cosines[l] is that of the states before layers l and l + L - P. With `keep_ends` no block holds the
// first or the last layer.
std::vector<Combination> CombineDrop(int64_t layers, int64_t targets, absl::Span<const double> block_cosines,
                                     bool keep_ends);

// LaCo's reserving-differences collapse, by its formula: from the top down, a layer takes in the differences
// of the up to `most` layers above it while `similarity` of the collapsed model stays above a threshold,
// which falls where too few layers could be collapsed. `similarity` compares the last states with those of
// the source.
using Similarity = std::function<double(const std::vector<Combination>&)>;
std::vector<Combination> CombineRdsc(int64_t layers, int64_t targets, int64_t most, bool keep_ends,
                                     const Similarity& similarity);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_METHODS_COMPRESS_GROUPING_H_
