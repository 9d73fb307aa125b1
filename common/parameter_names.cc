#include "common/parameter_names.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace cherry {
namespace {

constexpr char kChainPrefix[] = "model.token_chain.";

}  // namespace

std::string LayerName(int64_t layer, absl::string_view part) {
  return absl::StrCat("model.layers.", layer, ".", part, ".weight");
}

std::string BiasName(int64_t layer, absl::string_view part) {
  return absl::StrCat("model.layers.", layer, ".", part, ".bias");
}

std::string VisitName(const Visit& visit, absl::string_view part) {
  return visit.loop < 0 ? LayerName(visit.layer, part)
                        : LayerName(visit.layer, absl::StrCat("visits.", visit.round, ".", part));
}

std::string LoraAName(const Visit& visit, absl::string_view part) {
  return VisitName(visit, absl::StrCat(part, ".lora_a"));
}

std::string LoraBName(const Visit& visit, absl::string_view part) {
  return VisitName(visit, absl::StrCat(part, ".lora_b"));
}

std::string InjectionName(const Visit& visit) {
  return absl::StrCat("model.loops.", visit.loop, ".injection.weight");
}

std::string RoundVectorName(const Visit& visit) {
  return absl::StrCat("model.loops.", visit.loop, ".rounds.", visit.round, ".weight");
}

std::string RoundGainName(const Visit& visit) {
  return absl::StrCat("model.loops.", visit.loop, ".rounds.", visit.round, ".gain.weight");
}

std::string ExpertName(int64_t layer, int64_t expert, absl::string_view part) {
  return LayerName(layer, absl::StrCat("mlp.experts.", expert, ".", part));
}

std::string RouterName(const Visit& visit) { return VisitName(visit, "mlp.gate"); }

std::string RouterBiasName(const Visit& visit) { return VisitName(visit, "mlp.gate.load_bias"); }

std::string ChainName(absl::string_view part) { return absl::StrCat(kChainPrefix, part, ".weight"); }

std::string ChainBiasName(absl::string_view part) { return absl::StrCat(kChainPrefix, part, ".bias"); }

bool IsChainName(absl::string_view name) { return absl::StartsWith(name, kChainPrefix); }

std::string ModelPrefix(int64_t expert) { return absl::StrCat("experts.", expert, "."); }

}  // namespace cherry
