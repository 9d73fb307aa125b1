// What training, measuring and generating need of a model, whatever it is made of.
//
// One object per rank, not thread-safe. Torch's exceptions (out of memory, a wrong shape) pass through: the
// trainer stops them in one place.
#ifndef CHERRY_WORKER_MODEL_LANGUAGE_MODEL_H_
#define CHERRY_WORKER_MODEL_LANGUAGE_MODEL_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "cherry/v1/job.pb.h"
#include "common/model_plan.h"
#include "worker/model/parameters.h"

namespace cherry::trainer {

// Keys and values of the tokens decoded so far; one per sequence being generated. Less of it counts, and the
// rest is written anew, once `length` is lowered.
struct KvCache {
  std::vector<at::Tensor> keys;    // Per visit of a layer [1, capacity, kv_heads, head_dim], after RoPE.
  std::vector<at::Tensor> values;  // Per visit [1, capacity, kv_heads, head_dim].
  std::vector<KvCache> models;     // Of a mixture of whole models, instead.
  int64_t length = 0;              // Positions in use.
};

// A differentiable loss.
struct LossSum {
  at::Tensor sum;    // fp32 scalar: cross-entropy in nats summed over the counted targets.
  at::Tensor count;  // int64 scalar on the device of the targets: how many were counted.
};

// How a model computes.
struct ModelOptions {
  at::Device device = at::Device(at::kCPU);
  // Type of products and activations; masters, norms, softmax and loss are fp32. bf16 is meant for cuda.
  at::ScalarType compute = at::kFloat;
  // Keep only each layer's input and run the layer again in backward. Changes no bit of any result.
  bool recompute_layers = false;
  // Never trained: no gradients, and weights only once they are loaded.
  bool frozen = false;
};

// How experts were used, summed over a step's micro-batches and all ranks.
struct Routing {
  std::vector<double> loads;  // [routers * experts]: choices of each
  double entropy = 0.0;       // Of the routers' probabilities in nats, summed over choices' tokens.
  double tokens = 0.0;        // Summed over routers.

  std::vector<double> Pack() const;
  static Routing Unpack(const std::vector<double>& packed);
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  virtual const ModelShape& shape() const = 0;
  virtual Parameters& parameters() = 0;

  // The loss of predicting targets[i, j] from tokens[i, 0..j]; both [b, t] int64. A target of -100 is not
  // counted. Run backward on `sum` as it is and give AdamW the factor 1 / count of the whole step.
  virtual LossSum Loss(const at::Tensor& tokens, const at::Tensor& targets) = 0;

  // fp32 [b * t]: the loss of every target, 0 where it is not counted. Records no gradient.
  virtual at::Tensor RowLosses(const at::Tensor& tokens, const at::Tensor& targets) = 0;

  // Feeds ids [1, t] (the prompt, then what follows) and returns fp32 logits [rows, vocab] of the last `rows`
  // positions: those of a full forward. Records no gradient. A new KvCache starts a new sequence.
  virtual at::Tensor Decode(const at::Tensor& ids, int64_t rows, KvCache* cache) = 0;

  // The switch loss of the last forward pass with a graph, summed over routers; undefined unless that is the
  // balance.
  virtual at::Tensor balance_loss() const { return {}; }

  // How this rank's forward passes with a graph have used the experts since the last call; no loads where
  // there are none. Waits for the device.
  virtual Routing TakeRouting() { return {}; }

  // After an update, with the routing of all ranks: moves the biases of loss-free balancing.
  virtual void Settle(const Routing&) {}
};

// The model of a shape, with weights from `seed` (see Parameters). REQUIRES: a shape from ResolveModel.
std::unique_ptr<LanguageModel> MakeLanguageModel(const ModelShape& shape, const ModelOptions& options,
                                                 uint64_t seed);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_MODEL_LANGUAGE_MODEL_H_
