// A serveable model with loops as the plain model that computes the same: a layer for every visit.
#ifndef CHERRY_CLIENT_DATA_FOLD_LOOPS_H_
#define CHERRY_CLIENT_DATA_FOLD_LOOPS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry::client {

// What a config.json says of loops; nothing where it is no configuration.
struct Loops {
  std::string schedule;  // Empty: the model has none.
  bool serveable = false;
};
Loops LoopsOf(absl::string_view config);

// The config.json of the plain model. REQUIRES: LoopsOf(config) is serveable.
absl::StatusOr<std::string> FoldConfig(absl::string_view config);

// Writes its weights: those of a visit's layer with the visit's norms, and its gains multiplied into the two
// projections back to the residual stream. Synced. kDataLoss names a tensor that is missing. Thread-safe.
absl::Status FoldWeights(const std::string& from, const std::string& to, absl::string_view config);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_FOLD_LOOPS_H_
