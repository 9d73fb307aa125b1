// A model of our own kind as the plain model that says the same: a layer for every visit of its loops, and
// without the chain, which only predicts further tokens.
#ifndef CHERRY_CLIENT_DATA_FOLD_LOOPS_H_
#define CHERRY_CLIENT_DATA_FOLD_LOOPS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry::client {

// What a config.json says that a plain model has not; nothing where it is no configuration.
struct OwnModel {
  bool own = false;      // Of our kind.
  std::string schedule;  // Of its loops; empty: it has none.
  bool serveable = false;
  int64_t experts = 0;

  // Whether there is a plain model that says the same.
  bool folds() const { return own && experts == 0 && (schedule.empty() || serveable); }
};
OwnModel OwnModelOf(absl::string_view config);

// The config.json of the plain model. REQUIRES: OwnModelOf(config).folds().
absl::StatusOr<std::string> FoldConfig(absl::string_view config);

// Writes its weights: those of a visit's layer with the visit's norms, and its gains multiplied into the two
// projections back to the residual stream. Synced. kDataLoss names a tensor that is missing. Thread-safe.
absl::Status FoldWeights(const std::string& from, const std::string& to, absl::string_view config);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_FOLD_LOOPS_H_
