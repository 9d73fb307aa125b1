// Draws the next token from a model's logits.
#ifndef CHERRY_WORKER_TRAINER_TOKEN_SAMPLER_H_
#define CHERRY_WORKER_TRAINER_TOKEN_SAMPLER_H_

#include <cstdint>

#include "absl/types/span.h"
#include "cherry/v1/trainer.pb.h"

namespace cherry::trainer {

// Not thread-safe. The same request and logits give the same tokens, on any machine whose logits are the
// same.
class TokenSampler {
 public:
  explicit TokenSampler(const v1::GenerateRequest& request);

  // REQUIRES: at least one logit. Ties go to the smaller token.
  int32_t Next(absl::Span<const float> logits);

 private:
  double Uniform();  // In [0, 1).

  double temperature_;
  int64_t top_k_;
  double top_p_;
  uint64_t state_;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_TOKEN_SAMPLER_H_
