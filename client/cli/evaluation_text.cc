#include "client/cli/evaluation_text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/job_text.h"
#include "client/cli/output.h"

namespace cherry::client {
namespace {

using v1::Evaluation;

std::string Number(bool present, double value) { return present ? absl::StrFormat("%.3f", value) : "-"; }

void AddModel(const Evaluation::Model& model, absl::string_view what, absl::string_view ns, Table* table) {
  table->Row({ShortJobName(model.job(), ns), std::string(what),
              Number(model.losses_size() > 0, model.losses_size() > 0 ? model.losses(0).loss() : 0.0),
              Number(model.has_recovery(), model.recovery()), Number(model.has_roi(), model.roi()),
              Number(model.has_selection_gain(), model.selection_gain()),
              Number(model.has_wave(), model.wave()),
              CountText(static_cast<double>(model.active_parameters())),
              model.acceptance_size() > 0 ? absl::StrFormat("%.2f", model.acceptance(0)) : "-"});
}

std::string Summaries(const Evaluation& evaluation) {
  std::string text;
  for (const Evaluation::Summary& summary : evaluation.summaries()) {
    if (summary.count() > 1) {
      absl::StrAppendFormat(&text, "%s%s  %s %.4f +- %.4f over %d seeds\n", summary.document(),
                            summary.values().empty() ? "" : absl::StrCat(" (", summary.values(), ")"),
                            summary.measure(), summary.mean(), summary.half_width(), summary.count());
    }
  }
  return text;
}

std::string Verdicts(const Evaluation& evaluation) {
  std::string text;
  for (const Evaluation::Verdict& verdict : evaluation.verdicts()) {
    absl::StrAppendFormat(
        &text, "%-9s  %s  [%s%s]\n",
        absl::AsciiStrToLower(Evaluation::Verdict::Result_Name(verdict.result())), verdict.claim(),
        verdict.criterion(),
        verdict.values().empty()
            ? ""
            : absl::StrCat(": ", absl::StrJoin(verdict.values(), ", ", [](std::string* out, double value) {
                             absl::StrAppendFormat(out, "%.3f", value);
                           })));
  }
  return text;
}

}  // namespace

std::string EvaluationText(const Evaluation& evaluation, absl::string_view ns) {
  Table table({"JOB", "", "LOSS", "RECOVERY", "ROI", "GAIN", "WAVE", "ACTIVE", "ACCEPTED"});
  for (const Evaluation::Model& model : evaluation.starts()) {
    AddModel(model, "start", ns, &table);
  }
  for (const Evaluation::Model& model : evaluation.baselines()) {
    AddModel(model, "baseline", ns, &table);
  }
  for (const Evaluation::Model& model : evaluation.models()) {
    AddModel(model, "", ns, &table);
  }
  return absl::StrCat(table.Render(), Summaries(evaluation), Verdicts(evaluation));
}

}  // namespace cherry::client
