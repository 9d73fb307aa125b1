#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/model_plan.h"
#include "common/spec_kinds.h"
#include "common/status.h"

namespace cherry {

v1::MemoryPlan PlanMemory(const ModelShape& shape, const v1::TrainConfig& train, int bytes_per_element) {
  const int64_t parameters = CountParameters(shape);
  const int64_t tokens = int64_t{train.micro_batch_size()} * train.sequence_length();
  const int64_t kv_dim = shape.kv_heads * shape.head_dim();
  // What backward needs of one layer and token: two norms' inputs and outputs, q, k, v before and after
  // RoPE, attention's output, and the four FFN tensors of SwiGLU.
  // Of each FFN that a token goes through its input and output are copies.
  const int64_t ffns = shape.routes_ffn() ? shape.top_k : 1;
  const int64_t copies = shape.routes_ffn() ? 2 * shape.top_k * shape.dim : 0;
  const int64_t per_layer =
      5 * shape.dim + 3 * shape.query_dim() + 3 * kv_dim + 4 * ffns * shape.ffn_dim + copies;
  const bool recompute = train.activation_checkpoint() == v1::TrainConfig::FULL;
  const int64_t models = shape.routes_tokens() ? shape.experts : 1;
  const auto layers = static_cast<int64_t>(VisitsOf(shape).size());
  const int64_t kept = recompute ? layers * shape.dim + per_layer : layers * per_layer;
  v1::MemoryPlan plan;
  // Below fp32, compute has its own copy of the fp32 master weights.
  plan.set_weights(parameters * 4 + (bytes_per_element < 4 ? parameters * bytes_per_element : 0));
  plan.set_gradients(parameters * 4);
  plan.set_optimizer(parameters * 8);
  plan.set_activations(models * tokens * kept * bytes_per_element);
  plan.set_logits(models * 2 * tokens * shape.vocab * 4);
  plan.set_snapshot(parameters * 12);
  plan.set_total(plan.weights() + plan.gradients() + plan.optimizer() + plan.activations() + plan.logits() +
                 plan.snapshot());
  return plan;
}

namespace {

void PlanSgt(const v1::JobSpec& resolved, const ModelShape& shape, v1::Plan* plan) {
  const v1::SgtConfig& sgt = resolved.sgt();
  plan->set_flops_per_token(SgtFlopsPerToken(shape, resolved.train().sequence_length(), sgt));
  plan->add_notes(
      absl::StrFormat("FLOPs are those executed: %.2f of training on every token",
                      plan->flops_per_token() / FlopsPerToken(shape, resolved.train().sequence_length())));
  if (ScoresAllRows(sgt.selector())) {
    plan->add_notes("the selector scores by loss: it needs the logits of every row before it chooses");
  }
  if (NeedsReference(sgt.selector())) {
    plan->add_notes("the reference model's forward and memory come on top");
  }
  v1::MemoryPlan* memory = plan->mutable_memory_per_rank();
  if (sgt.anchor() > 0.0) {
    memory->set_weights(memory->weights() + plan->parameters() * 4);
    memory->set_total(memory->total() + plan->parameters() * 4);
    plan->add_notes("the anchor keeps the start model in memory");
  }
  if (sgt.coupling_every() > 0) {
    plan->add_notes(
        absl::StrCat("every ", sgt.coupling_every(),
                     " steps a probe of the coupling takes four more backward passes of a micro-batch "
                     "and, for that step, the memory of five more gradients"));
  }
}

// Nothing is trained or saved; the models' own plans tell of them.
v1::Plan PlanEvaluate(const v1::JobSpec& resolved, int ranks, const v1::Plan& trained) {
  v1::Plan plan;
  plan.set_parameters(trained.parameters());
  plan.set_active_parameters(trained.active_parameters());
  plan.set_ranks(ranks);
  v1::MemoryPlan* const memory = plan.mutable_memory_per_rank();
  memory->set_weights(trained.memory_per_rank().weights());
  memory->set_activations(trained.memory_per_rank().activations());
  memory->set_logits(trained.memory_per_rank().logits());
  memory->set_total(memory->weights() + memory->activations() + memory->logits());
  plan.add_notes(absl::StrCat("measures ", resolved.train().steps(),
                              " models, one after the other; parameters and "
                              "memory are the baseline's"));
  return plan;
}

}  // namespace

absl::StatusOr<v1::Plan> PlanJob(const v1::JobSpec& resolved, int ranks, int64_t train_tokens) {
  ASSIGN_OR_RETURN(const ModelShape shape, ResolveModel(resolved.model(), 0));
  const v1::TrainConfig& train = resolved.train();
  v1::Plan plan;
  plan.set_parameters(CountParameters(shape));
  plan.set_active_parameters(CountActiveParameters(shape));
  plan.set_flops_per_token(FlopsPerToken(shape, train.sequence_length()));
  plan.set_tokens(train.steps() * train.global_batch_size() * train.sequence_length());
  plan.set_checkpoint_bytes(plan.parameters() * 12);
  *plan.mutable_memory_per_rank() = PlanMemory(shape, train, train.dtype() == v1::TrainConfig::BF16 ? 2 : 4);
  plan.set_ranks(ranks);
  plan.set_accumulation_steps(train.global_batch_size() / std::max(1, train.micro_batch_size() * ranks));
  plan.set_epochs(train_tokens > 0 ? static_cast<double>(plan.tokens()) / static_cast<double>(train_tokens)
                                   : 0.0);
  if (resolved.kind() == v1::JobSpec::SGT) {
    PlanSgt(resolved, shape, &plan);
  }
  if (resolved.kind() == v1::JobSpec::COMPRESS) {
    plan.add_notes(
        absl::StrCat(VisitsOf(shape).size(), " layers are executed, of ", shape.layers, " in memory"));
    plan.add_notes("the deep model's forward and weights come on top: it is the teacher");
  }
  if (resolved.kind() == v1::JobSpec::EVALUATE) {
    return PlanEvaluate(resolved, ranks, plan);
  }
  if (resolved.multi_token().depth() > 0) {
    plan.set_flops_per_token(plan.flops_per_token() +
                             MultiTokenFlopsPerToken(shape, train.sequence_length(), resolved.multi_token()));
    plan.add_notes(absl::StrCat("FLOPs are those of predicting ", resolved.multi_token().depth(),
                                " further tokens too"));
  }
  plan.set_total_flops(plan.flops_per_token() * static_cast<double>(plan.tokens()));
  return plan;
}

}  // namespace cherry
