#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/output.h"
#include "client/report/chart.h"
#include "client/report/html.h"
#include "client/report/sections.h"

namespace cherry::client {
namespace {

using Model = v1::Evaluation::Model;
using Verdict = v1::Evaluation::Verdict;

std::string Decimals(double value, int decimals) { return absl::StrFormat("%.*f", decimals, value); }

// A value of one of Summary's measures.
std::string FigureText(const std::string& measure, double value) {
  if (measure == "loss") {
    return Decimals(value, 4);
  }
  if (measure == "tokens_per_second") {
    return CountText(value);
  }
  return measure == "selection_gain" ? absl::StrFormat("%+.3f", value) : Decimals(value, 3);
}

std::string GroupLabel(absl::string_view document, absl::string_view values) {
  return values.empty() ? std::string(document) : absl::StrCat(document, " (", values, ")");
}

std::string SummaryText(const v1::Evaluation::Summary& summary) {
  std::string text = FigureText(summary.measure(), summary.mean());
  if (summary.count() > 1) {
    absl::StrAppend(&text, " ±\u00a0",
                    summary.measure() == "tokens_per_second"
                        ? CountText(summary.half_width())
                        : Decimals(summary.half_width(), summary.measure() == "loss" ? 4 : 3));
  }
  return text;
}

// "ko-base:300"
std::string ModelLabel(const Model& model, const std::string& ns) {
  const size_t slash = model.checkpoint().rfind('/');
  return absl::StrCat(ShortJobName(model.job(), ns), slash == std::string::npos ? "" : ":",
                      slash == std::string::npos ? "" : model.checkpoint().substr(slash + 1));
}

struct Row {
  const Model* model;
  std::string role;
};

std::vector<Row> RowsOf(const v1::Evaluation& evaluation) {
  std::vector<Row> rows;
  for (const Model& model : evaluation.starts()) {
    rows.push_back({&model, "start"});
  }
  for (const Model& model : evaluation.baselines()) {
    rows.push_back({&model, "baseline"});
  }
  for (const Model& model : evaluation.models()) {
    rows.push_back({&model, "model"});
  }
  return rows;
}

std::string LossTable(const std::vector<Row>& rows, const std::string& ns) {
  std::vector<std::string> groups;
  for (const Row& row : rows) {
    for (const v1::Evaluation::Loss& loss : row.model->losses()) {
      if (std::find(groups.begin(), groups.end(), loss.group()) == groups.end()) {
        groups.push_back(loss.group());
      }
    }
  }
  std::vector<std::string> headers = {"Model", "Is", "Values", "Seed"};
  headers.insert(headers.end(), groups.begin(), groups.end());
  HtmlTable table("Held-out loss by group of targets, nats per target", std::move(headers));
  for (const Row& row : rows) {
    std::vector<std::string> cells = {ModelLabel(*row.model, ns), row.role, row.model->values(),
                                      absl::StrCat(row.model->seed())};
    for (const std::string& group : groups) {
      const auto& losses = row.model->losses();
      const auto found = std::find_if(losses.begin(), losses.end(),
                                      [&group](const auto& loss) { return loss.group() == group; });
      cells.push_back(found == losses.end() ? "" : Decimals(found->loss(), 4));
    }
    table.Row(std::move(cells));
  }
  return table.Render();
}

std::string GainTable(const v1::Evaluation& evaluation, const std::string& ns) {
  HtmlTable table("What the models recovered of the baseline's gain",
                  {"Model", "R", "R best", "Supervised", "ROI", "Selection gain", "W"});
  bool any = false;
  for (const Model& model : evaluation.models()) {
    const auto text = [&any](bool present, const std::string& shown) {
      any = any || present;
      return present ? shown : "";
    };
    table.Row({ModelLabel(model, ns), text(model.has_recovery(), Decimals(model.recovery(), 3)),
               text(model.has_best_recovery(), Decimals(model.best_recovery(), 3)),
               model.supervised_share() > 0 ? absl::StrFormat("%.1f %%", 100 * model.supervised_share()) : "",
               text(model.has_roi(), Decimals(model.roi(), 2)),
               text(model.has_selection_gain(), absl::StrFormat("%+.3f", model.selection_gain())),
               text(model.has_wave(), Decimals(model.wave(), 3))});
  }
  return any ? table.Render() : "";
}

std::string CostTable(const std::vector<Row>& rows, const std::string& ns) {
  HtmlTable table("Size and speed", {"Model", "Parameters", "Active", "FLOPs per token", "Training tokens",
                                     "Tokens per second", "Acceptance by position"});
  for (const Row& row : rows) {
    const Model& model = *row.model;
    const auto count = [](double value) { return value > 0 ? CountText(value) : ""; };
    table.Row({ModelLabel(model, ns), count(static_cast<double>(model.parameters())),
               count(static_cast<double>(model.active_parameters())), count(model.flops_per_token()),
               count(static_cast<double>(model.training_tokens())), count(model.tokens_per_second()),
               absl::StrJoin(model.acceptance(), " ", [](std::string* out, double share) {
                 absl::StrAppend(out, Decimals(share, 2));
               })});
  }
  return table.Render();
}

// Summary's measures in the order of their columns.
constexpr std::pair<const char*, const char*> kMeasures[] = {
    {"loss", "Loss"},
    {"recovery", "R"},
    {"best_recovery", "R best"},
    {"roi", "ROI"},
    {"selection_gain", "Selection gain"},
    {"wave", "W"},
    {"tokens_per_second", "Tokens per second"},
    {"acceptance", "Acceptance"},
};

std::string SummaryTable(const v1::Evaluation& evaluation) {
  std::vector<std::pair<std::string, std::string>> groups;
  std::map<std::pair<std::string, std::string>, std::map<std::string, std::string>> cells;
  std::map<std::pair<std::string, std::string>, int> counts;
  for (const v1::Evaluation::Summary& summary : evaluation.summaries()) {
    const std::pair group(summary.document(), summary.values());
    if (cells.count(group) == 0) {
      groups.push_back(group);
    }
    cells[group][summary.measure()] = SummaryText(summary);
    counts[group] = std::max(counts[group], summary.count());
  }
  std::vector<std::string> headers = {"Models", "Seeds"};
  for (const auto& [measure, header] : kMeasures) {
    headers.emplace_back(header);
  }
  HtmlTable table("Means over seeds, with 95 % confidence intervals by Student's t", std::move(headers));
  for (const auto& group : groups) {
    std::vector<std::string> row = {GroupLabel(group.first, group.second), absl::StrCat(counts[group])};
    for (const auto& [measure, header] : kMeasures) {
      row.push_back(cells[group][measure]);
    }
    table.Row(std::move(row));
  }
  return table.Render();
}

std::string RecoveryBars(const v1::Evaluation& evaluation) {
  std::vector<Bar> bars;
  for (const v1::Evaluation::Summary& summary : evaluation.summaries()) {
    if (summary.measure() != "recovery") {
      continue;
    }
    Bar bar{GroupLabel(summary.document(), summary.values()),
            SummaryText(summary),
            summary.mean(),
            summary.half_width(),
            {}};
    for (const Model& model : evaluation.models()) {
      if (model.document() == summary.document() && model.values() == summary.values() &&
          model.has_recovery() && summary.count() > 1) {
        bar.single.push_back(model.recovery());
      }
    }
    bars.push_back(std::move(bar));
  }
  return RenderBars(
      "Recovery",
      "Share of the baseline's gain in held-out loss; the dashed line is the baseline. Marks are "
      "single seeds, the line through them is the 95 % interval.",
      bars);
}

std::string VerdictItem(const Verdict& verdict) {
  const std::string result = absl::AsciiStrToLower(Verdict::Result_Name(verdict.result()));
  const std::string values = absl::StrJoin(verdict.values(), ", ", [](std::string* out, double value) {
    absl::StrAppendFormat(out, "%.4g", value);
  });
  return Element(
      "li",
      absl::StrCat(
          TextElement("p", result, {{"class", "result"}}), TextElement("h3", verdict.claim()),
          TextElement("p", absl::StrCat("Tested: ", verdict.criterion())),
          verdict.values_size() > 0
              ? TextElement("p", absl::StrCat(verdict.values_size() == 1 ? "Value: " : "Values: ", values))
              : ""),
      {{"class", result}});
}

bool HasEvaluation(const ReportedJob& job) { return job.job.has_evaluation(); }

}  // namespace

std::string VerdictSection(const ReportData& data) {
  std::string body;
  for (const ReportedJob& reported : data.jobs) {
    const v1::Evaluation& evaluation = reported.job.evaluation();
    if (evaluation.verdicts().empty()) {
      continue;
    }
    std::map<Verdict::Result, int> counts;
    std::string items;
    for (const Verdict& verdict : evaluation.verdicts()) {
      ++counts[verdict.result()];
      absl::StrAppend(&items, VerdictItem(verdict), "\n");
    }
    absl::StrAppend(&body,
                    TextElement("p", absl::StrCat(ShortJobName(reported.job.name(), data.ns), ": ",
                                                  counts[Verdict::HOLDS], " hold, ", counts[Verdict::FAILS],
                                                  " fail, ", counts[Verdict::UNDECIDED], " undecided.")),
                    "\n", Element("ol", absl::StrCat("\n", items), {{"class", "verdicts"}}), "\n");
  }
  return body;
}

std::string EvaluationSection(const ReportData& data) {
  std::string body;
  const auto several = std::count_if(data.jobs.begin(), data.jobs.end(), HasEvaluation) > 1;
  for (const ReportedJob& reported : data.jobs) {
    if (!HasEvaluation(reported)) {
      continue;
    }
    const v1::Evaluation& evaluation = reported.job.evaluation();
    const std::vector<Row> rows = RowsOf(evaluation);
    absl::StrAppend(&body, several ? TextElement("h3", ShortJobName(reported.job.name(), data.ns)) : "",
                    RecoveryBars(evaluation), SummaryTable(evaluation), LossTable(rows, data.ns),
                    GainTable(evaluation, data.ns), CostTable(rows, data.ns));
  }
  return body;
}

}  // namespace cherry::client
