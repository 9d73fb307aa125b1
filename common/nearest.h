// What somebody who wrote an unknown word probably meant.
#ifndef CHERRY_COMMON_NEAREST_H_
#define CHERRY_COMMON_NEAREST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace cherry {

// The candidate with the smallest edit distance to `word`, also through the usual names ("lr" ->
// "learning_rate"); empty when none is near.
std::string Nearest(absl::string_view word, const std::vector<std::string>& candidates);

}  // namespace cherry

#endif  // CHERRY_COMMON_NEAREST_H_
