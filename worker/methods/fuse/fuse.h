// Builds a mixture of trained models (docs/methods.md, fuse).
//
// One rank, one thread. Torch's exceptions pass through.
#ifndef CHERRY_WORKER_METHODS_FUSE_FUSE_H_
#define CHERRY_WORKER_METHODS_FUSE_FUSE_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/types/span.h"
#include "worker/model/token_mixture.h"
#include "worker/model/transformer.h"

namespace cherry::trainer {

// Experts that are FFNs: target's are those of the experts, all else that they have is averaged; where target
// is no mixture all of it is, the chain too if all experts have one. Routers, their biases and a mixture's
// chain stay as they are.
void FuseFfns(absl::Span<Transformer* const> experts, Transformer* target);

// Experts that are whole models: a copy of each.
void FuseModels(absl::Span<Transformer* const> experts, TokenMixture* target);

// Routers whose row for expert i is the mean of what the routers read of tokens[i] [b, t] (several of them),
// at unit length: of the expert's own states for FFNs, of the mixture's for whole models.
void CentreRouters(absl::Span<Transformer* const> experts, const std::vector<std::vector<at::Tensor>>& tokens,
                   Transformer* target);
void CentreGate(const std::vector<std::vector<at::Tensor>>& tokens, TokenMixture* target);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_METHODS_FUSE_FUSE_H_
