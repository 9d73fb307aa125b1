// Whole models mixed by token: p(x_t | x_<t) = sum_i pi_i(x_<t) p_i(x_t | x_<t), where the gate pi is the
// softmax of a linear map of the mean of the models' last states.
//
// Training mixes all of them, -log sum_i pi_i p_i, so that the gate learns from each; measuring and
// generating use the top_k that it rates highest, reweighted to sum to 1.
#ifndef CHERRY_WORKER_MODEL_TOKEN_MIXTURE_H_
#define CHERRY_WORKER_MODEL_TOKEN_MIXTURE_H_

#include <memory>
#include <vector>

#include "worker/model/language_model.h"
#include "worker/model/transformer.h"

namespace cherry::trainer {

class TokenMixture final : public LanguageModel {
 public:
  // REQUIRES: shape.routes_tokens().
  TokenMixture(const ModelShape& shape, const ModelOptions& options, uint64_t seed);

  const ModelShape& shape() const override { return shape_; }
  Parameters& parameters() override { return *parameters_; }
  const std::vector<std::unique_ptr<Transformer>>& models() const { return models_; }

  LossSum Loss(const at::Tensor& tokens, const at::Tensor& targets) override;
  at::Tensor RowLosses(const at::Tensor& tokens, const at::Tensor& targets) override;
  // The logits are logarithms of the mixture's probabilities.
  at::Tensor Decode(const at::Tensor& ids, int64_t rows, KvCache* cache) override;

  at::Tensor balance_loss() const override { return balance_loss_; }
  Routing TakeRouting() override;
  void Settle(const Routing& routing) override;

  // What the gate reads: the mean of the models' last states, [b * t, dim].
  at::Tensor GateInput(const at::Tensor& tokens);

 private:
  // states [n, dim] of every model -> the gate's choice among them.
  Choice Gate(const std::vector<at::Tensor>& states);

  ModelShape shape_;
  ModelOptions options_;
  const std::shared_ptr<Parameters> parameters_;
  std::vector<std::unique_ptr<Transformer>> models_;
  int64_t gate_ = 0, bias_ = 0;
  RoutingTally tally_;
  at::Tensor balance_loss_;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_MODEL_TOKEN_MIXTURE_H_
