#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "common/parameter_names.h"
#include "worker/methods/fuse/fuse.h"

namespace cherry::trainer {
namespace {

ModelShape Shape(bool chain) {
  return {
      .layers = 1, .dim = 16, .heads = 2, .kv_heads = 2, .ffn_dim = 24, .vocab = 40, .token_chain = chain};
}

// Of every parameter: whether it is the mean of the experts', or still what it was.
void ExpectAveraged(const Transformer& before, absl::Span<Transformer* const> experts,
                    const Transformer& target, bool chain) {
  for (const NamedParameter& parameter : target.parameters().list()) {
    at::Tensor expected = before.parameters().Value(parameter.name);
    if (!IsChainName(parameter.name) || chain) {
      expected = at::zeros_like(expected);
      for (const Transformer* expert : experts) {
        expected += expert->parameters().Value(parameter.name) / static_cast<double>(experts.size());
      }
    }
    EXPECT_LT((parameter.tensor - expected).abs().max().item<double>(), 1e-7) << parameter.name;
  }
}

TEST(SoupTest, AveragesEverythingAndAChainWhereAllHaveOne) {
  const at::NoGradGuard no_gradient;
  Transformer first(Shape(true), {}, 1), second(Shape(true), {}, 2), without(Shape(false), {}, 3);
  const Transformer before(Shape(true), {}, 4);
  for (const bool all : {true, false}) {
    SCOPED_TRACE(all);
    Transformer target(Shape(true), {}, 4);
    const std::vector<Transformer*> experts = {&first, all ? &second : &without};
    FuseFfns(experts, &target);
    ExpectAveraged(before, experts, target, all);
  }
}

TEST(SoupTest, AMixturesChainIsItsOwn) {
  Transformer first(Shape(true), {}, 1), second(Shape(true), {}, 2);
  ModelShape shape = Shape(true);
  shape.experts = 2;
  shape.top_k = 2;
  const Transformer before(shape, {}, 4);
  Transformer target(shape, {}, 4);
  FuseFfns(std::vector<Transformer*>{&first, &second}, &target);
  const std::string name = ChainName("join");
  EXPECT_TRUE(at::equal(target.parameters().Value(name), before.parameters().Value(name)));
}

}  // namespace
}  // namespace cherry::trainer
