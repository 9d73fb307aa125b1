// The weights of a model: named views of one flat buffer, and their gradients in a second one of the same
// layout.
//
// The order is that of the forward pass, so gradients become complete from the end of the buffer to its
// beginning, and a bucket is a contiguous range. Not thread-safe: one rank, one thread (the gradient hook is
// called from the thread that runs backward, which on a CPU is the caller's).
#ifndef CHERRY_WORKER_MODEL_PARAMETERS_H_
#define CHERRY_WORKER_MODEL_PARAMETERS_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/parameter_layout.h"

namespace cherry::trainer {

struct NamedParameter {
  std::string name;     // As Hugging Face names it.
  at::Tensor tensor;    // fp32 leaf that requires a gradient; a view of Parameters::values().
  bool decay = true;    // Takes part in weight decay.
  int64_t offset = 0;   // First element in values() and gradients(); a multiple of 16 (64 bytes).
  bool trained = true;  // By gradients: else backward never reaches it, and its gradient is 0.
};

class Parameters {
 public:
  // Allocates both buffers on `device` and initialises: the same seed gives the same bytes on any device and
  // any number of threads, and a parameter's values depend only on the seed, its name and its shape. A
  // `frozen` model has no gradients, and zeros until it is given values.
  Parameters(const std::vector<ParameterSpec>& specs, at::Device device, uint64_t seed, bool frozen = false);

  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  const std::vector<NamedParameter>& list() const { return list_; }
  // Index in list(), or -1.
  int64_t Find(absl::string_view name) const;
  // The values of the parameter of that name, to read or to write without a graph. Throws where there is
  // none.
  at::Tensor Value(absl::string_view name) const;

  // Flat fp32 [size]; elements between two parameters are 0 and stay 0. Write to them only without gradients
  // being recorded and never between forward and backward.
  const at::Tensor& values() const { return values_; }
  const at::Tensor& gradients() const { return gradients_; }

  // To be called once an optimizer step; backward adds to what is there.
  void ZeroGradients();

  // `ready(index)` is called in each backward as soon as the gradient of list()[index] holds everything that
  // this backward adds, in about the reverse order of list(); every parameter once. Empty: no calls.
  // The gradient may be read and changed from that moment on.
  void SetGradientHook(std::function<void(size_t index)> ready);

 private:
  at::Tensor values_;
  at::Tensor gradients_;
  std::vector<NamedParameter> list_;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_MODEL_PARAMETERS_H_
