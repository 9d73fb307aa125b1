// The parameters of a model before they have a place in memory: what a checkpoint of it holds. Pure,
// thread-safe.
#ifndef CHERRY_COMMON_PARAMETER_LAYOUT_H_
#define CHERRY_COMMON_PARAMETER_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/model_plan.h"

namespace cherry {

struct ParameterSpec {
  std::string name;
  std::vector<int64_t> shape;
  bool decay = true;      // Takes part in weight decay (matrices do, norms do not).
  double init_std = 0.0;  // Normal(0, init_std); 0 means `constant`.
  float constant = 1.0F;
  bool trained = true;  // By gradients.
};

// Of a shape that is no mixture of whole models, in the order of the forward pass, `prefix` before each name.
std::vector<ParameterSpec> TransformerParameters(const ModelShape& shape, const std::string& prefix = "");

}  // namespace cherry

#endif  // CHERRY_COMMON_PARAMETER_LAYOUT_H_
