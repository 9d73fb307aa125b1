#include "worker/model/recompute.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <memory>
#include <utility>

namespace cherry::trainer {
namespace {

using torch::autograd::variable_list;

class RecomputeNode : public torch::autograd::Node {
 public:
  RecomputeNode(std::function<at::Tensor(const at::Tensor&)> run, const at::Tensor& x)
      : torch::autograd::Node(torch::autograd::collect_next_edges(x)),
        run_(std::move(run)),
        x_(x, /*is_output=*/false) {}

  variable_list apply(variable_list&& gradients) override {
    const at::Tensor x = x_.unpack().detach().requires_grad_();
    {
      const at::AutoGradMode record(true);
      // Adds to the leaves that `run` uses, as the outer backward would have.
      torch::autograd::backward({run_(x)}, {gradients[0]});
    }
    return {x.grad()};
  }

  void release_variables() override { x_.reset_data(); }

 private:
  std::function<at::Tensor(const at::Tensor&)> run_;
  torch::autograd::SavedVariable x_;
};

}  // namespace

at::Tensor Recompute(const std::function<at::Tensor(const at::Tensor&)>& run, const at::Tensor& x) {
  at::Tensor y;
  {
    const at::NoGradGuard forget;
    y = run(x);
  }
  if (at::GradMode::is_enabled() && x.requires_grad()) {
    const std::shared_ptr<torch::autograd::Node> node(new RecomputeNode(run, x), torch::autograd::deleteNode);
    torch::autograd::set_history(y, node);
  }
  return y;
}

}  // namespace cherry::trainer
