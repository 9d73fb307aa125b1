// The sections of a spec that have files of their own. Used by ResolveSpec; thread-safe.
#ifndef CHERRY_COMMON_SPEC_KINDS_H_
#define CHERRY_COMMON_SPEC_KINDS_H_

#include "absl/status/status.h"
#include "cherry/v1/job.pb.h"
#include "common/spec.h"

namespace cherry {

inline constexpr int kFewestExperts = 2;
inline constexpr int kMostExperts = 8;

// Selectors that look at the model's losses or outputs of all rows before they choose.
bool ScoresAllRows(v1::SgtConfig::Selector selector);
// Selectors that choose among the tokens that the rules have labelled.
bool UsesRules(v1::SgtConfig::Selector selector);
// Selectors that compare the model with a reference.
bool NeedsReference(v1::SgtConfig::Selector selector);

// Checks spec->data() against what is registered.
absl::Status ResolveData(const SpecContext& context, v1::JobSpec* spec);

// Fills in and checks spec->sgt(). REQUIRES: the rest of the spec is resolved.
absl::Status ResolveSgt(const SpecContext& context, v1::JobSpec* spec);

// The model that compress makes of its parent's, and everything that can be said about it before the rest is
// resolved: fills in and checks spec->compress(), and sets spec->model(). REQUIRES: context.parent_model.
absl::Status ResolveCompress(const SpecContext& context, v1::JobSpec* spec);

// The model that fuse makes of its experts: fills in and checks spec->fuse(), and sets spec->model().
//   REQUIRES: spec->data() is resolved
absl::Status ResolveFuse(const SpecContext& context, v1::JobSpec* spec);

// Fills in and checks spec->multi_token(), and sets model.token_chain accordingly. REQUIRES: spec->model() is
// resolved.
absl::Status ResolveMultiToken(const SpecContext& context, v1::JobSpec* spec);

// evaluate: what it measures, by default losses, recovery and parameters; the model is the baseline's.
absl::Status ResolveEvaluate(const SpecContext& context, v1::JobSpec* spec);

}  // namespace cherry

#endif  // CHERRY_COMMON_SPEC_KINDS_H_
