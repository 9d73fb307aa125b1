#include "worker/optim/adamw.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "worker/kernels/adamw_kernel.h"

namespace cherry::trainer {
namespace {

double GlobalNorm(const at::Tensor& gradients) {
  if (gradients.is_cpu()) {
    return std::sqrt(SquaredSum(gradients.const_data_ptr<float>(), gradients.numel()));
  }
  return at::linalg_vector_norm(gradients).item<double>();
}

// The same arithmetic as ApplyAdamW, for devices other than the CPU.
void ApplyWithOperators(const AdamWStep& step, const at::Tensor& gradients, at::Tensor values,
                        at::Tensor exp_avg, at::Tensor exp_avg_sq) {
  const at::Tensor gradient = gradients * step.gradient_scale;
  exp_avg.lerp_(gradient, step.one_minus_beta1);
  exp_avg_sq.mul_(step.beta2).addcmul_(gradient, gradient, step.one_minus_beta2);
  values.mul_(step.keep).addcdiv_(exp_avg, exp_avg_sq.sqrt().div_(step.root_correction).add_(step.eps),
                                  -step.rate);
}

}  // namespace

AdamW::AdamW(Parameters* parameters, const AdamWOptions& options)
    : parameters_(parameters),
      options_(options),
      exp_avg_(at::zeros_like(parameters->values())),
      exp_avg_sq_(at::zeros_like(parameters->values())) {
  // The padding after a parameter belongs to its segment: all zero, it stays zero.
  for (const NamedParameter& parameter : parameters->list()) {
    if (segments_.empty() || segments_.back().decay != parameter.decay) {
      segments_.push_back({parameter.offset, parameter.offset, parameter.decay});
      if (segments_.size() > 1) {
        segments_[segments_.size() - 2].end = parameter.offset;
      }
    }
  }
  if (!segments_.empty()) {
    segments_.back().end = parameters->values().numel();
  }
}

double AdamW::Step(double learning_rate, double gradient_scale) {
  const at::NoGradGuard no_gradient;
  const double norm = GlobalNorm(parameters_->gradients()) * gradient_scale;
  if (!std::isfinite(norm)) {
    return norm;
  }
  ++step_;
  double clip = 1.0;
  if (options_.max_grad_norm > 0.0) {
    clip = std::min(1.0, options_.max_grad_norm / (norm + 1e-6));
  }
  const double correction1 = 1.0 - std::pow(options_.beta1, static_cast<double>(step_));
  const double correction2 = 1.0 - std::pow(options_.beta2, static_cast<double>(step_));
  AdamWStep step;
  step.gradient_scale = static_cast<float>(gradient_scale * clip);
  step.rate = static_cast<float>(learning_rate / correction1);
  step.root_correction = static_cast<float>(std::sqrt(correction2));
  step.beta2 = static_cast<float>(options_.beta2);
  step.one_minus_beta1 = static_cast<float>(1.0 - options_.beta1);
  step.one_minus_beta2 = static_cast<float>(1.0 - options_.beta2);
  step.eps = static_cast<float>(options_.eps);
  for (const Segment& segment : segments_) {
    step.keep = segment.decay ? static_cast<float>(1.0 - learning_rate * options_.weight_decay) : 1.0F;
    Apply(step, segment);
  }
  return norm;
}

void AdamW::Apply(const AdamWStep& step, const Segment& segment) {
  const int64_t count = segment.end - segment.begin;
  const auto part = [&](const at::Tensor& buffer) { return buffer.narrow(0, segment.begin, count); };
  if (!parameters_->values().is_cpu()) {
    ApplyWithOperators(step, part(parameters_->gradients()), part(parameters_->values()), part(exp_avg_),
                       part(exp_avg_sq_));
    return;
  }
  const auto data = [&](const at::Tensor& buffer) { return buffer.data_ptr<float>() + segment.begin; };
  ApplyAdamW(step, count, data(parameters_->gradients()), data(parameters_->values()), data(exp_avg_),
             data(exp_avg_sq_));
}

}  // namespace cherry::trainer
