// data.train and data.valid as they are written: "ko/train", "ko/train + en/train", "0.7 ko/train + 0.3
// en/train".
//
// Pure functions, thread-safe.
#ifndef CHERRY_COMMON_DATA_PARTS_H_
#define CHERRY_COMMON_DATA_PARTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry {

// "ko/train" -> {"ko", "train"}
struct SplitRef {
  std::string dataset;
  std::string split;
};
absl::StatusOr<SplitRef> ParseSplitRef(absl::string_view text, absl::string_view field);

// The parts without the numbers before them: "0.7 ko/train + 0.3 en/train" has "ko/train" and "en/train".
// Unchecked.
std::vector<std::string> SplitParts(absl::string_view text);

// Whether a number stands before any part.
bool HasShares(absl::string_view text);

// How often each part comes in a period of samples, in the smallest whole numbers that have the proportions
// of the written ones, where those are no larger than 10,000 in all; else in 10,000, each at least once. A
// part without a number has 1. INVALID_ARGUMENT: a number that is not positive, or has more than six
// decimals.
absl::StatusOr<std::vector<int64_t>> PartShares(absl::string_view text, absl::string_view field);

// The dataset that a part names: all before its slash.
std::string DatasetOfPart(absl::string_view part);

}  // namespace cherry

#endif  // CHERRY_COMMON_DATA_PARTS_H_
