// Experts that are FFNs: each token goes through the k that its router chooses (Shazeer et al., 2017).
//
// Nothing here waits for a device. Thread-safe; Torch's exceptions pass through.
#ifndef CHERRY_WORKER_MODEL_EXPERTS_H_
#define CHERRY_WORKER_MODEL_EXPERTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "worker/model/language_model.h"

namespace cherry::trainer {

// What a router says about n tokens.
struct Choice {
  at::Tensor probabilities;      // fp32 [n, experts]: softmax of the logits, with a graph.
  at::Tensor log_probabilities;  // The same of its logarithm: finite where a probability is too small to be.
  at::Tensor experts;            // int64 [n, k]
  at::Tensor weights;            // fp32 [n, k], with a graph: they sum to 1.
  at::Tensor loads;              // int64 [experts]: how often each was chosen.
};

// The k experts of the highest probability + bias; bias fp32 [experts] is undefined or has no gradient. With
// k >= 2 the weights are their probabilities divided by the sum of these. With k = 1 that would be 1 whatever
// the router says: the weight is 1, and its gradient that of the logarithm of the probability.
Choice Choose(const at::Tensor& logits, const at::Tensor& bias, int64_t k);

struct FfnWeights {
  at::Tensor gate, up;  // [ffn_dim, d]
  at::Tensor down;      // [d, ffn_dim]
};

// x [n, d] -> [n, d]: each row's weighted sum of what its experts make of it. On a CPU every expert computes
// the rows that chose it; elsewhere, where their number is not known to the host, it computes all of them.
at::Tensor RunExperts(const at::Tensor& x, const Choice& choice, const std::vector<FfnWeights>& experts);

// The same with every expert on every row: the oracle.
at::Tensor PlainExperts(const at::Tensor& x, const Choice& choice, const std::vector<FfnWeights>& experts);

// The balancing loss of one router (Fedus et al., 2022): experts * sum over them of their share of the
// choices times their mean probability; 1 where both are even.
at::Tensor BalanceLoss(const Choice& choice);

// How often a router's experts were chosen, and how undecided it was, over forward passes.
class RoutingTally {
 public:
  // On the device: nothing waits.
  void Add(const Choice& choice);
  // Adds to `routing`, and the loads to loads[0..experts-1], then starts anew. Waits for the device.
  void MoveTo(double* loads, Routing* routing);

 private:
  at::Tensor loads_;    // int64 [experts]
  at::Tensor entropy_;  // fp64 scalar, summed over tokens
  int64_t tokens_ = 0;
};

// Loss-free balancing (Wang et al., 2024): the bias of an expert with less than the mean load goes up by
// `rate`, that of one with more goes down. `bias` is a parameter, which no gradient moves.
void MoveBias(const double* loads, double rate, const at::Tensor& bias);

// What the FFN of one expert makes of x [..., d].
at::Tensor RunFfn(const at::Tensor& x, const FfnWeights& ffn);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_MODEL_EXPERTS_H_
