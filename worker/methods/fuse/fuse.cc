#include "worker/methods/fuse/fuse.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/parameter_names.h"

namespace cherry::trainer {
namespace {

// Adds the sum of `rows` [n, d] to `sum`.
void AddRows(const at::Tensor& rows, at::Tensor* sum) {
  const at::Tensor more = rows.to(at::kDouble).sum(0);
  *sum = sum->defined() ? *sum + more : more;
}

// The direction of a sum is that of the mean.
at::Tensor Unit(const at::Tensor& sum) { return sum / sum.norm().clamp_min(1e-12); }

}  // namespace

void FuseFfns(absl::Span<Transformer* const> experts, Transformer* target) {
  const at::NoGradGuard no_gradient;
  const size_t apart = target->shape().routes_ffn() ? experts.size() : 0;
  for (const Visit& visit : VisitsOf(target->shape())) {
    for (size_t i = 0; visit.round == 0 && i < apart; ++i) {
      for (const char* part : {"gate_proj", "up_proj", "down_proj"}) {
        target->parameters()
            .Value(ExpertName(visit.layer, static_cast<int64_t>(i), part))
            .copy_(experts[i]->parameters().Value(LayerName(visit.layer, absl::StrCat("mlp.", part))));
      }
    }
  }
  for (const NamedParameter& parameter : target->parameters().list()) {
    const bool shared = std::all_of(experts.begin(), experts.end(), [&](const Transformer* expert) {
      return expert->parameters().Find(parameter.name) >= 0;
    });
    if (!shared || (apart > 0 && IsChainName(parameter.name))) {
      continue;
    }
    at::Tensor sum = at::zeros_like(parameter.tensor, at::kDouble);
    for (const Transformer* expert : experts) {
      sum += expert->parameters().Value(parameter.name);
    }
    parameter.tensor.detach().copy_(sum / static_cast<double>(experts.size()));
  }
}

void FuseModels(absl::Span<Transformer* const> experts, TokenMixture* target) {
  const at::NoGradGuard no_gradient;
  for (size_t i = 0; i < experts.size(); ++i) {
    const std::string prefix = ModelPrefix(static_cast<int64_t>(i));
    for (const NamedParameter& parameter : target->parameters().list()) {
      absl::string_view name = parameter.name;
      if (absl::ConsumePrefix(&name, prefix)) {
        parameter.tensor.detach().copy_(experts[i]->parameters().Value(std::string(name)));
      }
    }
  }
}

void CentreRouters(absl::Span<Transformer* const> experts, const std::vector<std::vector<at::Tensor>>& tokens,
                   Transformer* target) {
  const at::NoGradGuard no_gradient;
  const std::vector<Visit> visits = VisitsOf(target->shape());
  for (size_t i = 0; i < experts.size(); ++i) {
    std::vector<at::Tensor> sums(visits.size());
    experts[i]->KeepFfnInputs(true);
    for (const at::Tensor& text : tokens[i]) {
      experts[i]->Hidden(text);
      for (size_t visit = 0; visit < visits.size(); ++visit) {
        AddRows(experts[i]->ffn_inputs()[visit], &sums[visit]);
      }
    }
    experts[i]->KeepFfnInputs(false);
    for (size_t visit = 0; visit < visits.size(); ++visit) {
      target->parameters()
          .Value(RouterName(visits[visit]))
          .select(0, static_cast<int64_t>(i))
          .copy_(Unit(sums[visit]));
    }
  }
}

void CentreGate(const std::vector<std::vector<at::Tensor>>& tokens, TokenMixture* target) {
  const at::NoGradGuard no_gradient;
  const at::Tensor gate = target->parameters().Value(kGateName);
  for (size_t i = 0; i < tokens.size(); ++i) {
    at::Tensor sum;
    for (const at::Tensor& text : tokens[i]) {
      AddRows(target->GateInput(text), &sum);
    }
    gate.select(0, static_cast<int64_t>(i)).copy_(Unit(sum));
  }
}

}  // namespace cherry::trainer
