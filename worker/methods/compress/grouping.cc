#include "worker/methods/compress/grouping.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>

namespace cherry::trainer {
namespace {

// Of LaCo's experiments; then lower, until enough layers are gone.
constexpr double kThreshold = 0.6;
constexpr double kThresholdStep = 0.05;

// `count` groups of layers [begin, end), larger ones in the middle.
void Spread(int64_t begin, int64_t end, int64_t count, std::vector<LayerGroup>* groups) {
  const int64_t size = (end - begin) / count;
  const int64_t larger = (end - begin) % count;
  const int64_t first_larger = (count - larger) / 2;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t layers = size + (i >= first_larger && i < first_larger + larger ? 1 : 0);
    groups->push_back({begin, begin + layers});
    begin += layers;
  }
}

template <typename Choose>
std::vector<Combination> ChooseOne(absl::Span<const LayerGroup> groups, Choose choose) {
  std::vector<Combination> combinations;
  for (const LayerGroup& group : groups) {
    combinations.push_back({{choose(group), 1.0}});
  }
  return combinations;
}

// base + sum of (other - base): what the layers at `place` + 1 .. `place` + taken add to the one at `place`.
Combination Collapse(const std::vector<Combination>& layers, size_t place, int64_t taken) {
  std::map<int64_t, double> weights;
  for (const auto& [source, weight] : layers[place]) {
    weights[source] += weight * static_cast<double>(1 - taken);
  }
  for (size_t other = place + 1; other <= place + static_cast<size_t>(taken); ++other) {
    for (const auto& [source, weight] : layers[other]) {
      weights[source] += weight;
    }
  }
  Combination combination;
  for (const auto& [source, weight] : weights) {
    combination.emplace_back(source, weight);
  }
  return combination;
}

}  // namespace

std::vector<LayerGroup> GroupLayers(int64_t layers, int64_t targets, bool keep_ends) {
  std::vector<LayerGroup> groups;
  if (!keep_ends || targets == layers) {
    Spread(0, layers, targets, &groups);
    return groups;
  }
  groups.push_back({0, 1});
  Spread(1, layers - 1, targets - 2, &groups);
  groups.push_back({layers - 1, layers});
  return groups;
}

std::vector<Combination> CombineMean(absl::Span<const LayerGroup> groups) {
  std::vector<Combination> combinations;
  for (const LayerGroup& group : groups) {
    Combination& combination = combinations.emplace_back();
    for (int64_t layer = group.begin; layer < group.end; ++layer) {
      combination.emplace_back(layer, 1.0 / static_cast<double>(group.size()));
    }
  }
  return combinations;
}

std::vector<Combination> CombineFirst(absl::Span<const LayerGroup> groups) {
  return ChooseOne(groups, [](const LayerGroup& group) { return group.begin; });
}

std::vector<Combination> CombineLast(absl::Span<const LayerGroup> groups) {
  return ChooseOne(groups, [](const LayerGroup& group) { return group.end - 1; });
}

std::vector<Combination> CombineStep(int64_t layers, int64_t targets) {
  std::vector<Combination> combinations;
  for (int64_t j = 0; j < targets; ++j) {
    const double place = targets == 1 ? 0.0
                                      : static_cast<double>(j) * static_cast<double>(layers - 1) /
                                            static_cast<double>(targets - 1);
    combinations.push_back({{std::llround(place), 1.0}});
  }
  return combinations;
}

std::vector<Combination> CombineByInfluence(absl::Span<const LayerGroup> groups,
                                            absl::Span<const double> layer_cosines) {
  std::vector<Combination> combinations;
  for (const LayerGroup& group : groups) {
    double sum = 0.0;
    for (int64_t layer = group.begin; layer < group.end; ++layer) {
      sum += 1.0 - layer_cosines[static_cast<size_t>(layer)];
    }
    Combination& combination = combinations.emplace_back();
    for (int64_t layer = group.begin; layer < group.end; ++layer) {
      const double influence = 1.0 - layer_cosines[static_cast<size_t>(layer)];
      combination.emplace_back(layer, sum > 0.0 ? influence / sum : 1.0 / static_cast<double>(group.size()));
    }
  }
  return combinations;
}

std::vector<Combination> CombineDrop(int64_t layers, int64_t targets, absl::Span<const double> block_cosines,
                                     bool keep_ends) {
  const int64_t dropped = layers - targets;
  const int64_t first = keep_ends ? 1 : 0;
  const int64_t last = layers - dropped - (keep_ends ? 1 : 0);
  int64_t best = first;
  for (int64_t begin = first; begin <= last; ++begin) {
    // The angle falls as the cosine rises.
    if (block_cosines[static_cast<size_t>(begin)] > block_cosines[static_cast<size_t>(best)]) {
      best = begin;
    }
  }
  std::vector<Combination> combinations;
  for (int64_t layer = 0; layer < layers; ++layer) {
    if (layer < best || layer >= best + dropped) {
      combinations.push_back({{layer, 1.0}});
    }
  }
  return combinations;
}

std::vector<Combination> CombineRdsc(int64_t layers, int64_t targets, int64_t most, bool keep_ends,
                                     const Similarity& similarity) {
  std::vector<Combination> current;
  for (int64_t layer = 0; layer < layers; ++layer) {
    current.push_back({{layer, 1.0}});
  }
  const int64_t end = keep_ends ? 1 : 0;
  for (double threshold = kThreshold; static_cast<int64_t>(current.size()) > targets;
       threshold -= kThresholdStep) {
    for (int64_t place = static_cast<int64_t>(current.size()) - 2 - end;
         place >= end && static_cast<int64_t>(current.size()) > targets; --place) {
      const auto count = static_cast<int64_t>(current.size());
      const int64_t taken = std::min({most, count - 1 - end - place, count - targets});
      if (taken < 1) {
        continue;
      }
      std::vector<Combination> candidate = current;
      candidate[static_cast<size_t>(place)] = Collapse(current, static_cast<size_t>(place), taken);
      candidate.erase(candidate.begin() + place + 1, candidate.begin() + place + 1 + taken);
      if (similarity(candidate) > threshold || threshold < -1.0) {
        current = std::move(candidate);
      }
    }
  }
  return current;
}

}  // namespace cherry::trainer
