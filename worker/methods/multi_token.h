// Learning to predict the tokens after the next one too (docs/methods.md, multi_token).
//
// One rank, one thread. Torch's exceptions pass through.
#ifndef CHERRY_WORKER_METHODS_MULTI_TOKEN_H_
#define CHERRY_WORKER_METHODS_MULTI_TOKEN_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cherry/v1/job.pb.h"
#include "worker/data/batch.h"
#include "worker/methods/sgt/selector.h"
#include "worker/model/transformer.h"

namespace cherry::trainer {

// weights[k - 1] is that of depth k, the token k after the next, in the step after `step` of `steps`.
std::vector<double> DepthWeights(const v1::MultiTokenConfig& config, int64_t step, int64_t steps);

// Their part of the objective, differentiable. hidden [b, t, dim] are the model's states of tokens [b, t];
// targets [b, t] are those supervised, kIgnoredTarget elsewhere, `supervised` of them. Depth k is supervised
// at position i where target i + k is. Each depth's mean over its own targets times its weight, as a sum to
// add to that of the next tokens' losses, which the step divides by its supervised targets. `step` has the
// step's totals; where it has none of further tokens (they depend on the model), a depth's mean is taken over
// the micro-batch. Undefined where nothing is supervised or no depth has a weight.
at::Tensor FurtherTokensLoss(const v1::MultiTokenConfig& config, const std::vector<double>& weights,
                             Transformer* model, const at::Tensor& hidden, const at::Tensor& tokens,
                             const at::Tensor& targets, int64_t supervised, const TargetCounts& step);

// How many targets each of `depth` depths has where all counted ones are supervised.
std::vector<double> FurtherTargets(const Batch& batch, int64_t depth);

// How often the chain would have been right, on text [b, t] that is there already: accepted[k - 1] counts the
// positions where the drafts of depths 1 to k are what the model says itself, out of positions[k - 1].
struct Acceptance {
  std::vector<double> accepted;
  std::vector<double> positions;
};
Acceptance ChainAcceptance(Transformer* model, const at::Tensor& hidden, const at::Tensor& tokens,
                           int64_t depth);

// The same of drafts made with one round of the model's loops, where a draft is for the token itself.
Acceptance LoopAcceptance(Transformer* model, const at::Tensor& hidden, const at::Tensor& tokens,
                          int64_t depth);

// "draft_acceptance/1", ... for a chain; none otherwise.
std::vector<std::string> AcceptanceNames(const v1::MultiTokenConfig& config);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_METHODS_MULTI_TOKEN_H_
