// The arithmetic of a job of kind evaluate: measured models become recoveries, summaries and verdicts.
//
// Pure functions, thread-safe. Losses are in nats per held-out target. With L the loss of all targets ("all")
// and Lg that of what the rules select for the run, whose share of the targets is rho:
//   recovery        R = (L_start - L) / (L_start - L_baseline)
//   best_recovery   the same of the lowest held-out losses of both runs
//   roi             R / supervised_share, of selective training
//   selection_gain  R - R of the random arm of the same seed and budget; none for that arm itself
//   wave            W = (L_start - L) / (rho (Lg_start - Lg))
// What has no start, no counterpart or a denominator of 0 is left unset.
#ifndef CHERRY_COMMON_EVALUATION_H_
#define CHERRY_COMMON_EVALUATION_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cherry/v1/job.pb.h"
#include "cherry/v1/resources.pb.h"

namespace cherry {

// What is known of the run behind a model, and not part of the result.
struct RunFacts {
  // Lowest held-out loss of the run; unset too where it was taken on other text than the evaluation's.
  std::optional<double> best_valid_loss;
  // Of selective training; SELECTOR_UNSPECIFIED in a job of another kind.
  v1::SgtConfig::Selector selector = v1::SgtConfig::SELECTOR_UNSPECIFIED;
  double budget = 0.0;
  // The groups that make up what the rules select for it: "rule", or the categories that it is limited to.
  std::set<std::string> selected_groups = {"rule"};
};

// In the order of the models of an Evaluation.
struct EvaluationFacts {
  std::vector<RunFacts> baselines;
  std::vector<RunFacts> models;
};

// Fills in what follows from what was measured: the derived fields of `models`, the summaries and the
// verdicts. A model's start and baseline are the only ones, or those of its seed; where a seed has several,
// the one whose values agree with the model's in most places. REQUIRES: as many facts as there are baselines
// and models; every other field of them is filled in.
v1::Evaluation FinishEvaluation(const v1::EvaluateConfig& config, v1::Evaluation measured,
                                const EvaluationFacts& facts);

// Whether each criterion is true of every seed, of none, or neither. REQUIRES: the models' derived fields are
// set.
std::vector<v1::Evaluation::Verdict> Judge(const v1::EvaluateConfig& config,
                                           const v1::Evaluation& evaluation);

// The measures that are asked for, or the default ones: loss, recovery, parameters. Loss is always among
// them.
std::vector<v1::EvaluateConfig::Measure> MeasuresOf(const v1::EvaluateConfig& config);

// The value that |t| exceeds with a probability of 0.05, by Student's distribution. REQUIRES: degrees >= 1.
double StudentT95(int degrees);

// Most models of an evaluation, baselines and starts included.
inline constexpr int kMostEvaluated = 512;

// The first thing that is wrong with a job's `evaluate`, by its own text alone: what is missing, criteria
// that say nothing or speak of no model. Holds before and after a matrix among the models has been expanded.
absl::Status CheckEvaluate(const v1::EvaluateConfig& config);

}  // namespace cherry

#endif  // CHERRY_COMMON_EVALUATION_H_
