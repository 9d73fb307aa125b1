// A decoder-only transformer of the Llama family, numerically Hugging Face's LlamaForCausalLM (with
// `qk_norm`, Qwen3's per-head norms of query and key before RoPE).
//
// One object per rank, not thread-safe. Torch's exceptions (out of memory, a wrong shape) pass through: the
// trainer stops them in one place.
#ifndef CHERRY_WORKER_MODEL_TRANSFORMER_H_
#define CHERRY_WORKER_MODEL_TRANSFORMER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "common/model_plan.h"
#include "worker/kernels/attention.h"
#include "worker/model/parameters.h"

namespace cherry::trainer {

// Keys and values of the tokens decoded so far; one per sequence being generated.
struct KvCache {
  std::vector<at::Tensor> keys;    // Per visit of a layer [1, capacity, kv_heads, head_dim], after RoPE.
  std::vector<at::Tensor> values;  // Per visit [1, capacity, kv_heads, head_dim].
  int64_t length = 0;              // Positions in use.
};

// A differentiable loss.
struct LossSum {
  at::Tensor sum;    // fp32 scalar: cross-entropy in nats summed over the counted targets.
  at::Tensor count;  // int64 scalar on the device of the targets: how many were counted.
};

class Transformer {
 public:
  struct Options {
    at::Device device = at::Device(at::kCPU);
    // Type of products and activations; masters, norms, softmax and loss are fp32. bf16 is meant for cuda.
    at::ScalarType compute = at::kFloat;
    // Keep only each layer's input and run the layer again in backward. Changes no bit of any result.
    bool recompute_layers = false;
    // Never trained: no gradients, and weights only once they are loaded.
    bool frozen = false;
  };

  // REQUIRES: a shape from ResolveModel. Weights from `seed` (see Parameters).
  Transformer(const ModelShape& shape, const Options& options, uint64_t seed);

  const ModelShape& shape() const { return shape_; }
  const Options& options() const { return options_; }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }

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

  // The loss of predicting targets[i, j] from tokens[i, 0..j]; both [b, t] int64. A target of -100 is not
  // counted. Run backward on `sum` as it is and give AdamW the factor 1 / count of the whole step.
  LossSum Loss(const at::Tensor& tokens, const at::Tensor& targets);

  // Feeds ids [1, t] (the prompt, then one token at a time) and returns fp32 logits [vocab] of the last
  // position: those of a full forward. Records no gradient. A new KvCache starts a new sequence.
  at::Tensor Decode(const at::Tensor& ids, KvCache* cache);

 private:
  // One visit of a layer: indices into parameters().list(); -1 where it has no such parameter. Visits of one
  // layer share its matrices.
  struct Layer {
    int64_t input_norm, q, k, v, q_norm, k_norm, o, post_norm, gate, up, down;
    int64_t round = 0;
    int64_t attention_gain = -1, ffn_gain = -1;
    bool begins_loop = false;
    int64_t round_gain = -1, round_vector = -1, injection = -1;  // Where a round begins.
  };
  struct Heads {
    at::Tensor q, k, v;
  };

  at::Tensor Weight(int64_t index) const;  // In the compute type.
  at::Tensor Norm(const at::Tensor& x, int64_t index) const;
  // x, at the beginning of a round plus its gain times its vector and the injected state before the loop;
  // `before` keeps that state.
  at::Tensor EnterRound(const Layer& layer, const at::Tensor& x, at::Tensor* before) const;
  at::Tensor Scaled(const at::Tensor& branch, int64_t gain) const;
  at::Tensor RunLayer(const Layer& layer, const at::Tensor& x, const Rope& rope) const;
  // Queries, keys and values [b, t, heads, head_dim] of a layer, before RoPE.
  Heads Project(const Layer& layer, const at::Tensor& x) const;
  // Attention's output projection, both residuals, and the feed-forward half.
  at::Tensor Finish(const Layer& layer, const at::Tensor& x, const at::Tensor& attention) const;
  Rope RopeAt(int64_t begin, int64_t count);
  void GrowCache(int64_t positions, KvCache* cache) const;

  ModelShape shape_;
  Options options_;
  Parameters parameters_;
  std::vector<Layer> layers_;  // In the order of their visits.
  int64_t most_rounds_ = std::numeric_limits<int64_t>::max();
  int64_t embedding_ = 0, final_norm_ = 0, head_ = 0;
  Rope rope_;  // Of as many positions as were needed so far.
};

// The parameters of a shape in the order of Parameters::list().
std::vector<ParameterSpec> TransformerParameters(const ModelShape& shape);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_MODEL_TRANSFORMER_H_
