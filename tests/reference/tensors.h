// Tensors to write into one safetensors file for Python to compare with.
#ifndef CHERRY_TESTS_REFERENCE_TENSORS_H_
#define CHERRY_TESTS_REFERENCE_TENSORS_H_

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "common/safetensors.h"

namespace cherry::trainer {

// Copies what is added. int64 tensors stay, all others become fp32.
class TensorList {
 public:
  void Add(const std::string& name, const at::Tensor& tensor) {
    const at::Tensor host = tensor.detach().to(at::kCPU);
    const at::Tensor copy =
        (host.scalar_type() == at::kLong ? host : host.to(at::kFloat)).clone(at::MemoryFormat::Contiguous);
    kept_.push_back(copy);
    items_.push_back({name, copy.scalar_type() == at::kLong ? "I64" : "F32", copy.sizes().vec(),
                      copy.const_data_ptr(), static_cast<int64_t>(copy.nbytes())});
  }
  void AddNumber(const std::string& name, double value) { Add(name, at::full({1}, value, at::kFloat)); }
  const std::vector<TensorBytes>& items() const { return items_; }

 private:
  std::vector<at::Tensor> kept_;
  std::vector<TensorBytes> items_;
};

}  // namespace cherry::trainer

#endif  // CHERRY_TESTS_REFERENCE_TENSORS_H_
