#include "worker/model/language_model.h"

#include "worker/model/token_mixture.h"
#include "worker/model/transformer.h"

namespace cherry::trainer {

std::vector<double> Routing::Pack() const {
  std::vector<double> packed = loads;
  packed.insert(packed.end(), {entropy, tokens});
  return packed;
}

Routing Routing::Unpack(const std::vector<double>& packed) {
  Routing routing;
  routing.loads.assign(packed.begin(), packed.end() - 2);
  routing.entropy = packed[packed.size() - 2];
  routing.tokens = packed.back();
  return routing;
}

std::unique_ptr<LanguageModel> MakeLanguageModel(const ModelShape& shape, const ModelOptions& options,
                                                 uint64_t seed) {
  if (shape.routes_tokens()) {
    return std::make_unique<TokenMixture>(shape, options, seed);
  }
  return std::make_unique<Transformer>(shape, options, seed);
}

}  // namespace cherry::trainer
