#include "common/parameter_names.h"

#include "absl/strings/str_cat.h"

namespace cherry {

std::string LayerName(int64_t layer, absl::string_view part) {
  return absl::StrCat("model.layers.", layer, ".", part, ".weight");
}

std::string VisitName(const Visit& visit, absl::string_view part) {
  return visit.loop < 0 ? LayerName(visit.layer, part)
                        : LayerName(visit.layer, absl::StrCat("visits.", visit.round, ".", part));
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

}  // namespace cherry
