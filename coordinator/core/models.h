// Imported models. To jobs each is what a job is that has ended with one checkpoint, of step 0: it stands
// among the state's jobs by its uid, but is in no list of them and never changes.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_MODELS_H_
#define CHERRY_COORDINATOR_CORE_MODELS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cherry/v1/coordinator.pb.h"
#include "coordinator/core/decision.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// Takes `model` in under its name; one of that name that was there before stays what it is to jobs that named
// it. NAME_INVALID, UID_INVALID (not new, or no UUID), and what ResolveModel finds wrong with its config.
absl::StatusOr<v1::Model> RegisterModel(State* state, Decision* decision, const Caller& caller,
                                        v1::Model model);

// Of the newest of that name, "namespaces/{ns}/models/{model}". MODEL_NOT_FOUND, with `field`.
absl::StatusOr<const v1::Model*> FindModelRecord(const State& state, absl::string_view name,
                                                 absl::string_view field);

absl::StatusOr<v1::ListModelsResponse> ListModels(const State& state, const v1::ListModelsRequest& request);

void RestoreModels(State* state, std::vector<v1::Model> models);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_MODELS_H_
