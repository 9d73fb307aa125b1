// The order in which a model visits its layers: recurrent unrolling (docs/methods.md). Pure, thread-safe.
#ifndef CHERRY_COMMON_SCHEDULE_H_
#define CHERRY_COMMON_SCHEDULE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry {

// One time that one layer is applied.
struct Visit {
  int64_t layer = 0;
  int64_t round = 0;          // How often the layer was visited before.
  int64_t rounds = 1;         // How often it is visited in all.
  int64_t loop = -1;          // Number of its loop; -1 outside of any.
  bool begins_round = false;  // The first layer of its loop's round.
};

// "1 + 4x8 + 1": the first layer once, the next four in turn eight times over, then one more. A term N is N
// layers once, NxR a loop of N layers and R rounds. The terms take `layers` layers in all; "" visits each
// layer once.
//   SCHEDULE_INVALID, with field `compress.unroll.schedule`: another form, or another number of layers.
absl::StatusOr<std::vector<Visit>> ParseSchedule(absl::string_view text, int64_t layers);

}  // namespace cherry

#endif  // CHERRY_COMMON_SCHEDULE_H_
