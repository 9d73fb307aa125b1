#include "client/cli/plan_text.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/job_text.h"
#include "client/cli/output.h"

namespace cherry::client {

std::string PlanText(const v1::Plan& plan, int indent) {
  std::string out;
  const auto line = [&out, indent](const char* name, const std::string& value) {
    absl::StrAppendFormat(&out, "%s%-12s %s\n", std::string(indent, ' '), name, value);
  };
  const double parameters = static_cast<double>(plan.parameters());
  line("parameters", plan.active_parameters() == plan.parameters() || plan.active_parameters() == 0
                         ? absl::StrFormat("%s (%d)", CountText(parameters), plan.parameters())
                         : absl::StrFormat("%s (%d), %s active", CountText(parameters), plan.parameters(),
                                           CountText(static_cast<double>(plan.active_parameters()))));
  line("compute",
       absl::StrFormat("%s tokens, %.3g FLOPs (%.3g a token)", CountText(static_cast<double>(plan.tokens())),
                       plan.total_flops(), plan.flops_per_token()));
  line("data", absl::StrFormat("%.2f epochs", plan.epochs()));
  line("ranks", absl::StrFormat("%d, %d micro-batch%s each a step", plan.ranks(), plan.accumulation_steps(),
                                plan.accumulation_steps() == 1 ? "" : "es"));
  const v1::MemoryPlan& memory = plan.memory_per_rank();
  line("memory",
       absl::StrFormat("%s a rank: weights %s, gradients %s, optimizer %s, activations %s, logits %s, "
                       "snapshot %s",
                       BytesText(memory.total()), BytesText(memory.weights()), BytesText(memory.gradients()),
                       BytesText(memory.optimizer()), BytesText(memory.activations()),
                       BytesText(memory.logits()), BytesText(memory.snapshot())));
  line("checkpoint", BytesText(plan.checkpoint_bytes()));
  for (const std::string& note : plan.notes()) {
    line("note", note);
  }
  for (const v1::PendingReason& reason : plan.would_wait()) {
    line("would wait", absl::StrCat(TierText(reason.tier()), ": ", reason.message(),
                                    reason.remedy().empty() ? "" : "; would start with ", reason.remedy()));
  }
  return out;
}

}  // namespace cherry::client
