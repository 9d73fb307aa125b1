#include "worker/methods/compress/merge.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>
#include <string>

#include "common/parameter_names.h"
#include "worker/methods/compress/align.h"

namespace cherry::trainer {
namespace {

// Most layers that rdsc takes in at a time, as in LaCo.
constexpr int64_t kMostCollapsed = 4;

constexpr const char* kHeadNorms[] = {"self_attn.q_norm", "self_attn.k_norm"};
constexpr const char* kLayerNorms[] = {"input_layernorm", "post_attention_layernorm"};

// Serveable loops have none.
bool HasRoundGain(const Transformer& model, const Visit& visit) {
  return model.parameters().Find(RoundGainName(visit)) >= 0;
}

// The mean over positions of the cosine of two states [b, t, d].
double MeanCosine(const at::Tensor& a, const at::Tensor& b) {
  return at::cosine_similarity(a.to(at::kFloat), b.to(at::kFloat), /*dim=*/-1).mean().item<double>();
}

// cosines[l]: of the states before layers l and l + distance, over the calibration.
std::vector<double> StateCosines(Transformer* model, absl::Span<const at::Tensor> calibration,
                                 int64_t distance, const SignOfLife& alive) {
  const at::NoGradGuard no_gradient;
  std::vector<double> cosines(static_cast<size_t>(model->shape().layers - distance + 1), 0.0);
  for (const at::Tensor& tokens : calibration) {
    alive();
    std::vector<at::Tensor> states;
    model->Hidden(tokens, &states);
    for (size_t l = 0; l < cosines.size(); ++l) {
      cosines[l] += MeanCosine(states[l], states[l + static_cast<size_t>(distance)]) /
                    static_cast<double>(calibration.size());
    }
  }
  return cosines;
}

Similarity LastStateSimilarity(Transformer* source, absl::Span<const at::Tensor> calibration,
                               const SignOfLife& alive) {
  const at::NoGradGuard once;
  std::vector<at::Tensor> last;
  for (const at::Tensor& tokens : calibration) {
    alive();
    last.push_back(source->Hidden(tokens));
  }
  return [source, calibration, last, alive](const std::vector<Combination>& combinations) {
    const at::NoGradGuard no_gradient;
    alive();
    ModelShape shape = source->shape();
    shape.layers = static_cast<int64_t>(combinations.size());
    Transformer::Options options = source->options();
    options.frozen = true;
    Transformer collapsed(shape, options, /*seed=*/0);
    MergeInto(*source, combinations, /*aligned=*/false, &collapsed);
    double sum = 0.0;
    for (size_t i = 0; i < calibration.size(); ++i) {
      sum += MeanCosine(collapsed.Hidden(calibration[i]), last[i]);
    }
    return sum / static_cast<double>(calibration.size());
  };
}

// `name` gives a part's parameter in a layer: LayerName or BiasName.
at::Tensor WeightedSum(const Transformer& source, const Combination& combination, absl::string_view part,
                       const std::map<int64_t, LayerOrder>& orders, decltype(LayerName)* name = LayerName) {
  at::Tensor sum;
  for (const auto& [layer, weight] : combination) {
    at::Tensor tensor = source.parameters().Value(name(layer, part));
    const auto order = orders.find(layer);
    if (order != orders.end()) {
      tensor = Reordered(tensor, part, source.shape(), order->second);
    }
    sum = sum.defined() ? sum + tensor * weight : tensor * weight;
  }
  return sum;
}

LayerWeights WeightsOf(const Transformer& source, int64_t layer) {
  LayerWeights found;
  for (const char* part : kLayerMatrices) {
    found[part] = source.parameters().Value(LayerName(layer, part));
  }
  return found;
}

// The orders of all layers but the first of a combination.
std::map<int64_t, LayerOrder> Orders(const Transformer& source, const Combination& combination,
                                     const SignOfLife& alive) {
  std::map<int64_t, LayerOrder> orders;
  const LayerWeights first = WeightsOf(source, combination.front().first);
  for (size_t i = 1; i < combination.size(); ++i) {
    alive();
    orders[combination[i].first] = Align(first, WeightsOf(source, combination[i].first), source.shape());
  }
  return orders;
}

const char* const kGains[] = {"self_attn.gain", "mlp.gain"};

void Copy(const at::Tensor& from, const at::Tensor& to) { to.copy_(from); }

struct VisitPart {
  std::string name;
  bool is_gain = false;
};

// What a visit of a loop has of its own; in the same order for every round of a layer.
std::vector<VisitPart> NamesOf(const Transformer& model, const Visit& visit) {
  std::vector<VisitPart> parts;
  for (const char* norm : kLayerNorms) {
    parts.push_back({VisitName(visit, norm)});
  }
  for (const char* gain : kGains) {
    parts.push_back({VisitName(visit, gain), /*is_gain=*/true});
  }
  if (model.shape().lora_rank > 0) {
    for (const char* matrix : kLayerMatrices) {
      parts.push_back({LoraAName(visit, matrix)});
      parts.push_back({LoraBName(visit, matrix)});
    }
  }
  if (visit.begins_round && HasRoundGain(model, visit)) {
    parts.push_back({RoundGainName(visit), /*is_gain=*/true});
    parts.push_back({RoundVectorName(visit)});
  }
  return parts;
}

// B A is the best approximation of `difference` [out, in] of A's rank: B = U S, A = V' of its singular
// values.
void Approximate(const at::Tensor& difference, const at::Tensor& a, const at::Tensor& b) {
  const auto [u, s, v] = at::linalg_svd(difference, /*full_matrices=*/false);
  const int64_t rank = a.size(0);
  Copy(u.narrow(1, 0, rank) * s.narrow(0, 0, rank), b);
  Copy(v.narrow(0, 0, rank), a);
}

}  // namespace

std::vector<Combination> Combine(const v1::CompressConfig& compress, Transformer* source,
                                 absl::Span<const at::Tensor> calibration, const SignOfLife& alive) {
  const int64_t layers = source->shape().layers;
  const int64_t targets = compress.layers();
  const bool keep_ends = compress.ends() == v1::CompressConfig::KEEP;
  const std::vector<LayerGroup> groups = GroupLayers(layers, targets, keep_ends);
  switch (compress.method()) {
    case v1::CompressConfig::FIRST:
      return CombineFirst(groups);
    case v1::CompressConfig::LAST:
      return CombineLast(groups);
    case v1::CompressConfig::STEP:
      return CombineStep(layers, targets);
    case v1::CompressConfig::DROP:
      return CombineDrop(layers, targets, StateCosines(source, calibration, layers - targets, alive),
                         keep_ends);
    case v1::CompressConfig::BI:
      return CombineByInfluence(groups, StateCosines(source, calibration, 1, alive));
    case v1::CompressConfig::RDSC:
      return CombineRdsc(layers, targets, kMostCollapsed, keep_ends,
                         LastStateSimilarity(source, calibration, alive));
    default:
      return CombineMean(groups);
  }
}

void MergeInto(const Transformer& source, absl::Span<const Combination> combinations, bool aligned,
               Transformer* target, const SignOfLife& alive) {
  const at::NoGradGuard no_gradient;
  for (const NamedParameter& parameter : target->parameters().list()) {
    const int64_t same = source.parameters().Find(parameter.name);
    if (same >= 0 && parameter.name.rfind("model.layers.", 0) != 0) {
      Copy(source.parameters().Value(parameter.name), parameter.tensor.detach());
    }
  }
  for (const Visit& visit : VisitsOf(target->shape())) {
    const Combination& combination = combinations[static_cast<size_t>(visit.layer)];
    for (const char* part : kLayerNorms) {
      Copy(WeightedSum(source, combination, part, {}), target->parameters().Value(VisitName(visit, part)));
    }
    if (visit.round > 0) {
      continue;
    }
    const std::map<int64_t, LayerOrder> orders =
        aligned ? Orders(source, combination, alive) : std::map<int64_t, LayerOrder>();
    for (const char* part : kLayerMatrices) {
      Copy(WeightedSum(source, combination, part, orders),
           target->parameters().Value(LayerName(visit.layer, part)));
    }
    for (const char* part : kBiasedMatrices) {
      if (target->parameters().Find(BiasName(visit.layer, part)) >= 0) {
        Copy(WeightedSum(source, combination, part, orders, BiasName),
             target->parameters().Value(BiasName(visit.layer, part)));
      }
    }
    for (const char* part : kHeadNorms) {
      if (source.shape().qk_norm) {
        Copy(WeightedSum(source, combination, part, {}),
             target->parameters().Value(LayerName(visit.layer, part)));
      }
    }
  }
}

void SetGains(GainStart start, absl::Span<const double> stands_for, int64_t rounds, Transformer* model) {
  const at::NoGradGuard no_gradient;
  for (const Visit& visit : VisitsOf(model->shape())) {
    if (visit.loop < 0) {
      continue;
    }
    const int64_t active = std::min(rounds, visit.rounds);
    const double flow = visit.round < active
                            ? stands_for[static_cast<size_t>(visit.layer)] / static_cast<double>(active)
                            : 0.0;
    const double gain = start == GainStart::kIdentity ? (visit.round == 0 ? 1.0 : 0.0) : flow;
    for (const char* part : kGains) {
      model->parameters().Value(VisitName(visit, part)).fill_(gain);
    }
    if (visit.begins_round && HasRoundGain(*model, visit)) {
      const bool first = start == GainStart::kIdentity && visit.round == 0;
      const bool shared = start != GainStart::kIdentity && visit.round < active;
      model->parameters()
          .Value(RoundGainName(visit))
          .fill_(first    ? 1.0
                 : shared ? 1.0 / static_cast<double>(active)
                          : 0.0);
    }
  }
}

void SetProducts(const Transformer& source, absl::Span<const Combination> combinations, bool aligned,
                 int64_t rounds, Transformer* model, const SignOfLife& alive) {
  const at::NoGradGuard no_gradient;
  std::vector<Visit> visits = VisitsOf(model->shape());
  visits.erase(
      std::remove_if(visits.begin(), visits.end(), [&](const Visit& visit) { return visit.round >= rounds; }),
      visits.end());
  const auto count = static_cast<int64_t>(visits.size());
  for (int64_t q = 1; q <= count; ++q) {
    const Visit& visit = visits[static_cast<size_t>(q - 1)];
    if (visit.loop < 0) {
      continue;
    }
    // ceil(q L / Q), counted from 1.
    const int64_t deep = (q * source.shape().layers + count - 1) / count - 1;
    LayerWeights weights = WeightsOf(source, deep);
    if (aligned) {
      const int64_t first = combinations[static_cast<size_t>(visit.layer)].front().first;
      const LayerOrder order = Align(WeightsOf(source, first), weights, source.shape());
      for (auto& [part, matrix] : weights) {
        matrix = Reordered(matrix, part, source.shape(), order);
      }
    }
    for (const char* part : kLayerMatrices) {
      alive();
      Approximate(weights[part] - model->parameters().Value(LayerName(visit.layer, part)),
                  model->parameters().Value(LoraAName(visit, part)),
                  model->parameters().Value(LoraBName(visit, part)));
    }
    for (const char* norm : kLayerNorms) {
      Copy(source.parameters().Value(LayerName(deep, norm)),
           model->parameters().Value(VisitName(visit, norm)));
    }
  }
}

void GrowRounds(GainStart start, int64_t before, int64_t after, Transformer* model) {
  const at::NoGradGuard no_gradient;
  // What each round had, before any of them is written.
  std::map<std::string, at::Tensor> old;
  const std::vector<Visit> visits = VisitsOf(model->shape());
  for (const Visit& visit : visits) {
    if (visit.loop >= 0) {
      for (const auto& [name, is_gain] : NamesOf(*model, visit)) {
        old[name] = model->parameters().Value(name).clone();
      }
    }
  }
  for (const Visit& visit : visits) {
    const int64_t had = std::min(before, visit.rounds);
    const int64_t has = std::min(after, visit.rounds);
    if (visit.loop < 0 || had == has || visit.round >= has) {
      continue;
    }
    const bool flow = start != GainStart::kIdentity;
    if (!flow && visit.round < had) {
      continue;
    }
    Visit from = visit;
    from.round = flow ? visit.round * had / has : had - 1;
    const double factor = flow ? static_cast<double>(had) / static_cast<double>(has) : 0.0;
    const std::vector<VisitPart> sources = NamesOf(*model, from);
    const std::vector<VisitPart> targets = NamesOf(*model, visit);
    for (size_t i = 0; i < targets.size(); ++i) {
      const at::Tensor& before_it = old[sources[i].name];
      Copy(targets[i].is_gain ? before_it * factor : before_it, model->parameters().Value(targets[i].name));
    }
  }
}

std::vector<double> StandsFor(const v1::CompressConfig& compress, absl::Span<const Combination> combinations,
                              int64_t source_layers) {
  std::vector<double> counts;
  const auto method = compress.method();
  if (method != v1::CompressConfig::STEP && method != v1::CompressConfig::DROP &&
      method != v1::CompressConfig::RDSC) {
    const bool keep_ends = compress.ends() == v1::CompressConfig::KEEP;
    for (const LayerGroup& group : GroupLayers(source_layers, compress.layers(), keep_ends)) {
      counts.push_back(static_cast<double>(group.size()));
    }
    return counts;
  }
  for (size_t p = 0; p < combinations.size(); ++p) {
    const auto lowest = [](const Combination& combination) {
      return std::min_element(combination.begin(), combination.end())->first;
    };
    const int64_t begin = p == 0 ? 0 : lowest(combinations[p]);
    const int64_t end = p + 1 == combinations.size() ? source_layers : lowest(combinations[p + 1]);
    counts.push_back(static_cast<double>(end - begin));
  }
  return counts;
}

}  // namespace cherry::trainer
