// AdamW (Loshchilov and Hutter, 2019) with clipping by the global norm, over flat buffers.
//
// The arithmetic is that of torch.optim.AdamW after torch.nn.utils.clip_grad_norm_. On a CPU the result does
// not depend on the number of threads. Not thread-safe.
#ifndef CHERRY_WORKER_OPTIM_ADAMW_H_
#define CHERRY_WORKER_OPTIM_ADAMW_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "worker/model/parameters.h"

namespace cherry::trainer {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;   // Only of parameters with `decay`.
  double max_grad_norm = 1.0;  // 0: never clip.
};

class AdamW {
 public:
  // `parameters` must outlive this object. Moments start at 0.
  AdamW(Parameters* parameters, const AdamWOptions& options);

  // One update with gradients() * gradient_scale (1 / number of targets, when losses are sums). Returns the
  // global norm of the scaled gradient before clipping. When that is not finite, nothing has been changed.
  // The gradients may be scaled in place.
  double Step(double learning_rate, double gradient_scale);

  // Flat fp32, the layout of Parameters::values(). A checkpoint saves and restores them in place.
  const at::Tensor& exp_avg() const { return exp_avg_; }
  const at::Tensor& exp_avg_sq() const { return exp_avg_sq_; }

  // Updates made so far, for bias correction.
  int64_t step() const { return step_; }
  void set_step(int64_t step) { step_ = step; }

 private:
  // A run of neighbouring parameters that decay, or do not, alike.
  struct Segment {
    int64_t begin = 0;
    int64_t end = 0;
    bool decay = true;
  };

  void StepOnCpu(double learning_rate, double gradient_scale);
  void StepOnGpu(double learning_rate, double gradient_scale);

  Parameters* parameters_;
  AdamWOptions options_;
  std::vector<Segment> segments_;
  at::Tensor exp_avg_;
  at::Tensor exp_avg_sq_;
  int64_t step_ = 0;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_OPTIM_ADAMW_H_
