// Live measures of how the gradients of supervised and of other targets pull together (docs/methods.md).
//
// One rank, one thread; all ranks call it in step. Torch's exceptions pass through.
#ifndef CHERRY_WORKER_METHODS_SGT_COUPLING_H_
#define CHERRY_WORKER_METHODS_SGT_COUPLING_H_

#include <ATen/core/Tensor.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/data/batch.h"
#include "worker/model/transformer.h"
#include "worker/parallel/collective.h"

namespace cherry::trainer {

// Of one step. g are gradients of mean losses at the step's start, over the first micro-batch of every rank:
// g_G of the supervised targets, g_o of the others, g_R and g_r of a random split into as many.
struct Coupling {
  double cosine = 0.0;         // gamma: <g_G, g_o> / (|g_G| |g_o|)
  double projection = 0.0;     // <g_G, g_o> / |g_G|^2
  double random_cosine = 0.0;  // <g_R, g_r> / (|g_R| |g_r|): what noise leaves of a cosine at this batch size
  double cross_cosine = 0.0;   // gamma with g_o from an independent micro-batch
  double predicted = 0.0;      // pi: <g_o, update>, the first-order change of the others' mean loss
  double measured = 0.0;       // Its real change
};

// The targets of a micro-batch in two parts; both masks [sequences * length] bool.
struct Split {
  at::Tensor supervised;
  at::Tensor others;
};

struct Collectives {
  Collective* gradients = nullptr;  // On the model's device.
  Collective* control = nullptr;    // Of numbers of the host.
};

class CouplingProbe {
 public:
  // `model` must outlive this object.
  explicit CouplingProbe(Transformer* model) : model_(model) {}

  // Before the update, and before the step's own backward: leaves the model's gradients in disorder.
  // `random`: the mask of as many targets as are supervised.
  absl::Status Before(const Batch& batch, const Split& chosen, const at::Tensor& random,
                      const Batch& independent, const Split& independent_chosen,
                      const Collectives& collectives);
  // After it, on the same batch.
  absl::StatusOr<Coupling> After(const Batch& batch, const Split& chosen, const Collectives& collectives);

 private:
  // Of a part of the targets, over all ranks.
  struct Part {
    at::Tensor gradient;  // Flat, of the mean loss.
    double loss = 0.0;    // The mean loss.
    double targets = 0.0;
  };
  absl::StatusOr<Part> Backward(const Batch& batch, const at::Tensor& hidden, const at::Tensor& mask,
                                const Collectives& collectives);

  Transformer* const model_;
  Coupling coupling_;
  at::Tensor others_;  // g_o
  at::Tensor values_;  // The weights before the update.
  double others_loss_ = 0.0;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_METHODS_SGT_COUPLING_H_
