// A decoder-only transformer of the Llama family, numerically Hugging Face's LlamaForCausalLM (with
// `qk_norm`, Qwen3's per-head norms of query and key before RoPE; with biases of queries, keys and values,
// Qwen2).
//
// One object per rank, not thread-safe. Torch's exceptions (out of memory, a wrong shape) pass through: the
// trainer stops them in one place.
#ifndef CHERRY_WORKER_MODEL_TRANSFORMER_H_
#define CHERRY_WORKER_MODEL_TRANSFORMER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "common/model_plan.h"
#include "worker/kernels/attention.h"
#include "worker/model/experts.h"
#include "worker/model/language_model.h"
#include "worker/model/parameters.h"

namespace cherry::trainer {

class Transformer final : public LanguageModel {
 public:
  using Options = ModelOptions;

  // REQUIRES: a shape from ResolveModel that is no mixture of whole models. Weights from `seed` (see
  // Parameters).
  Transformer(const ModelShape& shape, const Options& options, uint64_t seed);

  // One whose weights are among those of a larger model: `prefix` stands before their names there.
  Transformer(const ModelShape& shape, const Options& options, std::shared_ptr<Parameters> parameters,
              const std::string& prefix);

  const ModelShape& shape() const override { return shape_; }
  const Options& options() const { return options_; }
  Parameters& parameters() override { return *parameters_; }
  const Parameters& parameters() const { return *parameters_; }

  // tokens [b, t] int64 on the model's device -> states after the last norm [b, t, dim].
  at::Tensor Hidden(const at::Tensor& tokens);
  // The same, and in `states` the input of the first visit and the output of every one, [b, t, dim] each.
  at::Tensor Hidden(const at::Tensor& tokens, std::vector<at::Tensor>* states);

  // Loops run only so many rounds from now on: they grow in stages. At least 1; more than they have means
  // all.
  void LimitRounds(int64_t rounds) { most_rounds_ = rounds; }

  // The head's weights [vocab, dim] in the compute type.
  at::Tensor HeadWeight() const { return Weight(head_); }

  // hidden [..., dim] -> fp32 logits [..., vocab].
  at::Tensor Logits(const at::Tensor& hidden);

  LossSum Loss(const at::Tensor& tokens, const at::Tensor& targets) override;
  at::Tensor RowLosses(const at::Tensor& tokens, const at::Tensor& targets) override;
  at::Tensor Decode(const at::Tensor& ids, int64_t rows, KvCache* cache) override;

  // As Decode, but the states of all of ids, [1, t, dim], after the last norm.
  at::Tensor DecodeStates(const at::Tensor& ids, KvCache* cache);

  // The chain (DeepSeek-V3's multi-token module, applied again for each depth): states [b, t, dim] of the
  // depth before, 0 being Hidden's, and the tokens [b, t] that they predict -> the states that predict the
  // tokens after those, through the same head. REQUIRES: shape().token_chain.
  at::Tensor Chain(const at::Tensor& states, const at::Tensor& next_tokens);

  // The same for positions cache->length and on of one sequence, without a graph; each depth has its own
  // cache.
  at::Tensor DecodeChain(const at::Tensor& states, const at::Tensor& next_tokens, KvCache* cache);

  at::Tensor balance_loss() const override { return balance_loss_; }
  // What the FFNs of the last Hidden read, [b * t, dim] for each visit, kept while this is on: a router would
  // read the same.
  void KeepFfnInputs(bool keep) { keep_ffn_inputs_ = keep; }
  const std::vector<at::Tensor>& ffn_inputs() const { return ffn_inputs_; }

  Routing TakeRouting() override;
  void Settle(const Routing& routing) override;

 private:
  // One visit of a layer: indices into parameters().list(); -1 where it has no such parameter. Visits of one
  // layer share its matrices.
  struct Matrix {
    int64_t weight = -1;
    int64_t lora_a = -1, lora_b = -1;  // What the visit adds to it.
    int64_t bias = -1;
  };
  struct Ffn {
    Matrix gate, up, down;
  };
  struct Layer {
    int64_t input_norm;
    Matrix q, k, v;
    int64_t q_norm, k_norm;
    Matrix o;
    int64_t post_norm;
    std::vector<Ffn> ffns = {};  // One, or the experts.
    int64_t router = -1, router_bias = -1;
    int64_t number = 0;  // Among the visits.
    int64_t round = 0;
    int64_t attention_gain = -1, ffn_gain = -1;
    bool begins_loop = false;
    int64_t round_gain = -1, round_vector = -1, injection = -1;  // Where a round begins.
  };
  struct Heads {
    at::Tensor q, k, v;
  };

  void FindLayers(const std::string& prefix);
  Layer FindChain() const;

  at::Tensor Weight(int64_t index) const;  // In the compute type.
  at::Tensor Norm(const at::Tensor& x, int64_t index) const;
  // x [..., in] -> [..., out]: W x + b, and B A x where there is more of it.
  at::Tensor Apply(const Matrix& matrix, const at::Tensor& x) const;
  // x, at the beginning of a round plus its gain times its vector and the injected state before the loop;
  // `before` keeps that state.
  at::Tensor EnterRound(const Layer& layer, const at::Tensor& x, at::Tensor* before) const;
  at::Tensor Scaled(const at::Tensor& branch, int64_t gain) const;
  at::Tensor RunLayer(const Layer& layer, const at::Tensor& x, const Rope& rope);
  // Queries, keys and values [b, t, heads, head_dim] of a layer, before RoPE.
  Heads Project(const Layer& layer, const at::Tensor& x) const;
  // Attention's output projection, both residuals, and the feed-forward half.
  at::Tensor Finish(const Layer& layer, const at::Tensor& x, const at::Tensor& attention);
  at::Tensor FeedForward(const Layer& layer, const at::Tensor& input);
  at::Tensor Expert(const Layer& layer, const at::Tensor& input);
  void Note(const Layer& layer, const Choice& choice);
  FfnWeights WeightsOf(const Ffn& ffn) const;
  // A layer over positions cache->length and on, whose keys and values are `place` of the cache.
  at::Tensor DecodeLayer(const Layer& layer, const at::Tensor& x, const Rope& rope, size_t place,
                         KvCache* cache);
  at::Tensor ChainInput(const at::Tensor& states, const at::Tensor& next_tokens) const;
  Rope RopeAt(int64_t begin, int64_t count);
  void GrowCache(int64_t positions, size_t places, KvCache* cache) const;

  ModelShape shape_;
  Options options_;
  const std::shared_ptr<Parameters> parameters_;
  std::vector<Layer> layers_;  // In the order of their visits.
  int64_t most_rounds_ = std::numeric_limits<int64_t>::max();
  int64_t embedding_ = 0, final_norm_ = 0, head_ = 0;
  Layer chain_ = {};
  int64_t chain_state_norm_ = -1, chain_token_norm_ = -1, chain_join_ = -1, chain_norm_ = -1;
  Rope rope_;  // Of as many positions as were needed so far.

  // Notes of forward passes.
  std::vector<RoutingTally> tallies_;  // Of each visit.
  at::Tensor balance_loss_;
  std::vector<at::Tensor> ffn_inputs_;
  bool keep_ffn_inputs_ = false;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_MODEL_TRANSFORMER_H_
