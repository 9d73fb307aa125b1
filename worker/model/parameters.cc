#include "worker/model/parameters.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "worker/kernels/normal_kernel.h"

namespace cherry::trainer {
namespace {

constexpr int64_t kAlignment = 16;  // Elements: 64 bytes.

int64_t Aligned(int64_t elements) { return (elements + kAlignment - 1) / kAlignment * kAlignment; }

int64_t Elements(const ParameterSpec& spec) {
  int64_t count = 1;
  for (const int64_t extent : spec.shape) {
    count *= extent;
  }
  return count;
}

class ReadyHook : public torch::autograd::PostAccumulateGradHook {
 public:
  ReadyHook(std::shared_ptr<const std::function<void(size_t)>> ready, size_t index)
      : ready_(std::move(ready)), index_(index) {}
  void operator()(const torch::autograd::Variable&) override { (*ready_)(index_); }

 private:
  std::shared_ptr<const std::function<void(size_t)>> ready_;
  size_t index_;
};

}  // namespace

Parameters::Parameters(const std::vector<ParameterSpec>& specs, at::Device device, uint64_t seed,
                       bool frozen) {
  int64_t size = 0;
  for (const ParameterSpec& spec : specs) {
    size += Aligned(Elements(spec));
  }
  const at::Tensor initial = at::zeros({size}, at::kFloat);
  float* data = initial.mutable_data_ptr<float>();
  int64_t offset = 0;
  for (const ParameterSpec& spec : specs) {
    const int64_t count = Elements(spec);
    if (frozen) {
      // Zeros, until they are loaded.
    } else if (spec.init_std > 0.0) {
      FillNormal(StreamKey(seed, spec.name), spec.init_std, count, data + offset);
    } else {
      std::fill(data + offset, data + offset + count, spec.constant);
    }
    list_.push_back({spec.name, at::Tensor(), spec.decay, offset, spec.trained});
    offset += Aligned(count);
  }
  values_ = initial.to(device);
  gradients_ = frozen ? at::empty({0}, values_.options()) : at::zeros_like(values_);
  for (size_t i = 0; i < specs.size(); ++i) {
    const int64_t begin = list_[i].offset;
    const int64_t count = Elements(specs[i]);
    list_[i].tensor = values_.narrow(0, begin, count).view(specs[i].shape).detach();
    if (!frozen) {
      list_[i].tensor.requires_grad_();
      list_[i].tensor.mutable_grad() = gradients_.narrow(0, begin, count).view(specs[i].shape);
    }
  }
}

int64_t Parameters::Find(absl::string_view name) const {
  for (size_t i = 0; i < list_.size(); ++i) {
    if (list_[i].name == name) {
      return static_cast<int64_t>(i);
    }
  }
  return -1;
}

at::Tensor Parameters::Value(absl::string_view name) const {
  const int64_t index = Find(name);
  TORCH_CHECK(index >= 0, "the model has no parameter ", std::string(name));
  return list_[static_cast<size_t>(index)].tensor.detach();
}

void Parameters::ZeroGradients() { gradients_.zero_(); }

void Parameters::SetGradientHook(std::function<void(size_t index)> ready) {
  const auto shared = ready ? std::make_shared<const std::function<void(size_t)>>(std::move(ready)) : nullptr;
  for (size_t i = 0; i < list_.size(); ++i) {
    torch::autograd::impl::set_post_acc_grad_hooks(list_[i].tensor,
                                                   shared ? std::make_unique<ReadyHook>(shared, i) : nullptr);
  }
}

}  // namespace cherry::trainer
