// Guesses at what a model will say, cheaper than the model itself: decoding then checks several in one pass
// (Leviathan et al., 2023).
//
// One thread. Torch's exceptions pass through.
#ifndef CHERRY_WORKER_TRAINER_DRAFTS_H_
#define CHERRY_WORKER_TRAINER_DRAFTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/model/transformer.h"

namespace cherry::trainer {

class Drafter {
 public:
  virtual ~Drafter() = default;

  // The model has read `text` but for its last token; `states` [1, n, dim] are its last states of the n
  // tokens that it has read since the last call, taken back ones left out.
  //   -> at most `count` tokens that could follow.
  virtual std::vector<int64_t> Draft(const std::vector<int64_t>& text, const at::Tensor& states,
                                     int64_t count) = 0;
};

// The chain where the model has one; else one round of its loops, for all of them.
//   DRAFTS_UNAVAILABLE for a model with neither.
absl::StatusOr<std::unique_ptr<Drafter>> MakeDrafter(LanguageModel* model);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_DRAFTS_H_
