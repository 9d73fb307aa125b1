#include "worker/trainer/state_copy.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace cherry::trainer {
namespace {

// A tensor over memory that it does not own.
at::Tensor View(const std::vector<float>& buffer) {
  return at::from_blob(const_cast<float*>(buffer.data()), {static_cast<int64_t>(buffer.size())},
                       at::TensorOptions().dtype(at::kFloat));
}

}  // namespace

HostState MakeHostState(const Parameters& parameters, bool moments) {
  HostState state;
  for (const NamedParameter& parameter : parameters.list()) {
    TensorPlace place;
    place.name = parameter.name;
    place.shape = parameter.tensor.sizes().vec();
    place.offset = parameter.offset;
    place.elements = parameter.tensor.numel();
    state.places.push_back(std::move(place));
  }
  const size_t size = static_cast<size_t>(parameters.values().numel());
  state.values.resize(size);
  const at::NoGradGuard no_gradient;
  View(state.values).copy_(parameters.values());
  if (moments) {
    state.exp_avg.resize(size);
    state.exp_avg_sq.resize(size);
  }
  return state;
}

void CopyToHost(const Parameters& parameters, const AdamW& optimizer, HostState* state) {
  const at::NoGradGuard no_gradient;
  View(state->values).copy_(parameters.values());
  View(state->exp_avg).copy_(optimizer.exp_avg());
  View(state->exp_avg_sq).copy_(optimizer.exp_avg_sq());
}

void CopyFromHost(const HostState& state, Parameters* parameters, AdamW* optimizer) {
  const at::NoGradGuard no_gradient;
  parameters->values().copy_(View(state.values));
  if (optimizer != nullptr) {
    optimizer->exp_avg().copy_(View(state.exp_avg));
    optimizer->exp_avg_sq().copy_(View(state.exp_avg_sq));
  }
}

absl::Status BroadcastWeights(Parameters* parameters, Collective* collective) {
  if (collective->world_size() == 1) {
    return absl::OkStatus();
  }
  const at::NoGradGuard no_gradient;
  const at::Tensor& values = parameters->values();
  const at::Tensor host = values.to(at::kCPU);
  absl::Status sent = collective->Broadcast(
      absl::MakeSpan(static_cast<char*>(host.mutable_data_ptr()), static_cast<size_t>(host.nbytes())),
      /*root=*/0);
  if (sent.ok() && !values.is_cpu()) {
    values.copy_(host);
  }
  return sent;
}

}  // namespace cherry::trainer
