#include "worker/trainer/reporter.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/log.h"

namespace cherry::trainer {
namespace {

constexpr absl::Duration kLogInterval = absl::Seconds(10);
// Share of the newest step in a smoothed value.
constexpr double kSmoothing = 0.1;

double Smooth(double old_value, double new_value) {
  return old_value == 0.0 ? new_value : old_value + kSmoothing * (new_value - old_value);
}

}  // namespace

void Reporter::Report(const RunState& run, const StepFacts& facts) {
  const double rate = facts.seconds > 0.0 ? static_cast<double>(facts.tokens) / facts.seconds : 0.0;
  tokens_per_second_ = Smooth(tokens_per_second_, rate);
  step_seconds_ = Smooth(step_seconds_, facts.seconds);
  v1::FromTrainer message;
  v1::StepReport* report = message.mutable_step();
  report->set_step(run.step);
  report->set_step_seconds(facts.seconds);
  *report->mutable_phases() = facts.phases;
  report->set_checkpoint_stall_seconds(facts.checkpoint_stall_seconds);
  report->set_supervised_tokens(facts.supervised_tokens);
  if (peak_tokens_per_second_ > 0.0) {
    report->set_model_flops_ratio(rate / peak_tokens_per_second_);
  }
  if (channel_->start().rank() == 0) {
    FillProgress(run, report->mutable_progress());
    FillSamples(run, facts, report);
  }
  channel_->Send(message);
  Log(run, facts);
}

void Reporter::FillProgress(const RunState& run, v1::Progress* progress) const {
  progress->set_step(run.step);
  progress->set_total_steps(total_steps_);
  progress->set_tokens(run.tokens);
  progress->set_target_tokens(run.target_tokens);
  progress->set_supervised_tokens(run.supervised_tokens);
  if (run.loss.has_value()) {
    progress->set_loss(*run.loss);
  }
  if (run.valid_loss.has_value()) {
    progress->set_valid_loss(*run.valid_loss);
  }
  if (run.best_valid_loss.has_value()) {
    progress->set_best_valid_loss(*run.best_valid_loss);
  }
  progress->set_tokens_per_second(tokens_per_second_);
  const double left = static_cast<double>(std::max<int64_t>(0, total_steps_ - run.step)) * step_seconds_;
  progress->mutable_eta()->set_seconds(static_cast<int64_t>(left));
  progress->mutable_update_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
}

void Reporter::FillSamples(const RunState& run, const StepFacts& facts, v1::StepReport* report) const {
  const auto add = [&](const std::string& name, double value) {
    v1::MetricSample* sample = report->add_samples();
    sample->set_name(name);
    sample->set_step(run.step);
    sample->set_value(value);
  };
  if (run.loss.has_value()) {
    add("loss/train", *run.loss);
  }
  if (facts.validated && run.valid_loss.has_value()) {
    add("loss/valid", *run.valid_loss);
  }
  add("gradient_norm", facts.gradient_norm);
  add("learning_rate", facts.learning_rate);
  add("tokens_per_second", facts.seconds > 0.0 ? static_cast<double>(facts.tokens) / facts.seconds : 0.0);
  add("step_seconds", facts.seconds);
  for (const Measure& measure : facts.measures) {
    add(measure.name, measure.value);
  }
  if (report->model_flops_ratio() > 0.0) {
    add("model_flops_ratio", report->model_flops_ratio());
  }
}

void Reporter::Log(const RunState& run, const StepFacts& facts) {
  const absl::Time now = absl::Now();
  const bool due = !last_log_.has_value() || now - *last_log_ >= kLogInterval;
  if (!due && !facts.validated && run.step < total_steps_) {
    return;
  }
  last_log_ = now;
  std::string line = absl::StrFormat("step %d/%d", run.step, total_steps_);
  if (run.loss.has_value()) {
    absl::StrAppendFormat(&line, "  loss %.4f", *run.loss);
  }
  if (facts.validated && run.valid_loss.has_value()) {
    absl::StrAppendFormat(&line, "  valid %.4f", *run.valid_loss);
  }
  absl::StrAppendFormat(&line, "  norm %.3f  lr %.2e  %.0f tok/s", facts.gradient_norm, facts.learning_rate,
                        tokens_per_second_);
  LogInfo(line);
}

}  // namespace cherry::trainer
