#include "client/data/k_let.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cherry::client {
namespace {

// Edge i leads from vertex `at[i]` to `at[i + 1]`. The edges that leave vertex v are
// `edges[first[v] .. first[v + 1])`.
struct GramGraph {
  std::vector<int32_t> at;
  std::vector<size_t> first;
  std::vector<int32_t> edges;

  int32_t To(int32_t edge) const { return at[static_cast<size_t>(edge) + 1]; }
  size_t vertices() const { return first.size() - 1; }
};

GramGraph MakeGramGraph(absl::Span<const LabelledToken> text, int k) {
  GramGraph graph;
  graph.at = EmptyGrams(text);
  size_t vertices = 1;
  for (int n = 1; n < k; ++n) {
    GramTable table;
    Lengthen(text, true, &table, &graph.at);
    vertices = table.size();
  }
  const size_t edges = graph.at.size() - 1;
  graph.first.assign(vertices + 1, 0);
  for (size_t i = 0; i < edges; ++i) {
    ++graph.first[static_cast<size_t>(graph.at[i]) + 1];
  }
  for (size_t v = 0; v < vertices; ++v) {
    graph.first[v + 1] += graph.first[v];
  }
  graph.edges.resize(edges);
  std::vector<size_t> next(graph.first.begin(), graph.first.end() - 1);
  for (size_t i = 0; i < edges; ++i) {
    graph.edges[next[static_cast<size_t>(graph.at[i])]++] = static_cast<int32_t>(i);
  }
  return graph;
}

// Wilson's algorithm: for each vertex but `root`, the place in `edges` of the edge that leads it towards the
// root in a tree drawn uniformly from all. A walk from outside the tree remembers, for each vertex, the last
// edge by which it left; that erases its loops. It ends, because from every vertex the text itself goes on to
// the root.
std::vector<size_t> DrawTree(const GramGraph& graph, size_t root, Random* random) {
  std::vector<size_t> remembered(graph.vertices(), 0);
  std::vector<bool> in_tree(graph.vertices(), false);
  in_tree[root] = true;
  const auto follow = [&](size_t v) { return static_cast<size_t>(graph.To(graph.edges[remembered[v]])); };
  for (size_t start = 0; start < graph.vertices(); ++start) {
    for (size_t v = start; !in_tree[v]; v = follow(v)) {
      const size_t begin = graph.first[v];
      remembered[v] = begin + static_cast<size_t>(random->Below(graph.first[v + 1] - begin));
    }
    for (size_t v = start; !in_tree[v]; v = follow(v)) {
      in_tree[v] = true;
    }
  }
  return remembered;
}

// Puts the edges that leave each vertex into the order in which the walk takes them: the tree's last, so that
// the walk cannot be cut off from an edge it has not taken.
void OrderEdges(const std::vector<size_t>& tree, size_t root, GramGraph* graph, Random* random) {
  const absl::Span<int32_t> edges = absl::MakeSpan(graph->edges);
  for (size_t v = 0; v < graph->vertices(); ++v) {
    const size_t begin = graph->first[v];
    size_t end = graph->first[v + 1];
    if (v != root) {
      --end;
      std::swap(edges[tree[v]], edges[end]);
    }
    random->Shuffle(edges.subspan(begin, end - begin));
  }
}

}  // namespace

absl::StatusOr<std::vector<LabelledToken>> ShuffleKeepingGrams(absl::Span<const LabelledToken> text, int k,
                                                               Random* random) {
  const size_t kept = static_cast<size_t>(k) - 1;
  std::vector<LabelledToken> result(text.begin(),
                                    text.begin() + static_cast<std::ptrdiff_t>(std::min(kept, text.size())));
  if (text.size() <= kept) {
    return result;
  }
  if (text.size() > std::numeric_limits<int32_t>::max() - 1) {
    return absl::OutOfRangeError(absl::StrCat("k-let: a block of ", text.size(), " tokens"));
  }
  GramGraph graph = MakeGramGraph(text, k);
  const auto root = static_cast<size_t>(graph.at.back());
  OrderEdges(DrawTree(graph, root, random), root, &graph, random);
  std::vector<size_t> next(graph.first.begin(), graph.first.end() - 1);
  result.reserve(text.size());
  auto v = static_cast<size_t>(graph.at.front());
  while (next[v] < graph.first[v + 1]) {
    const int32_t edge = graph.edges[next[v]++];
    result.push_back(text[static_cast<size_t>(edge) + kept]);
    v = static_cast<size_t>(graph.To(edge));
  }
  if (result.size() != text.size() || v != root) {
    return absl::InternalError(
        absl::StrCat("k-let: the walk took ", result.size() - kept, " of ", graph.edges.size(), " edges"));
  }
  return result;
}

}  // namespace cherry::client
