#include "worker/optim/adamw.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

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
  if (parameters_->values().is_cpu()) {
    StepOnCpu(learning_rate, gradient_scale * clip);
  } else {
    StepOnGpu(learning_rate, gradient_scale * clip);
  }
  return norm;
}

void AdamW::StepOnCpu(double learning_rate, double gradient_scale) {
  const double correction1 = 1.0 - std::pow(options_.beta1, static_cast<double>(step_));
  const double correction2 = 1.0 - std::pow(options_.beta2, static_cast<double>(step_));
  AdamWStep step;
  step.gradient_scale = static_cast<float>(gradient_scale);
  step.rate = static_cast<float>(learning_rate / correction1);
  step.root_correction = static_cast<float>(std::sqrt(correction2));
  step.beta2 = static_cast<float>(options_.beta2);
  step.one_minus_beta1 = static_cast<float>(1.0 - options_.beta1);
  step.one_minus_beta2 = static_cast<float>(1.0 - options_.beta2);
  step.eps = static_cast<float>(options_.eps);
  for (const Segment& segment : segments_) {
    step.keep = segment.decay ? static_cast<float>(1.0 - learning_rate * options_.weight_decay) : 1.0F;
    const auto data = [&](const at::Tensor& buffer) { return buffer.data_ptr<float>() + segment.begin; };
    ApplyAdamW(step, segment.end - segment.begin, data(parameters_->gradients()), data(parameters_->values()),
               data(exp_avg_), data(exp_avg_sq_));
  }
}

void AdamW::StepOnGpu(double learning_rate, double gradient_scale) {
  const auto scalar = [&](double value) { return at::full({}, value, exp_avg_.options()); };
  const at::Tensor step = scalar(static_cast<double>(step_));
  const at::Tensor divisor = scalar(1.0 / gradient_scale);
  const at::Tensor nothing_infinite = scalar(0.0);
  for (const bool decay : {true, false}) {
    std::vector<at::Tensor> values, gradients, exp_avgs, exp_avg_sqs, steps;
    for (const Segment& segment : segments_) {
      if (segment.decay == decay) {
        const auto part = [&](const at::Tensor& buffer) {
          return buffer.slice(0, segment.begin, segment.end);
        };
        values.push_back(part(parameters_->values()));
        gradients.push_back(part(parameters_->gradients()));
        exp_avgs.push_back(part(exp_avg_));
        exp_avg_sqs.push_back(part(exp_avg_sq_));
        steps.push_back(step);
      }
    }
    at::_fused_adamw_(values, gradients, exp_avgs, exp_avg_sqs, /*max_exp_avg_sqs=*/{}, steps, learning_rate,
                      options_.beta1, options_.beta2, decay ? options_.weight_decay : 0.0, options_.eps,
                      /*amsgrad=*/false, /*maximize=*/false, divisor, nothing_infinite);
  }
}

}  // namespace cherry::trainer
